"""Shares of a whole as stacked bars, a bar for each router: a static picture, a table and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bmad_nb.render.base import ACCENT, DIM, GREY, LINE, NO_MATH, Html, cut, plain, tag
from bmad_nb.render.parts import cell, line, table
from bmad_nb.render.text import table_text

WIDTH, _LEFT, _ROW, _TOP = 760, 170, 30, 46
PALETTE = (ACCENT, "#8aa4e8", "#a9aeb8", GREY, "#c9b27c", "#a96c05", "#7fb592", "#2e8a4a")
"""Colours of the parts, the first the most used; with more parts they begin again."""
ON_PARTS = "#000000"
"""Ink on each of them: 4.8:1 and more, where white has 4.3:1 and less."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Bars of parts: shares of one whole, or of the longest bar."""

    title: str
    parts: tuple[str, ...]
    """What the bars are made of, such as LLMs."""
    bars: tuple[tuple[str, tuple[float, ...]], ...]
    """Name of each bar, and the share in [0, 1] of each part."""
    notes: tuple[str, ...] = ()
    said: tuple[tuple[str, ...], ...] = ()
    """What the table says of each bar in place of percentages, such as amounts."""
    heads: tuple[str, ...] = ()
    """Heads of what is said behind the parts."""

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table: a row for each bar."""
        if self.said:
            return [(name, *row) for (name, _), row in zip(self.bars, self.said, strict=True)]
        return [(name, *(percent(each) for each in shares)) for name, shares in self.bars]


def percent(share: float) -> str:
    """Return a share in percent.

    >>> percent(0.256)
    '26 %'
    """
    return f"{100 * share:.0f} %"


def colour(number: int) -> str:
    """Return the colour of a part."""
    return PALETTE[number % len(PALETTE)]


def shares_svg(chart: Shares, *, ink: str = "currentColor") -> Html:
    """Return the picture; arguments as of `scatter_svg`."""
    height = _TOP + _ROW * len(chart.bars) + 12
    wide = WIDTH - _LEFT - 20
    parts: list[Html] = []
    at = _LEFT
    for number, name in enumerate(chart.parts):
        short = name if len(name) <= 34 else name[:33] + "…"
        parts.append(tag("rect", x=str(at), y="10", width="10", height="10", fill=colour(number)))
        parts.append(_word(at + 15, 19, short, ink, "start"))
        at += 32 + int(6.2 * len(short))
    rows = chart.rows()
    for row, (name, shares) in enumerate(chart.bars):
        texts = rows[row][1:]
        y = _TOP + _ROW * row
        parts.append(
            _word(_LEFT - 10, y + 14, name if len(name) <= 26 else name[:25] + "…", ink, "end")
        )
        x = float(_LEFT)
        for number, share in enumerate(shares):
            drawn = tag("rect", tag("title", f"{name}: {chart.parts[number]} {texts[number]}"),
                        x=f"{x:.1f}", y=str(y), width=f"{wide * share:.1f}", height="20",
                        fill=colour(number))  # fmt: skip
            parts.append(drawn if share else Html(""))
            if wide * share >= 12 + 6 * len(texts[number]):
                parts.append(_word(x + wide * share / 2, y + 14, texts[number], ON_PARTS))
            x += wide * share
    return tag("svg", *parts, xmlns="http://www.w3.org/2000/svg", width="100%", role="img",
               viewBox=f"0 0 {WIDTH} {height}", style="display:block;max-width:760px",
               **{"aria-label": chart.title})  # fmt: skip


def _word(x: float, y: float, text: str, ink: str, anchor: str = "middle") -> Html:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", fill=ink,
               **{"text-anchor": anchor, "font-size": "11px",
                  "font-family": "system-ui,sans-serif"})  # fmt: skip


def shares_html(chart: Shares) -> Html:
    """Return title, picture, notes and the table of the same numbers."""
    head = "padding:6px 8px;font-size:11px;opacity:0.72;text-align:"
    heads = [cell("", name="th", style=f"{head}left")]
    heads += [
        cell(cut(each, 200), name="th", scope="col", style=f"{head}right")
        for each in (*chart.parts, *chart.heads)
    ]
    rows = [
        line(
            *(
                cell(cut(each, 200), style=f"padding:4px 8px;text-align:{'right' if n else 'left'}")
                for n, each in enumerate(row)
            ),
            style=f"background:transparent;border-top:1px solid {LINE}",
        )
        for row in chart.rows()
    ]
    title = "font-size:15px;line-height:1.4;font-weight:600;margin:0 0 8px"
    return tag(
        "section",
        tag("p", chart.title, style=title),
        tag("div", shares_svg(chart), style="font-size:0;line-height:0"),
        tag("p", " ".join(chart.notes), style=f"{DIM};margin:6px 0") if chart.notes else "",
        table(tag("thead", line(*heads)), tag("tbody", *rows), style="font-size:12px"),
        style="max-width:760px;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums",
        **{"class": NO_MATH},
    )  # fmt: skip


def shares_text(chart: Shares) -> str:
    """Return title, table and notes as plain text."""
    heads: Sequence[str] = ("", *chart.parts, *chart.heads)
    return plain("\n".join([chart.title, "", table_text(heads, chart.rows()), *chart.notes]))
