"""The table of paired differences, each with its interval as a number and as a mark."""

from __future__ import annotations

from collections.abc import Sequence

from bmad_nb.render.base import (
    ACCENT,
    GREY,
    LABEL,
    LINE,
    NONE,
    Html,
    counted,
    markup,
    signed,
    tag,
)
from bmad_nb.render.parts import cell, dim, line, llm_name, table
from bmad_nb.render.stats import Difference, Paired
from bmad_nb.render.verdict import Verdict

_WIDTH, _HEIGHT = 190, 18
_TH = "font-size:11px;opacity:0.72;white-space:nowrap;"
_FIRST = "font-size:11px;opacity:0.72"
_HEADS = (
    ("left", "4px 8px 4px 20px"), ("right", "5px 8px"), ("right", "5px 8px"),
    ("left", "4px 12px"), ("right", "5px 8px"), ("left", "4px 20px 4px 14px"),
)  # fmt: skip


def paired_section(found: Verdict) -> Html:
    """Return how far the highest mean is above each other, with intervals."""
    paired = found.paired
    if paired is None or not paired.differences:
        return Html("")
    names = (
        markup("Paired difference of ", found.means[0][0]), "Mean", f"{paired.percent} interval",
        "zero at the dotted line", "won\u2013tied\u2013lost", "Verdict",
    )  # fmt: skip
    heads = [
        cell(name, name="th", scope="col",
             style=f"text-align:{side};padding:{space};{_TH if i else _FIRST}")
        for i, (name, (side, space)) in enumerate(zip(names, _HEADS, strict=True))
    ]  # fmt: skip
    scale = _scale(paired.differences)
    body = [_difference(each, paired, found.means[0][0], scale) for each in paired.differences]
    whole = table(
        tag("thead", line(*heads), style=f"border:none;border-bottom:1px solid {LINE}"),
        tag("tbody", *body),
        style="font-size:12px",
    )
    rule = f"A difference is shown only if at least {counted(paired.needed, 'case')} differ."
    note = tag("p", f"{paired.method} {rule}", style=f"{LABEL};margin:8px 20px 14px 20px")
    outer = f"border-top:1px solid {LINE};padding:10px 0 0 0;overflow-x:auto"
    return markup(tag("div", whole, style=outer), note)


def _difference(each: Difference, paired: Paired, best: str, scale: tuple[float, float]) -> Html:
    """Return one comparison."""
    if each.shown:
        verdict = markup("✓ ", tag("span", f"{best} better", style="font-weight:600"))
    else:
        few = each.differing < paired.needed
        why = f"only {counted(each.differing, 'case')} differ" if few else "needs more cases"
        verdict = markup("≈ ", tag("span", "no difference shown", style="font-weight:600"), " ",
                         dim(why, "opacity:0.72"))  # fmt: skip
    ends = f"{signed(each.low)} to {signed(each.high)}" if paired.cases > 1 else NONE
    number = "text-align:right;padding:5px 8px;white-space:nowrap"
    ground = "background:transparent" if each.shown else "background:#7579811f"
    return line(
        cell("against ", llm_name(each.against), name="th", scope="row",
             style="padding:5px 8px 5px 20px;min-width:110px;overflow-wrap:anywhere"),
        cell(tag("span", signed(each.mean), style="font-weight:600"), style=number),
        cell(ends, style=number),
        cell(_mark(each, scale), style="padding:3px 12px"),
        cell(f"{each.won}\u2013{each.tied}\u2013{each.lost}", style=number),
        cell(verdict, style="padding:5px 20px 5px 14px;min-width:130px;overflow-wrap:anywhere"),
        style=ground,
    )  # fmt: skip


def _scale(every: Sequence[Difference]) -> tuple[float, float]:
    """Return the least and the greatest value of the marks, zero among them."""
    low = min(0.0, *(each.low for each in every))
    high = max(0.0, *(each.high for each in every))
    return (low, high) if high - low > 1e-9 else (low - 0.1, high + 0.1)


def _mark(each: Difference, scale: tuple[float, float]) -> Html:
    """Return an interval as a picture without words; the numbers stand beside it."""
    low, high = scale

    def x(value: float) -> str:
        return f"{8 + (_WIDTH - 16) * (value - low) / (high - low):.1f}"

    colour = ACCENT if each.shown else GREY
    middle = str(_HEIGHT // 2)
    zero = tag("line", x1=x(0), x2=x(0), y1="0", y2=str(_HEIGHT), stroke=GREY,
               **{"stroke-dasharray": "2 2"})  # fmt: skip
    span = tag("line", x1=x(each.low), x2=x(each.high), y1=middle, y2=middle, stroke=colour,
               **{"stroke-width": "3", "stroke-linecap": "round"})  # fmt: skip
    fill = colour if each.shown else "none"
    dot = tag("circle", cx=x(each.mean), cy=middle, r="4", fill=fill, stroke=colour,
              **{"stroke-width": "2"})  # fmt: skip
    return tag("svg", zero, span, dot, width=str(_WIDTH), height=str(_HEIGHT),
               viewBox=f"0 0 {_WIDTH} {_HEIGHT}", **{"aria-hidden": "true"})  # fmt: skip
