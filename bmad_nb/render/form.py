"""The words and marks around the fields of a form; what stands in a field is no business of ours.

All of it is markup from escaped text. `STYLE` is the one style sheet: it only refines what would
read well without it, and lives as long as the form does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bmad_nb.errors import Problem
from bmad_nb.render.base import (
    ACCENT,
    BAD,
    DIM,
    GOOD,
    LABEL,
    LINE,
    MONO,
    NO_MATH,
    PRE,
    SOFT,
    WARN,
    Html,
    counted,
    cut,
    joined,
    listed,
    markup,
    plain,
    tag,
)
from bmad_nb.render.graph import figure
from bmad_nb.render.parts import card, chip, fold, header
from bmad_nb.render.run import GraphView, WorkflowView
from bmad_nb.render.run_card import workflow_html
from bmad_nb.render.run_text import workflow_text

MOST_LINES, LINE_LIMIT = 400, 400
"""Lines of a definition that are shown, and characters of each."""
MOST_SAID = 40
"""Problems that are listed."""

STYLE = f"""<style>
.bmad-form {{border:1px solid {LINE};border-radius:8px;max-width:960px;overflow:hidden}}
.bmad-form .bmad-part {{border-top:1px solid {LINE};padding:10px 20px 12px}}
.bmad-form .bmad-head {{padding:10px 20px 0}}
.bmad-form .bmad-side {{padding:4px 14px 8px 6px}}
.bmad-form .bmad-main {{padding:0 2px 8px 14px;border-left:1px solid {LINE}}}
.bmad-form .bmad-side button {{padding:0 9px;font-size:12px}}
.bmad-form .bmad-side select {{border:none;background:transparent;padding:0}}
.bmad-form .bmad-side option {{padding:6px 8px;border-radius:4px;text-overflow:ellipsis;
  overflow:hidden}}
.bmad-form .widget-label {{text-align:left;font-size:12px;opacity:0.85}}
.bmad-form .bmad-code textarea, .bmad-form .bmad-code input {{
  font-family:var(--jp-code-font-family,monospace);font-size:12px;line-height:1.55}}
.bmad-form .bmad-named > .widget-label {{position:absolute;width:1px;height:1px;overflow:hidden;
  clip-path:inset(50%);padding:0}}
.bmad-form textarea {{resize:vertical}}
.bmad-form .widget-text input, .bmad-form .widget-textarea textarea,
.bmad-form .widget-dropdown select {{border-radius:4px}}
.bmad-form .bmad-row > :not(:first-child) .widget-label {{width:64px!important}}
.bmad-form .bmad-row > :not(:first-child) .widget-text {{width:150px!important}}
.bmad-form .bmad-row > div {{margin-right:14px}}
.bmad-form .bmad-row > :not(:first-child) > :not(.widget-text) {{margin-left:2px!important}}
.bmad-form .bmad-wrong input, .bmad-form .bmad-wrong textarea, .bmad-form .bmad-wrong select {{
  border:2px solid {BAD}}}
.bmad-form button.bmad-name {{border-radius:9px;height:20px;line-height:18px;padding:0 8px;
  font-size:11px;border:1px solid {LINE};background:{SOFT};color:inherit}}
.bmad-form :focus-visible {{outline:2px solid {ACCENT}!important;outline-offset:1px}}
.bmad-form .lm-TabBar-content {{border-bottom:1px solid {LINE}!important;padding:0 18px}}
.bmad-form .lm-TabBar-tab {{border:none!important;background:transparent!important;
  flex:0 0 auto!important;min-width:0!important;margin:0!important;padding:0 12px!important}}
.bmad-form .lm-TabBar-tab::before {{display:none}}
.bmad-form .lm-TabBar-tab.lm-mod-current {{font-weight:600;
  border-bottom:2px solid {ACCENT}!important}}
.bmad-form .widget-tab-contents {{border:none!important;background:transparent!important;
  padding:8px 18px!important}}
.bmad-form button.bmad-fold {{text-align:left;background:transparent!important;color:inherit;
  border:none;border-top:1px solid {SOFT};padding:0 4px;box-shadow:none!important;font-size:12px;
  height:30px;margin:0}}
