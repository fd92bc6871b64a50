"""The status screen: what is ready, what was spent, what ran last."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from bmad_nb.render.base import (
    ACCENT,
    BAD,
    GOOD,
    GREY,
    LABEL,
    LINE,
    NONE,
    SOFT,
    TRACK,
    WARN,
    Html,
    counted,
    cut,
    joined,
    plain,
    seconds,
    tag,
    usd,
)
from bmad_nb.render.parts import card, cell, code, dim, header, line, table
from bmad_nb.render.text import table_text

_STATES = {
    "running": ("●", ACCENT), "completed": ("✓", GOOD), "completed in part": ("◐", WARN),
    "paused": ("‖", WARN), "cancelled": ("◐", GREY), "failed": ("✕", BAD),
    "interrupted": ("‖", WARN),
}  # fmt: skip


_NO_LIMIT = (
    "No limit in this session: --budget USD sets one for a run, %config BmadMagics.budget for all."
)


class LlmLine(NamedTuple):
    """LLMs of one endpoint that are in one state."""

    names: str
    known: int
    """How many; 0 where only the endpoint is known."""
    ready: bool
    state: str
    price: str
    """US dollars per million tokens of output, in words."""
    first_token_s: float | None


class RunLine(NamedTuple):
    """A run of the store."""

    run_id: str
    what: str
    title: str
    status: str
    said: str
    cost: str


@dataclass(frozen=True, slots=True)
class ScreenView:
    """All that the status screen shows."""

    version: str
    store: str
    count: int
    """Runs in the store."""
    llms: tuple[LlmLine, ...]
    spent_usd: Decimal
    """Real US dollars of today (UTC), of all sessions of this store."""
    simulated_usd: Decimal
    limit_usd: Decimal | None
    """Limit of this session, if it has one."""
    used_usd: Decimal
    """What this session has spent of it."""
    runs: tuple[RunLine, ...]
    next_steps: tuple[str, ...]


def sentence(view: ScreenView) -> str:
    """Return the state in one sentence."""
    ready = sum(each.known for each in view.llms if each.ready)
    parts = [f"Ready: {counted(ready, 'LLM')}"]
    if view.limit_usd is not None:
        parts.append(f"{usd(max(Decimal(0), view.limit_usd - view.used_usd))} left")
    stopped = sum(each.status in {"paused", "interrupted"} for each in view.runs)
    if stopped:
        parts.append(f"{counted(stopped, 'run')} can go on")
    return ", ".join(parts)


def screen_html(view: ScreenView) -> str:
    """Return the status screen as markup."""
    runs = counted(view.count, "run")
    weak = ["Nobody was contacted for this; %bmad models check asks.",
            "The same in a terminal: bmad status."]  # fmt: skip
    foot = tag("footer", dim("Next", "opacity:0.72"), " \u00a0",
               joined((code(each) for each in view.next_steps), " \u00a0"),
               style=f"border-top:1px solid {LINE};padding:9px 20px;font-size:12px;"
               "line-height:1.9")  # fmt: skip
    return card(
        "Status",
        header(f"bmad_nb {view.version} · store {cut(view.store, 200)}, {runs}", "",
               sentence(view), weak),
        _section("LLMs", _llms(view)),
        _section("Money", _money(view)),
        _section("Last runs", _runs(view)) if view.runs else "",
        foot,
    )  # fmt: skip


def _section(name: str, content: Html) -> Html:
    top = tag("div", name, style=f"{LABEL};padding:0 20px 4px 20px")
    return tag("div", top, content, style=f"border-top:1px solid {LINE};padding:10px 0 12px 0")


def _llms(view: ScreenView) -> Html:
    heads = ("LLM", "State", "$ per Mtok out", "First token")
    head = line(*(
        cell(name, name="th", scope="col",
             style=f"padding:2px {'20px' if i == 3 else '10px'} 4px {'20px' if i == 0 else '10px'};"
             f"{LABEL};text-align:{'left' if i < 2 else 'right'};white-space:nowrap")
        for i, name in enumerate(heads)
    ))  # fmt: skip
    return table(tag("thead", head, style="border:none"),
                 tag("tbody", *map(_llm, view.llms)), style="font-size:12px")  # fmt: skip


def _llm(each: LlmLine) -> Html:
    mark = tag("span", "✓" if each.ready else "○", style="display:inline-block;width:18px;"
               f"height:18px;line-height:18px;text-align:center;border-radius:9px;font-size:11px;"
               f"background:{GOOD if each.ready else GREY}33;margin-right:8px")  # fmt: skip
    return line(
        cell(mark, tag("span", each.names, style="font-weight:600"), name="th", scope="row",
             style="padding:5px 10px 5px 20px"),
        cell(each.state, style="padding:5px 10px"),
        cell(each.price or NONE, style="padding:5px 10px;text-align:right;white-space:nowrap"),
        cell(seconds(each.first_token_s),
             style="padding:5px 20px 5px 10px;text-align:right;white-space:nowrap"),
        style=f"background:transparent;border-top:1px solid {SOFT}",
    )  # fmt: skip


def _money(view: ScreenView) -> Html:
    invented = f" and {usd(view.simulated_usd)} simulated" if view.simulated_usd else ""
    said = tag(
        "div", tag("span", usd(view.spent_usd), style="font-weight:600"), " spent today (UTC)",
        dim(invented) if invented else "", style="padding:2px 20px;font-size:12px",
    )  # fmt: skip
    if view.limit_usd is None:
        return tag("div", said, tag("div", dim(_NO_LIMIT), style="padding:2px 20px"))
    share = float(view.used_usd / view.limit_usd) if view.limit_usd else 1.0
    inner = tag("div", style=f"height:8px;width:{100 * min(1.0, share):.0f}%;background:{ACCENT};"
                "border-radius:3px")  # fmt: skip
    bar = tag(
        "div", inner, style=f"height:8px;background:{TRACK};border-radius:3px;margin:4px 20px"
    )
    left = usd(max(Decimal(0), view.limit_usd - view.used_usd))
    rest = f"{left} left of {usd(view.limit_usd)} in this session"
    return tag("div", bar, said, tag("div", rest, style="padding:2px 20px;font-size:12px"))


def _runs(view: ScreenView) -> Html:
    return table(tag("tbody", *map(_run, view.runs)), style="font-size:12px")


def _run(each: RunLine) -> Html:
    glyph, colour = _STATES.get(each.status, ("", GREY))
    return line(
        cell(code(each.run_id), style="padding:5px 10px 5px 20px;white-space:nowrap"),
        cell(tag("span", each.what, style="font-weight:600"),
             tag("div", cut(each.title, 90), style=LABEL, dir="auto"), name="th", scope="row",
             style="padding:5px 10px"),
        cell(tag("span", glyph, style=f"color:{colour};font-weight:600"), f" {each.status}",
             style="padding:5px 10px;white-space:nowrap"),
        cell(cut(each.said, 200), style="padding:5px 10px"),
        cell(each.cost, style="padding:5px 20px 5px 10px;text-align:right;white-space:nowrap"),
        style=f"background:transparent;border-top:1px solid {SOFT}",
    )  # fmt: skip


def screen_text(view: ScreenView) -> str:
    """Return the status screen as plain text."""
    llms = [["✓" if each.ready else "○", each.names, cut(each.state, 60), each.price or NONE,
             seconds(each.first_token_s)] for each in view.llms]  # fmt: skip
    top = f"bmad_nb {view.version}  store {view.store}, {counted(view.count, 'run')}"
    money = f"{usd(view.spent_usd)} spent today (UTC)"
    money += f" and {usd(view.simulated_usd)} simulated" if view.simulated_usd else ""
    heads = ["", "LLM", "state", "$ per Mtok out", "first token"]
    parts = [f"{top}\n{sentence(view)}.", table_text(heads, llms), money]
    if view.runs:
        rows = [[each.run_id, each.what, f"{_STATES.get(each.status, ('',))[0]} {each.status}",
                 each.said, each.cost] for each in view.runs]  # fmt: skip
        parts.append(table_text(["run", "what", "state", "", "cost"], rows))
    parts.append("Next: " + "   ".join(view.next_steps))
    return plain("\n\n".join(parts))
