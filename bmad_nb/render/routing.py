"""Who would do which task and why, as a card and as text, with the matrix of what LLMs can do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bmad_nb.render.base import ACCENT, DIM, LABEL, LINE, NONE, Html, counted, markup, points, tag
from bmad_nb.render.parts import card, cell, chip, dim, fold, header, line, llm_name, table
from bmad_nb.render.text import table_text

_HEAD = "padding:5px 10px;font-size:11px;opacity:0.72"
_PAD = "padding:5px 10px"
_NUMBERS = {"Expected", "$ per Mtok", "Seconds", "Has", "Need"}
"""Heads of columns whose numbers stand on the right."""


@dataclass(frozen=True, slots=True)
class Route:
    """One task, and the LLM that it would go to."""

    task: str
    type: str = ""
    llm: str = ""
    """Empty where nobody can do it."""
    router: str = ""
    reason: str = ""
    problem: str = ""
    """Why nobody can do it."""
    simulated: bool = False
    expected: float | None = None
    """Score in [0, 1] that is expected; None where nothing is known."""
    usd_per_mtok: float | None = None
    """US dollars per million tokens of the answer; None is unknown."""
    others: tuple[tuple[str, str], ...] = ()
    """LLMs that were not taken, each with its reason."""
    guess: str = ""
    """Kind of task that its text is like, where the task names none; empty where nobody knows."""
    sure: float | None = None
    """Share in [0, 1] of what the most similar texts say."""

    @property
    def kind(self) -> str:
        """Its kind, with a question mark where it was told from its text."""
        return self.type or (f"{self.guess}?" if self.guess else "")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one LLM can do of what one task needs."""

    task: str
    llm: str
    skill: str
    have: float | None
    """Declared or measured score in [0, 1]; None is unknown."""
    need: float | None = None
    """Least score; None where none is demanded."""
    n: int = 0
    """Scored answers; 0 where it is declared."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval of what was measured."""

    @property
    def is_gap(self) -> bool:
        """Whether it is below need, or nobody knows it."""
        return self.need is not None and (self.have is None or self.have < self.need)


@dataclass(frozen=True, slots=True)
class RoutesView:
    """All that is shown of the routes of a workflow."""

    workflow: str
    routes: tuple[Route, ...]
    cells: tuple[Cell, ...] = ()
    capabilities: bool = True
    """Whether needs count; without them only cost and latency do."""

    @property
    def sentence(self) -> str:
        """What it says, in one sentence."""
        lost = [each.task for each in self.routes if not each.llm]
        llms = {each.llm for each in self.routes if each.llm}
        if lost:
            return f"{counted(len(lost), 'task')} of {len(self.routes)} can be done by nobody here"
        return f"{counted(len(self.routes), 'task')} would go to {counted(len(llms), 'LLM')}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know besides."""
        said = ["Nobody was asked."]
        gaps = [each for each in self.cells if each.is_gap]
        if gaps:
            are = "is" if len(gaps) == 1 else "are"
            said.append(f"{counted(len(gaps), 'cell')} of the matrix {are} below need.")
        if self.capabilities and not any(each.n for each in self.cells):
            said.append("Nothing was measured yet: skills are as declared.")
        said += [
            f"The text of {r.task} is like that of {r.guess} tasks ({r.sure or 0:.0%}): with "
            f"type: {r.guess} it goes by what was measured at those."
            for r in self.routes
            if r.guess and not r.type
        ]
        if not self.capabilities:
            said.append("Needs are left out: only cost and latency count.")
        if any(each.simulated for each in self.routes):
            said.append("Simulated LLMs are among them: their skills are planted.")
        return tuple(said)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        tasks = [dataclasses.asdict(each) for each in self.routes]
        for task in tasks:
            task["others"] = [{"llm": llm, "why": why} for llm, why in task["others"]]
        return {
            "workflow": self.workflow,
            "capabilities_aware": self.capabilities,
            "tasks": tasks,
            "capabilities": [{**dataclasses.asdict(c), "gap": c.is_gap} for c in self.cells],
            "notes": list(self.notes),
        }  # fmt: skip


def routes_text(view: RoutesView) -> str:
    """Return the routes as text."""
    rows = [
        (r.task, r.kind or NONE, r.llm or "nobody", points(r.expected), _usd(r.usd_per_mtok),
         r.reason or r.problem)
        for r in view.routes
    ]  # fmt: skip
    parts = [
        f"{view.sentence}. {' '.join(view.notes)}",
        table_text(["task", "type", "LLM", "expected", "$/Mtok", "why"], rows),
    ]
    left = [
        f"{r.task}: {r.llm or 'nobody'} before {llm}: {why}"
        for r in view.routes
        for llm, why in r.others
    ]
    if left:
        parts.append("\n".join(left[:40]))
    if view.cells:
        parts.append(
            table_text(
                ["task", "LLM", "skill", "has", "need", "basis", ""],
                [(c.task, c.llm, c.skill, points(c.have), points(c.need), _basis(c),
                  "below need" if c.is_gap else "") for c in view.cells],
            )
        )  # fmt: skip
    return "\n\n".join(parts)