.bmad-form .widget-dropdown select {{appearance:auto;background-image:none}}
</style>"""
"""Refines the form; no text of anybody is in it."""


class Said(NamedTuple):
    """One problem as it is listed."""

    where: str
    """Whose it is, such as a task and a key."""
    problem: Problem
    warns: bool = False
    """Whether the definition is sound and something is only missing here."""


def beside(problems: Iterable[Said]) -> str:
    """Return problems as they stand below the field that they belong to."""
    lines = []
    for each in list(problems)[:MOST_SAID]:
        mark, colour = ("!", WARN) if each.warns else ("✕", BAD)
        style = (
            f"font-size:12px;line-height:1.45;margin:2px 0 4px 0;border-left:3px solid {colour};"
            f"padding:0 0 0 8px;overflow-wrap:anywhere;{PRE}"
        )
        what = tag("span", f"{mark} {cut(each.problem.what, 600)}", style="font-weight:600")
        lines.append(tag("div", what, f" {cut(each.problem.hint, 600)}".rstrip(), style=style))
    return _block(joined(lines))


def hint(text: str) -> str:
    """Return an aside below a field."""
    return _block(tag("div", text, style=f"{LABEL};overflow-wrap:anywhere"))


def listing(problems: Sequence[Said]) -> str:
    """Return the problems that stand beside no field in sight, each with its place."""
    if not problems:
        return ""
    lines = []
    for each in problems[:MOST_SAID]:
        mark = "!" if each.warns else "✕"
        line = each.problem.line
        place = f"line {line}:{each.problem.column}" if line else ""
        where = " · ".join(filter(None, (cut(each.where, 200), place)))
        lines.append(tag(
            "div", f"{mark} ", tag("span", f"{where}: " if where else "", style="opacity:0.78"),
            tag("span", cut(each.problem.what, 600), style="font-weight:600"),
            f" {cut(each.problem.hint, 600)}".rstrip(),
            style=f"margin:0 0 3px 0;overflow-wrap:anywhere;{PRE}",
        ))  # fmt: skip
    more = len(problems) - MOST_SAID
    lines += [tag("div", f"{more:,} more", style=DIM)] if more > 0 else []
    colour = WARN if all(each.warns for each in problems) else BAD
    style = (
        f"font-size:12px;line-height:1.45;background:{colour}14;border-left:3px solid {colour};"
        "padding:8px 12px"
    )
    return _block(tag("div", *lines, style=style, role="status"))


def comments_lost(comments: Sequence[str]) -> str:
    """Return what is to be said of comments that a change could not keep; empty of none."""
    if not comments:
        return ""
    some = listed([repr(cut(each, 60)) for each in comments])
    were = "comment was" if len(comments) == 1 else "comments were"
    return (
        f"This layout left no place for the change: part of it is written anew, and "
        f"{len(comments):,} {were} lost ({some}). Undo takes it back."
    )


def title(name: str, about: str) -> str:
    """Return the name of what is edited, and where and how it is kept."""
    return _block(
        tag("span", about, style=f"float:right;{LABEL};padding:4px 0 0 0;overflow-wrap:anywhere"),
        tag("span", cut(name, 100) or "workflow", style="font-weight:600;font-size:15px"),
    )


def label(text: str) -> str:
    """Return a small heading."""
    return _block(tag("div", text, style=LABEL))


def drawn(view: GraphView) -> str:
    """Return the picture of a definition's tasks."""
    return _block(figure(view, states=False))


def estimate(parts: Sequence[tuple[str, str, str]], note: str = "") -> str:
    """Return what a run is expected to take, in cells side by side.

    Args:
        parts: heading, number and aside of each cell.
        note: what is said instead of numbers, or below them.
    """
    cells = [
        tag(
            "td",
            tag("div", head, style=LABEL),
            tag("span", number, style="font-weight:600;font-size:15px;line-height:1.4"),
            " ",
            tag("span", aside, style="font-size:12px;opacity:0.78"),
            style="padding:0 28px 0 0;text-align:left;vertical-align:top;line-height:1.45",
        )
        for head, number, aside in parts
    ]
    row = tag("table", tag("tbody", tag("tr", *cells, style="background:transparent")),
              style="border-collapse:collapse;margin:0") if cells else ""  # fmt: skip
    below = tag("div", note, style=f"{LABEL};margin:2px 0 0 0") if note else ""
    return _block(row, below)


def status(text: str, kind: str = "") -> str:
    """Return one line about what just happened; `kind` is good, bad, or empty."""
    colour, mark = {"good": (GOOD, "✓ "), "bad": (BAD, "✕ ")}.get(kind, ("", ""))
    edge = f"border-left:3px solid {colour};padding:0 0 0 8px;" if colour else ""
    style = f"{edge}font-size:12px;line-height:1.45;overflow-wrap:anywhere;{PRE}"
    return (
        _block(tag("div", f"{mark}{cut(text, 2000)}", style=style, role="status")) if text else ""
    )


