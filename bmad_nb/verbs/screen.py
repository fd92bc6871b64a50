"""What `%bmad` alone shows: LLMs that are ready, money, the last runs, and what to do next."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from decimal import Decimal
from statistics import median
from typing import Any

from bmad_nb import __version__
from bmad_nb.events import RunRow
from bmad_nb.llms.base import Card
from bmad_nb.render.base import counted, listed, usd
from bmad_nb.render.screen import LlmLine, RunLine, ScreenView, screen_html, screen_text
from bmad_nb.secrets import resolve, why_missing
from bmad_nb.verbs.base import Front

MOST_RUNS = 5
"""Runs that are shown."""


class Screen:
    """The status screen; nobody was contacted for it."""

    def __init__(self, view: ScreenView) -> None:
        """Keep what it shows."""
        self.view = view

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; money as text."""
        view = self.view
        return {
            "version": view.version, "store": view.store, "runs": view.count,
            "llms": [each._asdict() for each in view.llms],
            "spent_today_usd": str(view.spent_usd),
            "simulated_today_usd": str(view.simulated_usd),
            "limit_usd": None if view.limit_usd is None else str(view.limit_usd),
            "last_runs": [each._asdict() for each in view.runs], "next": list(view.next_steps),
        }  # fmt: skip

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle: nothing in it runs, and nothing is fetched."""
        return {"text/plain": repr(self), "text/html": screen_html(self.view)}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        return screen_text(self.view)


def screen(front: Front) -> Screen:
    """Return the status of a workspace, from its settings and its store."""
    space = front.workspace
    runs = space.store.runs()
    sums = space.store.sums()
    real, invented = _spent_today(space)
    newest = runs[: -MOST_RUNS - 1 : -1]
    own = space.budgets[False].limit_usd
    program = "bmad" if front.kind == "shell" else "%bmad"
    return Screen(
        ScreenView(
            version=__version__, store=str(space.store.path), count=len(runs),
            llms=tuple(_llms(space)), spent_usd=real, simulated_usd=invented,
            limit_usd=own, used_usd=space.budgets[False].spent_usd,
            runs=tuple(_run(each, sums.get(each.run_id, {})) for each in newest),
            next_steps=tuple(_next(runs, program)),
        )
    )  # fmt: skip


def _llms(space: Any) -> Iterable[LlmLine]:
    """Yield a line for the LLMs of one endpoint that are in one state, ready ones first."""
    first: dict[str, list[float]] = {}
    calls = space.calls()
    for llm, group in calls.groupby("llm"):
        first[str(llm)] = [float(x) for x in group["first_token_s"].dropna()]
    groups: dict[tuple[str, str], list[Card]] = {}
    for card in _cards(space):
        groups.setdefault((card.id.partition("/")[0], card.missing), []).append(card)
    lines = []
    for (_, missing), cards in groups.items():
        simulated = any(card.simulated for card in cards)
        times = [t for card in cards for t in first.get(card.id, ())]
        state = missing or ", ".join(
            ["ready", *["simulated"] * simulated, *["runs here"] * cards[0].runs_here]
        )
        prices = [price for card in cards if (price := space.catalog.price(card)) is not None]
        lines.append(LlmLine(
            names=listed([card.id for card in cards], 4), known=len(cards), ready=not missing,
            state=state, price="simulated" if simulated else _range(prices, cards),
            first_token_s=median(times) if times and not simulated else None,
        ))  # fmt: skip
    lines.sort(key=lambda line: not line.ready)
    yield from lines
    keyed = {card.id.partition("/")[0] for card in _cards(space)}
    for name, settings in space.settings.endpoints.items():
        if name not in keyed:
            key = settings.api_key
            lacks = key is not None and resolve(key) is None
            said = (
                "key found; any name is tried" if key else "needs no key; not asked whether it runs"
            )
            said = f"to use it: {why_missing(key)[1]}" if key and lacks else said
            yield LlmLine(f"{name}/…", 0, key is not None and not lacks, said, "", None)


def _cards(space: Any) -> list[Card]:
    """Return the LLMs that are known by name; `endpoint/-` only stands for an endpoint."""
    return [card for card in space.catalog.cards() if card.model != "-"]


def _range(prices: Sequence[Any], cards: Sequence[Card]) -> str:
    """Return what a million tokens of output cost, from the cheapest to the dearest."""
    if cards[0].runs_here:
        return "$0"
    if not prices:
        return "unknown"
    ends = sorted(price.output_usd_per_mtok for price in prices)
    low, high = usd(ends[0]), usd(ends[-1])
    return low if low == high else f"{low} to {high}"


def _spent_today(space: Any) -> tuple[Decimal, Decimal]:
    """Return real and simulated US dollars of today (UTC)."""
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    days = space.spent("day")
    row = days[days["by"] == today]
    if row.empty:
        return Decimal(0), Decimal(0)
    found = row.iloc[0]
    return (Decimal(repr(float(found["cost_usd"]))),
            Decimal(repr(float(found["simulated_cost_usd"]))))  # fmt: skip


def _run(run: RunRow, sums: Any) -> RunLine:
    failed = int(sums.get("failed", 0))
    made = int(sums.get("calls", 0))
    stored = int(sums.get("from_store", 0))
    said = [counted(made, "call")] + [f"{stored} from the store"] * bool(stored)
    said += [f"{failed} failed"] * bool(failed) + [f"stopped: {run.reason}"] * bool(run.reason)
    part = run.status == "completed" and failed > 0
    cost = Decimal(repr(float(sums.get("cost_usd", 0) or 0)))
    invented = float(sums.get("simulated_cost_usd", 0) or 0)
    price = f"{usd(Decimal(repr(invented)))} simulated" if invented and not cost else usd(cost)
    status = "completed in part" if part else run.status
    what = run.workflow or run.verb
    return RunLine(run.run_id, what, run.title, status, ", ".join(said), price)


def _next(runs: Sequence[RunRow], program: str) -> Iterable[str]:
    """Yield commands that make sense now."""
    stopped = [r for r in reversed(runs) if r.status in {"paused", "interrupted"}]
    for run in [r for r in stopped if r.verb == "workflow"][:2]:
        waits = run.reason in {"approval", "human", "answer"}
        yield f"{program} {'approve' if waits else 'resume'} {run.run_id}"
    if runs:
        yield f"{program} show {runs[-1].run_id}"
    yield f"{program} models"
    yield f"{program} help compare"