def routes_html(view: RoutesView) -> Html:
    """Return the routes as a card."""
    heads = ("Task", "LLM", "Expected", "$ per Mtok", "Why")
    body = [
        line(
            cell(markup(tag("div", r.task, style="font-weight:600"), dim(r.kind)), style=_PAD),
            cell(_llm(r.llm, simulated=r.simulated), style=_PAD),
            cell(points(r.expected), style=f"{_PAD};text-align:right"),
            cell(_usd(r.usd_per_mtok), style=f"{_PAD};text-align:right"),
            cell(r.reason or r.problem, _others(r), style=f"{_PAD};overflow-wrap:anywhere"),
            style=f"background:transparent;border-top:1px solid {LINE}",
        )
        for r in view.routes
    ]
    parts = [
        header(f"routes · {view.workflow}", "", view.sentence, view.notes),
        tag("div", _table(heads, body), style="padding:6px 10px 12px 10px"),
    ]
    if view.cells:
        parts.append(fold("What they can do", _matrix(view.cells), is_open=True))
    return card(f"routes of {view.workflow}", *parts)


def _matrix(cells: Iterable[Cell]) -> Html:
    rows = [
        line(
            cell(c.task, style=_PAD),
            cell(llm_name(c.llm), style=_PAD),
            cell(c.skill, style=_PAD),
            cell(points(c.have), style=f"{_PAD};text-align:right"),
            cell(points(c.need), style=f"{_PAD};text-align:right"),
            cell(_basis(c), style=f"{_PAD};{DIM}"),
            cell(chip("✕ below need", strong=True) if c.is_gap else "", style=_PAD),
            style=f"background:transparent;border-top:1px solid {LINE}",
        )
        for c in cells
    ]
    return _table(("Task", "LLM", "Skill", "Has", "Need", "Basis", ""), rows)


@dataclass(frozen=True, slots=True)
class WhyView:
    """Why one LLM was chosen for one call."""

    task: str
    llm: str
    router: str
    reason: str
    candidates: Sequence[Mapping[str, Any]]
    """`llm`, and where they are known `expected`, `low`, `high`, `usd_per_mtok`, `seconds`,
    `outcome`, `simulated`."""
    facts: tuple[str, ...] = ()
    """What stood at that moment."""
    simulated: bool = False


def why_html(view: WhyView) -> Html:
    """Return why an LLM was chosen, with everybody who could have been."""
    heads = ("Candidate", "Expected", "$ per Mtok", "Seconds", "Outcome")
    rows = []
    for each in view.candidates:
        chosen = each["llm"] == view.llm
        background = f"{ACCENT}14" if chosen else "transparent"
        outcome = tag("b", "▸ chosen") if chosen else str(each.get("outcome", ""))
        right = f"{_PAD};text-align:right"
        rows.append(
            line(
                cell(_llm(each["llm"], simulated=bool(each.get("simulated"))), style=_PAD),
                cell(points(each.get("expected")), " ", dim(_ends(each)), style=right),
                cell(_usd(each.get("usd_per_mtok")), style=right),
                cell(_seconds(each.get("seconds")), style=right),
                cell(outcome, style=f"{_PAD};overflow-wrap:anywhere"),
                style=f"background:{background};border-top:1px solid {LINE}",
            )
        )  # fmt: skip
    said = tag(
        "p",
        tag("b", view.llm),
        " (simulated)" if view.simulated else "",
        f", because {view.reason}.",
        style="margin:0 0 8px 0;font-size:13px",
    )
    told = tag(
        "p", " · ".join((f"router {view.router}", *view.facts)), style=f"{LABEL};margin:8px 0 0 0"
    )
    parts = (said, _table(heads, rows), told)
    return card(
        "why this LLM", fold("Why this LLM?", *parts, aside=f"task {view.task}", is_open=True)
    )


def why_text(view: WhyView) -> str:
    """Return the same as text."""
    rows = [
        (
            ("> " if each["llm"] == view.llm else "  ") + each["llm"]
            + " (simulated)" * bool(each.get("simulated")),
            points(each.get("expected")), _usd(each.get("usd_per_mtok")),
            _seconds(each.get("seconds")), str(each.get("outcome", "")),
        )
        for each in view.candidates
    ]  # fmt: skip
    mark = " (simulated)" if view.simulated else ""
    return "\n".join(
        [
            f"task {view.task}: {view.llm}{mark}, because {view.reason}.",
            " · ".join((f"router {view.router}", *view.facts)),
            table_text(["candidate", "expected", "$/Mtok", "seconds", "outcome"], rows),
        ]
    )


def _llm(name: str, *, simulated: bool) -> Html:
    if not name:
        return chip("✕ nobody", strong=True)
    return markup(llm_name(name), " ", chip("simulated") if simulated else "")


def _others(route: Route) -> Html:
    said = [tag("div", f"{llm}: {why}", style=DIM) for llm, why in route.others[:12]]
    return markup(*said)


def _table(heads: Sequence[str], rows: Sequence[Html]) -> Html:
    top = line(*(
        cell(head, name="th", scope="col",
             style=f"{_HEAD};text-align:right" if head in _NUMBERS else _HEAD)
        for head in heads
    ))  # fmt: skip
    return table(tag("thead", top), tag("tbody", *rows))


def _basis(each: Cell) -> str:
    if not each.n:
        return "declared" if each.have is not None else "not declared"
    ends = "" if each.low is None else f", {points(each.low)} to {points(each.high)}"
    return f"measured, n={each.n}{ends}"


def _ends(each: Mapping[str, Any]) -> str:
    low, high = each.get("low"), each.get("high")
    return "" if low is None or high is None else f"{points(low)} to {points(high)}"


def _usd(value: float | None) -> str:
    return NONE if value is None else f"{value:.4g}"


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