def wrong_lines(text: str, problems: Sequence[Problem]) -> str:
    """Return the lines of a document that something is wrong with, each with what it is."""
    every = text.split("\n")
    rows = []
    for each in problems[:MOST_SAID]:
        said = f"line {each.line}, column {each.column}" if each.line else "whole document"
        line = every[each.line - 1].rstrip("\r") if 0 < each.line <= len(every) else ""
        rows.append(tag(
            "div", tag("span", f"✕ {said}: ", style="font-weight:600"), each.what, f" {each.hint}",
            tag("div", _marked(line, each.column), style=f"{MONO};font-size:12px;{PRE}"),
            style=f"font-size:12px;line-height:1.5;border-left:3px solid {BAD};padding:0 0 0 8px;"
            "margin:0 0 6px 0;overflow-wrap:anywhere",
        ))  # fmt: skip
    return _block(joined(rows))


def _marked(line: str, column: int) -> Html:
    """Return a line with the word underlined at which something is wrong."""
    line = line[:LINE_LIMIT]
    at = min(max(column - 1, 0), len(line))
    word = line[at:].split(" ", 1)[0] or line[at:]
    under = tag("span", word, style=f"border-bottom:2px solid {BAD}")
    return markup(line[:at], under if word else "", line[at + len(word) :])


def definition_html(name: str, view: WorkflowView | None, graph: GraphView, text: str,
                    problems: Sequence[Problem]) -> str:  # fmt: skip
    """Return a definition as a saved notebook shows it: its plan, or what is wrong, and its text.

    Args:
        name: what it is called.
        view: its plan; None while it cannot be planned.
        graph: its tasks, as far as they can be seen.
        text: the document.
        problems: what is wrong with it.
    """
    lines = _numbered(text, {each.line for each in problems})
    source = fold("Definition", lines, aside="YAML", is_open=bool(problems))
    if view is not None and not problems:
        return markup(Html(workflow_html(view)), card(f"Definition of {name}", source))
    said = [Said("", each) for each in problems]
    sentence = f"{counted(len(problems), 'problem')} to be solved before it can run."
    return card(
        f"Workflow {name}", header(f"workflow {name}", "", sentence, []),
        _padded(Html(listing(said))), figure(graph, states=False), source,
    )  # fmt: skip


def definition_text(
    name: str, view: WorkflowView | None, text: str, problems: Sequence[Problem]
) -> str:
    """Return a definition as plain text: its plan, or what is wrong with it, and its text."""
    if view is not None and not problems:
        return f"{workflow_text(view)}\n\n{plain(text.rstrip())}"
    said = [f"✕ line {p.line}:{p.column}: {p.what} {p.hint}".rstrip() for p in problems[:MOST_SAID]]
    top = f"workflow {name}  {counted(len(problems), 'problem')}"
    return plain("\n".join([top, *said, "", text.rstrip()]))


def _padded(content: str) -> Html:
    return tag("div", content, style="padding:10px 20px")


def _numbered(text: str, wrong: set[int]) -> Html:
    """Return the lines of a document with their numbers; those that are wrong are marked."""
    every = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    rows = []
    for number, line in enumerate(every[:MOST_LINES], 1):
        mark = "✕ " if number in wrong else ""
        tint = f"background:{BAD}1f;" if mark else ""
        count = tag("span", f"{mark}{number}".rjust(5), style="opacity:0.66")
        rows.append(
            tag("div", count, f"  {line[:LINE_LIMIT]}", style=f"{tint}white-space:pre-wrap")
        )
    more = len(every) - MOST_LINES
    rows += [tag("div", f"{more:,} more lines", style=DIM)] if more > 0 else []
    style = f"{MONO};font-size:12px;line-height:1.6;overflow-wrap:anywhere;margin:6px 0 0 0"
    return tag("div", *rows, style=style)


def names(found: Sequence[str]) -> str:
    """Return the names that a text reads and that are known, each in a pill."""
    return _block(joined((chip(f"✓ {cut(each, 80)}", GOOD) for each in found[:20]), " "))


def _block(*parts: str) -> str:
    """Return parts as one element, in which Jupyter sets no mathematics."""
    return tag("div", *parts, **{"class": NO_MATH})
