"""The pieces of pictures: signs of states, and words that fit their place."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from bmad_nb.events import RunStatus, TaskState
from bmad_nb.render.base import ACCENT, BAD, GOOD, GREY, WARN, Html, markup, tag

_FONT = "system-ui,sans-serif"
_WHITE = "#ffffff"


class Look(NamedTuple):
    """How a state is shown."""

    glyph: str
    """For text."""
    colour: str
    border: float
    """Width in pixels."""
    dash: str
    tint: str


LOOKS: Mapping[TaskState, Look] = {
    "done": Look("✓", GOOD, 1.2, "none", "0.1"),
    "running": Look("●", ACCENT, 2, "none", "0.1"),
    "waiting": Look("○", GREY, 1.2, "none", "0.04"),
    "skipped": Look("»", GREY, 1.2, "4 3", "0.04"),
    "failed": Look("✕", BAD, 2, "none", "0.1"),
    "cancelled": Look("◐", WARN, 1.6, "1.5 3", "0.1"),
}
GLYPHS: Mapping[RunStatus, str] = {
    "running": "●",
    "completed": "✓",
    "paused": "‖",
    "cancelled": "◐",
    "failed": "✕",
    "interrupted": "◐",
}


def shape(name: str, *children: str, **attributes: str | float) -> Html:
    """Return an element of a picture; an underscore in a name of an attribute is a hyphen there."""
    given = {
        key.replace("_", "-"): each if isinstance(each, str) else f"{each:.6g}"
        for key, each in attributes.items()
    }
    return tag(name, *children, **given)


def icon(state: TaskState) -> Html:
    """Return the sign of a state, 16 pixels wide around the origin."""
    colour = LOOKS[state].colour
    ring: dict[str, str | float] = {
        "r": "6.5",
        "fill": "none",
        "stroke": colour,
        "stroke_width": 1.8,
    }
    pen: dict[str, str | float] = {"fill": "none", "stroke_linecap": "round", "stroke_width": 1.8}
    match state:
        case "done":
            sign = shape("path", d="M-3.5 0.3 L-0.9 3 L3.7 -2.7", stroke=_WHITE, **pen)
            return markup(shape("circle", r=8, fill=colour), sign)
        case "running":
            arc = shape("path", d="M0 -6.5 A6.5 6.5 0 1 1 -5.6 3.3", stroke=colour,
                        **pen | {"stroke_width": 3})  # fmt: skip
            return markup(shape("circle", **ring | {"stroke_width": 3, "stroke_opacity": 0.3}), arc)
        case "waiting":
            hands = shape("path", d="M0 -3.4 L0 0.3 L2.6 2.1", stroke=colour, **pen)
            return markup(shape("circle", **ring), hands)
        case "skipped":
            bar = shape("path", d="M-3 0 L3 0", stroke=colour, **pen)
            return markup(shape("circle", **ring, stroke_dasharray="3 2.1"), bar)
        case "failed":
            cross = shape("path", d="M-2.6 -2.6 L2.6 2.6 M2.6 -2.6 L-2.6 2.6", stroke=_WHITE, **pen)
            return markup(shape("path", d="M-8.5 0 L0 -8.5 L8.5 0 L0 8.5 Z", fill=colour), cross)
    half = shape("path", d="M0 -6.5 A6.5 6.5 0 0 0 0 6.5 Z", fill=colour)
    return markup(shape("circle", **ring), half)


def word(x: float, y: float, text: str, ink: str, *, bold: bool = False) -> Html:
    """Return words with a size of their own: what is around them may have none.

    Only the theme's ink has contrast to spare, so only that is dimmed.
    """
    opacity = 0.78 if ink == "currentColor" and not bold else 1.0
    return shape("text", text, x=x, y=y, fill=ink, fill_opacity=opacity,
                 font_size="12px" if bold else "11px", font_weight=600 if bold else 400,
                 font_family=_FONT)  # fmt: skip


def wide_of(text: str, size: float, *, bold: bool = False) -> float:
    """Return about how many pixels a text takes, in a wide font."""
    return sum(_advance(each) for each in text) * size * (1.08 if bold else 1.0)


def _advance(char: str) -> float:
    """Return the width of a character as a share of the font's size."""
    if unicodedata.combining(char):
        return 0.0
    if unicodedata.east_asian_width(char) in "WF":
        return 1.1
    if char in " .,:;'|!()[]·/-fijlrt":
        return 0.37
    if char in "mwMW@%":
        return 0.95
    return 0.7 if char.isupper() else 0.62


def fitted(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Return a text on one line, cut with an ellipsis where it would take more than `room`.

    >>> fitted("a very long name of a task", 60, 12)
    'a very l…'
    """
    one = " ".join(text[:400].split())
    if len(text) <= 400 and wide_of(one, size, bold=bold) <= room:
        return one
    left = room - wide_of("…", size, bold=bold)
    shown = 0
    for char in one:
        left -= wide_of(char, size, bold=bold)
        if left < 0:
            break
        shown += 1
    return one[:shown].rstrip(" ·") + "…"
