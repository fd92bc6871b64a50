"""Answers under letters, for a person who is not to know whose they are."""

from __future__ import annotations

from collections.abc import Sequence

from bmad_nb.render.base import DIM, LINE, NONE, PRE, Html, cut, plain, tag
from bmad_nb.render.parts import answer, card, cell, code, dim, header, line, table

Lettered = tuple[str, str, str]
"""Letter, answer, and the name once it may be known."""
_LIMIT = 4000
_HINT = "Rate what you read; the names show once something is rated."


def blind_html(case: str, question: str, rows: Sequence[Lettered]) -> str:
    """Return answers under letters as markup."""
    body = [
        line(
            cell(tag("span", letter, style="font-size:15px;font-weight:600"),
                 tag("div", name, style=DIM) if name else "", name="th", scope="row",
                 style="padding:10px 12px 10px 20px;width:8%"),
            cell(answer(text, _LIMIT, f'blind.answers["{letter}"]'),
                 style="padding:10px 20px 10px 0"),
            style=f"background:transparent;border-top:1px solid {LINE}",
        )
        for letter, text, name in rows
    ]  # fmt: skip
    foot = tag("footer", dim("Next", "opacity:0.72"), " \u00a0", code('blind.best("A")'), " \u00a0",
               code("blind.rate(A=0.9, B=0.4)"),
               style=f"border-top:1px solid {LINE};padding:9px 20px;font-size:12px")  # fmt: skip
    asked = tag("div", cut(question, _LIMIT), style=f"{PRE};{DIM};padding:10px 20px;"
                "max-height:200px;overflow:auto", dir="auto")  # fmt: skip
    head, whole = _head(case, len(rows)), table(tag("tbody", *body))
    return card("Answers without names", head, asked, whole, foot)


def _head(case: str, count: int) -> Html:
    said = f"{count} answers, names hidden" + (f": {cut(case, 120)}" if case else "")
    return header("blind rating", "", said, [_HINT])


def blind_text(case: str, question: str, rows: Sequence[Lettered]) -> str:
    """Return answers under letters as plain text."""
    top = f"{len(rows)} answers, names hidden{': ' + case if case else ''}\n{_HINT}"
    parts = [
        f"[{letter}]{'  ' + name if name else ''}\n  {cut(text, _LIMIT) or NONE}"
        for letter, text, name in rows
    ]
    top += f"\n\n{cut(question, _LIMIT)}" if question else ""
    return plain("\n\n".join([top, *parts, 'Next: blind.best("A")   blind.rate(A=0.9, B=0.4)']))
