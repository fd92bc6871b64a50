"""What all charts share: a live figure with its static twin, and how frames are read.

A plotly figure alone shows nothing where scripts do not run (GitHub, nbviewer, nbconvert, a
terminal), so each chart brings the same numbers as SVG, as a table and as text.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import plotly.graph_objects as go

from bmad_nb.render.base import GREY, SOFT, plain

INK, PAPER = "#1f2328", "#ffffff"
"""Colours of a picture in a file of its own, which has no theme to inherit from."""
_THEME = '<span style="color:currentColor">', "</span>"
"""Around plotly's words, so that they take the page's ink: no one colour holds on every page."""


class Twin(NamedTuple):
    """The numbers of a chart for every place that runs no scripts."""

    html: str
    svg: str
    """A picture that names its colours: it has no theme to inherit from."""
    text: str


class Chart(go.Figure):  # type: ignore[misc]  # plotly has no types
    """A plotly figure that brings a static twin: SVG, a table and text of the same numbers."""

    _ipython_display_ = None
    """Switched off: plotly's own would show the figure alone and leave out the twin."""

    def __init__(self, *args: Any, static: Twin | None = None, **kwargs: Any) -> None:
        """Keep the twin beside the figure."""
        super().__init__(*args, **kwargs)
        self._static = static

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the figure and its twin; no part of it fetches anything."""
        del include, exclude, kwargs
        bundle: dict[str, Any] = {
            "application/vnd.plotly.v1+json": {
                **in_ink_of_the_page(self.to_plotly_json_safe()),
                "config": {"displaylogo": False},
            },
            "text/plain": repr(self),
        }
        if self._static is not None:
            bundle["text/html"] = self._static.html
            bundle["image/svg+xml"] = _on_paper(self._static.svg)
        return bundle

    def to_plotly_json_safe(self) -> dict[str, Any]:
        """Return the figure as plain JSON values."""
        import json

        figure: dict[str, Any] = json.loads(self.to_json())
        return figure

    def _repr_html_(self) -> str:
        """Return the static twin."""
        return self._static.html if self._static is not None else ""

    def __repr__(self) -> str:
        """Return the numbers as text."""
        return self._static.text if self._static is not None else "Chart()"


def plotly_text(text: str) -> str:
    """Return text that plotly shows as it is: no tags, no links, no formulas.

    >>> plotly_text("<b>$x$</b>")
    '&lt;b&gt;&#36;x&#36;&lt;/b&gt;'
    """
    safe = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("$", "&#36;")


def in_ink_of_the_page(figure: dict[str, Any]) -> dict[str, Any]:
    """Return a figure whose titles, ticks and labels have the colour of the text around them."""
    around = figure.get("layout", {})
    for name, part in around.items():
        is_axis = bool(re.fullmatch(r"[xy]axis\d*", name))
        title = part.get("title", {}) if is_axis else part if name == "title" else {}
        if title.get("text"):
            title["text"] = _inked(title["text"])
        if is_axis and "ticktext" in part:
            part["ticktext"] = list(map(_inked, part["ticktext"]))
        elif is_axis:
            part["tickprefix"] = _THEME[0] + part.get("tickprefix", "")
            part["ticksuffix"] = part.get("ticksuffix", "") + _THEME[1]
    for each in figure.get("data", []):
        if around.get("showlegend") and each.get("name"):
            each["name"] = _inked(each["name"])
        if "text" in each.get("mode", ""):
            words = each["text"] if isinstance(each["text"], list) else [each["text"]]
            each["text"] = list(map(_inked, words))
    return figure


def _inked(words: str) -> str:
    return "".join((_THEME[0], words, _THEME[1])) if words else words


def _on_paper(svg: str) -> str:
    """Return a picture with a sheet of paper behind it."""
    sheet = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return svg.replace(">", f">{sheet}", 1)


def layout(title: str, height: int) -> dict[str, Any]:
    """Return what all figures look like; all colours hold on a light and on a dark page."""
    return {
        "template": None, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": GREY, "size": 12},
        "title": {"text": plotly_text(title), "font": {"size": 15}, "x": 0, "xref": "paper"},
        "showlegend": False, "height": height,
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": "#111111"}},
    }  # fmt: skip


def axis(title: str) -> dict[str, Any]:
    """Return what all axes look like."""
    return {"gridcolor": SOFT, "zeroline": False, "linecolor": GREY, "tickcolor": GREY,
            "title": {"text": plotly_text(title)}}  # fmt: skip


def number(value: Any) -> float | None:
    """Return a finite number, or None for a missing one."""
    if value is None or isinstance(value, str):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def text(value: Any, default: str = "") -> str:
    """Return text, or the default for a missing one."""
    return value if isinstance(value, str) and value else default


def flag(value: Any) -> bool:
    """Return a truth value; a missing one is false."""
    return value is not None and value == value and bool(value)  # noqa: PLR0124 - NaN
