"""Two runs of the same cases: what got worse, what got better, and what only reads otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bmad_nb.render.base import (
    BAD,
    DIM,
    GOOD,
    GREY,
    LINE,
    NONE,
    WARN,
    Html,
    counted,
    cut,
    joined,
    markup,
    plain,
    points,
    signed,
    tag,
)
from bmad_nb.render.compare import words_between
from bmad_nb.render.parts import card, cell, chip, code, dim, header, line, llm_name, table
from bmad_nb.render.text import table_text

MOST_ROWS = 50
"""Changes that are shown; the rest is in the DataFrame."""
_LIMIT = 600
_SHORT = 60
"""Characters of answers that stand beside each other on one line."""
_GLYPH = {
    "regression": ("✕", BAD), "lost": ("✕", BAD), "fixed": ("✓", GOOD), "changed": ("≈", WARN),
    "new": ("+", GREY), "gone": (NONE, GREY), "same": ("=", GREY),
}  # fmt: skip
_WORDS = {"changed": "in other words"}
"""What a change is called where its name in the frame says too little."""


@dataclass(frozen=True, slots=True)
class ChangedView:
    """All that the display of two runs shows."""

    run_id: str
    before_id: str
    rows: tuple[Mapping[str, Any], ...]
    """A mapping per answer, with the names of `columns.CHANGES`, what needs somebody first."""
    name: str = ""
    """The variable that holds it; empty for none."""
    before_utc: str = ""
    now_utc: str = ""


def sentence(view: ChangedView) -> str:
    """Return what has changed, one sentence."""
    counts = Counter(row["change"] for row in view.rows)
    worse = counts["regression"] + counts["lost"]
    if len(view.rows) == counts["same"]:
        return f"Nothing changed in {counted(len(view.rows), 'answer')}"
    parts = [counted(worse, "regression"), f"{counts['fixed']:,} fixed",
             f"{counts['changed']:,} in other words", f"{counts['same']:,} the same"]  # fmt: skip
    parts += [f"{counts[kind]:,} {kind}" for kind in ("new", "gone") if counts[kind]]
    return ", ".join(parts)


def changed_html(view: ChangedView) -> str:
    """Return the changes as markup."""
    shown = [row for row in view.rows if row["change"] != "same"][:MOST_ROWS]
    more = sum(row["change"] != "same" for row in view.rows) - len(shown)
    where = f"{view.name}.df" if view.name else "its DataFrame, .df"
    note = tag("div", f"{more:,} more, in {where}", style=f"{DIM};padding:6px 20px")
    weak = ["Scores decide what is a regression; without scores words alone are compared."]
    if any(row["simulated"] for row in view.rows):
        weak.append("Simulated LLMs are among them.")
    when = f"{view.before_utc[:16]} → {view.now_utc[:16]} UTC" if view.before_utc else ""
    foot = tag("footer", dim("Next", "opacity:0.72"), " \u00a0",
               joined(map(code, _next(view)), " \u00a0"),
               style=f"border-top:1px solid {LINE};padding:9px 20px;font-size:12px")  # fmt: skip
    return card(
        "Changes between two runs",
        header(f"diff · run {view.before_id} → {view.run_id}", when, sentence(view), weak),
        table(tag("tbody", *(_row(row) for row in shown)), style="font-size:12px"),
        note if more else "",
        foot,
    )


def _next(view: ChangedView) -> list[str]:
    if not view.name:
        return [f"%bmad diff {view.before_id} {view.run_id} -o d", "d.regressions"]
    return [f"{view.name}.{each}" for each in ("regressions", "fixed", "df")]


def _row(row: Mapping[str, Any]) -> Html:
    glyph, colour = _GLYPH[row["change"]]
    case = f"case {row['case']}" if row["case"].isdecimal() else row["case"]
    place = " · ".join(filter(None, [case, row["variant"], _sample(row)]))
    return line(
        cell(chip(f"{glyph} {_word(row)}", colour, strong=row["change"] != "same"),
             style="padding:8px 8px 8px 20px;width:12%"),
        cell(llm_name(row["llm"]), " ", chip("simulated") if row["simulated"] else "",
             tag("div", cut(place, 120), style=DIM, dir="auto"), name="th",
             scope="row", style="padding:8px;width:20%"),
        cell(_scores(row), style="padding:8px;width:14%;white-space:nowrap"),
        cell(_texts(row), style="padding:8px 20px 8px 8px"),
        style=f"background:transparent;border-top:1px solid {LINE}",
    )  # fmt: skip


def _word(row: Mapping[str, Any]) -> str:
    return _WORDS.get(row["change"], str(row["change"]))


def _sample(row: Mapping[str, Any]) -> str:
    return f"sample {row['sample'] + 1}" if row["sample"] else ""


def _scores(row: Mapping[str, Any]) -> str:
    old, new = row["score_before"], row["score"]
    if old is None and new is None:
        return NONE
    more = f" ({signed(new - old, 2)})" if old is not None and new is not None else ""
    return f"{points(old)} → {points(new)}{more}"


def _texts(row: Mapping[str, Any]) -> Html:
    old, new = row["answer_before"], row["answer"]
    if old is None or new is None:
        said = "no answer before" if old is None else "no answer now"
        return tag("div", dim(said), " ", cut(new or old or "", _LIMIT), dir="auto")
    return tag("div", before_and_now(old, new), dir="auto")


def before_and_now(old: str, new: str) -> Html:
    """Return two texts: short ones on a line, long ones by the words in which they differ."""
    if max(len(old), len(new)) <= _SHORT and "\n" not in old + new:
        return markup(tag("span", old, style="opacity:0.78"), " → ", tag("span", new))
    return words_between(cut(old, _LIMIT), cut(new, _LIMIT))


def changed_text(view: ChangedView) -> str:
    """Return the changes as plain text."""
    shown: Sequence[Mapping[str, Any]] = [r for r in view.rows if r["change"] != "same"]
    rows = [
        [_word(r), _who(r), cut(r["case"], 40), _scores(r), one_line(r["answer_before"]),
         one_line(r["answer"])]
        for r in shown[:MOST_ROWS]
    ]  # fmt: skip
    heads = ["change", "LLM", "case", "score", "before", "now"]
    parts = [f"diff  run {view.before_id} -> {view.run_id}\n{sentence(view)}."]
    parts += [table_text(heads, rows)] if rows else []
    where = f"{view.name}.df" if view.name else "its DataFrame, .df"
    parts += [f"{len(shown) - MOST_ROWS:,} more, in {where}"] * (len(shown) > MOST_ROWS)
    return plain("\n\n".join(parts))


def _who(row: Mapping[str, Any]) -> str:
    return f"{row['llm']} (simulated)" if row["simulated"] else str(row["llm"])


def one_line(text: str | None) -> str:
    """Return the beginning of a text for a table of plain text; a dash for none."""
    if text is None:
        return NONE
    one = " ".join(plain(text[:200]).split())
    return one if len(one) <= 32 else f"{one[:31]}…"
