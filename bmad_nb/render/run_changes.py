"""Two runs of a workflow, task by task: what came out otherwise, who answered, what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bmad_nb.events import RunRow
from bmad_nb.render.base import (
    BAD,
    DIM,
    GOOD,
    GREY,
    LABEL,
    LINE,
    NONE,
    WARN,
    Html,
    counted,
    cut,
    joined,
    markup,
    plain,
    seconds,
    tag,
    usd,
)
from bmad_nb.render.changed import MOST_ROWS, before_and_now, one_line
from bmad_nb.render.parts import card, cell, chip, code, dim, header, line, llm_name, table
from bmad_nb.render.text import table_text

_LIMIT = 600
"""Characters of a result that stands alone."""
_GLYPH = {
    "not done now": ("✕", BAD), "done now": ("✓", GOOD), "otherwise": ("≈", WARN),
    "new": ("+", GREY), "gone": (NONE, GREY), "same": ("=", GREY),
}  # fmt: skip
"""What may have become of a task, what needs somebody first."""


@dataclass(frozen=True, slots=True)
class RunChangesView:
    """All that the display of two runs of a workflow shows."""

    run: RunRow
    before: RunRow
    rows: tuple[Mapping[str, Any], ...]
    """A mapping per task, with the names of `Run.compare`."""
    name: str = ""
    """The variable that holds it; empty for none."""


def kind_of(row: Mapping[str, Any]) -> str:
    """Return what has become of a task since the earlier run."""
    now, old = row["state"], row["state_other"]
    if old is None or now is None:
        return "new" if old is None else "gone"
    if (now == "done") != (old == "done"):
        return "done now" if now == "done" else "not done now"
    same = row["same"] if now == "done" else now == old
    return "same" if same else "otherwise"


def sentence(view: RunChangesView) -> str:
    """Return what has changed, one sentence."""
    counts = Counter(map(kind_of, view.rows))
    if len(view.rows) == counts["same"]:
        return f"{counted(len(view.rows), 'task')}, all with the same result"
    parts = [f"{counts[kind]:,} {kind}" for kind in _GLYPH if counts[kind] and kind != "otherwise"]
    if counts["otherwise"]:
        parts.insert(0, f"{counted(counts['otherwise'], 'task')} with another result")
    return ", ".join(parts)


def _weak(view: RunChangesView) -> list[str]:
    weak = ["Results are compared letter by letter; which one is better is not judged."]
    if any(row["simulated"] or row["simulated_other"] for row in view.rows):
        weak.append("Simulated LLMs are among them: their answers, prices and times are invented.")
    return weak


def run_changes_html(view: RunChangesView) -> str:
    """Return the two runs as markup."""
    order = list(_GLYPH)
    rows = sorted(view.rows, key=lambda row: order.index(kind_of(row)))
    shown, more = rows[:MOST_ROWS], len(rows) - MOST_ROWS
    where = f"{view.name}.df" if view.name else "the DataFrame of .df"
    steps = [f"%bmad show {view.run.run_id}", f"%bmad show {view.before.run_id}"]
    steps = [f"{view.name}.df", *steps] if view.name else steps
    gap = " \u00a0"
    foot = tag("footer", dim("Next", "opacity:0.72"), gap, joined(map(code, steps), gap),
               style=f"border-top:1px solid {LINE};padding:9px 20px;font-size:12px")  # fmt: skip
    heads = ["Change", "Task", "LLM", "Cost", "Time", "Result, before → now"]
    head = line(*(
        cell(dim(name, "font-size:11px;opacity:0.72"), name="th", scope="col",
             style=f"padding:8px 8px 4px {20 if n == 0 else 8}px")
        for n, name in enumerate(heads)
    ))  # fmt: skip
    note = tag("div", f"{more:,} more, in {where}", style=f"{DIM};padding:6px 20px")
    body = tag("tbody", *map(_row, shown))
    names = {view.run.workflow, view.before.workflow} - {""}
    return card(
        "Two runs of a workflow",
        header(f"diff · run {view.before.run_id} → {view.run.run_id}", " and ".join(sorted(names)),
               sentence(view), _weak(view)),
        table(tag("thead", head, style="border:0"), body, style="font-size:12px"),
        note if more > 0 else "",
        foot,
    )  # fmt: skip


def _row(row: Mapping[str, Any]) -> Html:
    kind = kind_of(row)
    glyph, colour = _GLYPH[kind]
    pad = "padding:8px"
    return line(
        cell(chip(f"{glyph} {kind}", colour, strong=kind != "same"),
             style=f"{pad};padding-left:20px;width:13%"),
        cell(tag("b", cut(row["task"], 80), style="font-weight:600;overflow-wrap:anywhere"),
             name="th", scope="row", style=f"{pad};width:14%", dir="auto"),
        cell(*_both(row, "llm", None), style=f"{pad};width:18%"),
        cell(*_both(row, "cost_usd", _cost), style=f"{pad};width:12%"),
        cell(*_both(row, "duration_s", _time), style=f"{pad};width:10%"),
        cell(_results(row), style=f"{pad};padding-right:20px", dir="auto"),
        style=f"background:transparent;border-top:1px solid {LINE}",
    )  # fmt: skip


def _both(row: Mapping[str, Any], name: str, said: Any) -> tuple[str, ...]:
    """Return what a column has in both runs, and whether it is invented; once where both agree."""
    old, new = ((row[f"{name}{end}"], bool(row[f"simulated{end}"])) for end in ("_other", ""))
    if row["state_other"] is None or row["state"] is None or old == new:
        old = new = new if row["state"] is not None else old
    if name == "llm":
        parts = [_llm(*each) for each in dict.fromkeys((old, new))]
        return tuple(tag("div", "→ " * bool(n), each) for n, each in enumerate(parts))
    parts = [said(value) + " simulated" * (invented and not (old[1] and new[1]))
             for value, invented in dict.fromkeys((old, new))]  # fmt: skip
    aside = tag("div", "simulated", style=LABEL) if old[1] and new[1] else ""
    return " → ".join(parts), aside


def _llm(value: Any, simulated: bool) -> Html:
    if not value:
        return markup(NONE)
    return markup(llm_name(value), " ", chip("simulated") if simulated else "")


def _cost(value: Any) -> str:
    return "price unknown" if value is None else usd(Decimal(str(value)))


def _time(value: Any) -> str:
    return NONE if value is None else seconds(value)


def _results(row: Mapping[str, Any]) -> Html:
    old, new = row["answer_other"], row["answer"]
    if old is None and new is None:
        return dim("no result in either")
    if old is None or new is None:
        said = "no result before; now" if old is None else "no result now; before"
        return markup(dim(said), " ", cut(new or old or "", _LIMIT))
    if old == new:
        return markup(cut(new, _LIMIT))
    return before_and_now(old, new)


def run_changes_text(view: RunChangesView) -> str:
    """Return the two runs as plain text."""
    rows = [
        [kind_of(row), cut(row["task"], 40), *(_plain_both(row, *each) for each in (
            ("llm", _llm_words), ("cost_usd", _cost_words), ("duration_s", _time_words))),
         one_line(row["answer_other"]), one_line(row["answer"])]
        for row in view.rows[:MOST_ROWS]
    ]  # fmt: skip
    heads = ["change", "task", "LLM", "cost", "time", "before", "now"]
    parts = [f"diff  run {view.before.run_id} -> {view.run.run_id}\n{sentence(view)}.",
             " ".join(_weak(view)), table_text(heads, rows)]  # fmt: skip
    return plain("\n\n".join(parts))


def _plain_both(row: Mapping[str, Any], name: str, said: Any) -> str:
    old, new = (said(row[f"{name}{end}"], row[f"simulated{end}"]) for end in ("_other", ""))
    return str(new) if old == new else f"{old} -> {new}"


def _llm_words(value: Any, simulated: Any) -> str:
    return f"{value} (simulated)" if simulated else str(value or NONE)


def _cost_words(value: Any, simulated: Any) -> str:
    del simulated  # it stands at the LLM, in the same row
    return NONE if value is None else usd(Decimal(str(value)))


def _time_words(value: Any, simulated: Any) -> str:
    del simulated
    return NONE if value is None else seconds(value)
