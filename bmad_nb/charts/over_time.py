"""A run's calls over time: one lane per task, one bar per call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import plotly.graph_objects as go

from bmad_nb.charts.base import INK, Chart, Twin, axis, flag, layout, number, plotly_text, text
from bmad_nb.render.base import ACCENT, BAD, GOOD, GREY, NONE, counted, listed, seconds
from bmad_nb.render.lanes import (
    ROW,
    STORED,
    Bar,
    Kind,
    Lane,
    Lanes,
    lanes_html,
    lanes_svg,
    lanes_text,
)
from bmad_nb.render.svg import Axis, value_axis

if TYPE_CHECKING:
    import pandas as pd

MOST_LANES, MOST_BARS, MOST_LINES = 40, 600, 60
"""Lanes and bars that are drawn, and rows of the table."""
_ROWS = 8
"""Most rows of a lane: calls beyond it are drawn over each other."""
_STYLE: Mapping[Kind, Mapping[str, Any]] = {
    "answered": {"color": GOOD},
    "in_flight": {"color": f"rgba{(*bytes.fromhex(ACCENT[1:]), 0.45)}",
                  "line": {"color": ACCENT, "width": 1}},
    "failed": {"color": "rgba(0,0,0,0)", "line": {"color": BAD, "width": 1.4}},
    "local": {"color": GREY},
}  # fmt: skip


class _Span(NamedTuple):
    """What is drawn of a call or of a task without calls, before it has a row."""

    task: str
    start: float
    """Seconds since the epoch."""
    end: float
    kind: Kind
    tip: str
    simulated: bool


def timeline(tasks: pd.DataFrame, calls: pd.DataFrame) -> Chart:
    """Return a run's calls over time: one lane per task, one bar per call.

    Times are seconds since the first of them. A task without calls is a thin bar, an answer from
    the store a short mark, a call without an answer an outline with a cross.

    Args:
        tasks: a row per task, with the columns of the tasks frame.
        calls: a row per call, with the columns of `bmad_nb.frames.CALLS`.
    """
    static = _lanes(tasks.to_dict("records"), calls.to_dict("records"))
    twin = Twin(lanes_html(static), lanes_svg(static, ink=INK), lanes_text(static))
    figure = Chart(static=twin)
    bars = list(_places(static))
    for kind in _STYLE:
        figure.add_trace(_bars(kind, [each for each in bars if each[1].kind == kind]))
    failed = [each for each in bars if each[1].kind == "failed"]
    figure.add_trace(_marks([(bar.end, y, "", bar.tip) for y, bar in failed], "x-thin", BAD))
    stored = [(bar.start, y, STORED, bar.tip) for y, bar in bars if bar.kind == "stored"]
    figure.add_trace(_marks(stored, "line-ns", ACCENT))
    figure.update_layout(_layout(static))
    return figure


def _lanes(tasks: Sequence[Mapping[Any, Any]], calls: Sequence[Mapping[Any, Any]]) -> Lanes:
    """Return what the chart shows."""
    moments = [_stamp(row.get(name)) for row in (*tasks, *calls)
               for name in ("started_utc", "ended_utc")]  # fmt: skip
    known = [each for each in moments if each is not None]
    begin, last = min(known, default=0.0), max(known, default=0.0)
    names = list(dict.fromkeys(text(row.get("task"), "(no task)") for row in (*tasks, *calls)))
    spans: dict[str, list[_Span]] = {name: [] for name in names}
    for call in calls:
        found = _call(call, last)
        if found:
            spans[found.task].append(found)
    asked = {text(call.get("task"), "(no task)") for call in calls}
    for task in tasks:
        found = _task(task, last)
        if found and found.task not in asked:
            spans[found.task].append(found)
    shown, lanes = 0, list[Lane]()
    for name in sorted(filter(spans.get, names), key=lambda n: min(s.start for s in spans[n])):
        bars = _rowed(spans[name][: MOST_BARS - shown], begin)
        if len(lanes) < MOST_LANES and bars:
            lanes.append(Lane(name, bars))
            shown += len(bars)
    rows = [_row(name, tasks, calls, spans[name], begin) for name in names[:MOST_LINES]]
    every = [span for each in spans.values() for span in each]
    return Lanes(
        title=_title(every, len(calls), last - begin),
        notes=_notes(spans, shown, calls),
        lanes=tuple(lanes), x=_axis(last - begin),
        x_title="time since the run began, in seconds (s)", y_title="task",
        heads=("task", "state", "calls", STORED, "failed", "began", "took"), rows=tuple(rows),
    )  # fmt: skip


def _axis(lasted: float) -> Axis:
    """Return an axis from zero to a little more than the run lasted, in seconds."""
    found = value_axis([lasted], score=False)
    return replace(found, ticks=tuple((at, f"{at:g} s") for at, _ in found.ticks))


def _stamp(value: Any) -> float | None:
    """Return a time of a frame as seconds since the epoch, or None for a missing one."""
    if value is None or value != value or not hasattr(value, "timestamp"):  # noqa: PLR0124 - NaT
        return None
    return float(value.timestamp())


def _call(call: Mapping[Any, Any], last: float) -> _Span | None:
    """Return what is drawn of a call; None where nobody knows when it began."""
    start = _stamp(call.get("started_utc"))
    if start is None:
        return None
    end = _stamp(call.get("ended_utc"))
    state = text(call.get("state"), "answered")
    if end is None:
        took = number(call.get("latency_s"))
        end = last if took is None or state == "in_flight" else start + took
    simulated = flag(call.get("simulated"))
    stored = flag(call.get("from_store"))
    kind: Kind = "failed"
    if state == "in_flight":
        kind = "in_flight"
    elif state == "answered":
        kind = "stored" if stored else "answered"
    attempt = number(call.get("attempt"))
    said = [text(call.get("llm")), f"attempt {attempt:.0f}" if attempt else "",
            state.replace("_", " "), text(call.get("error_kind")), STORED * stored,
            seconds(end - start), "simulated" * simulated]  # fmt: skip
    tip = ", ".join(each for each in said if each)
    return _Span(text(call.get("task"), "(no task)"), start, max(start, end), kind, tip, simulated)


def _task(task: Mapping[Any, Any], last: float) -> _Span | None:
    """Return what is drawn of a task that made no calls; None where it never began."""
    start = _stamp(task.get("started_utc"))
    if start is None:
        return None
    end = _stamp(task.get("ended_utc"))
    end = last if end is None else end
    state = text(task.get("state"))
    tip = ", ".join(each for each in (text(task.get("verb")), state, seconds(end - start)) if each)
    kind: Kind = "failed" if state in ("failed", "cancelled") else "local"
    return _Span(text(task.get("task"), "(no task)"), start, max(start, end), kind, tip, False)


def _rowed(spans: Iterable[_Span], begin: float) -> tuple[Bar, ...]:
    """Return bars in rows, each in the first that is free; marks of the store have the last."""
    free: list[float] = []
    bars = []
    spans = sorted(spans, key=lambda each: (each.kind == "stored", each.start))
    lower = 0
    for each in spans:
        if each.kind == "stored":
            lower = lower or len(free)
            bars.append(Bar(each.start - begin, each.end - begin, each.kind, lower, each.tip))
            continue
        row = next((n for n, end in enumerate(free) if end <= each.start), len(free))
        row = min(row, _ROWS - 1)
        free[row : row + 1] = [max(each.end, *free[row : row + 1], each.start)]
        bars.append(Bar(each.start - begin, each.end - begin, each.kind, row, each.tip))
    return tuple(bars)


def _row(
    name: str, tasks: Iterable[Mapping[Any, Any]], calls: Iterable[Mapping[Any, Any]],
    spans: Sequence[_Span], begin: float,
) -> tuple[str, ...]:  # fmt: skip
    """Return a task's line of the table."""
    state = next((text(t.get("state")) for t in tasks if text(t.get("task")) == name), "")
    own = [call for call in calls if text(call.get("task"), "(no task)") == name]
    stored = sum(flag(call.get("from_store")) for call in own)
    failed = sum(text(call.get("state")) in ("failed", "cancelled", "lost") for call in own)
    first = min((each.start for each in spans), default=None)
    end = max((each.end for each in spans), default=None)
    began = NONE if first is None else seconds(first - begin)
    took = NONE if first is None or end is None else seconds(end - first)
    return name, state or NONE, f"{len(own):,}", f"{stored:,}", f"{failed:,}", began, took


def _title(spans: Sequence[_Span], calls: int, lasted: float) -> str:
    """Return what the chart shows."""
    title = f"Calls over time: {counted(calls, 'call')} in {seconds(lasted)}"
    simulated = sum(each.simulated for each in spans)
    if simulated:
        which = "all of them" if simulated == calls else f"{simulated:,} of them"
        title += f"; {which} simulated"
    return title


def _notes(
    spans: Mapping[str, Sequence[_Span]], shown: int, calls: Iterable[Mapping[Any, Any]]
) -> tuple[str, ...]:
    """Return what a reader has to know."""
    kinds = {each.kind for every in spans.values() for each in every}
    words: Mapping[Kind, str] = {
        "answered": "Solid: answered.", "local": "Thin: a task without an LLM.",
        "in_flight": "Pale with a solid start: in flight, drawn to the last known moment.",
        "failed": "Outline with a cross: no answer.",
        "stored": "Short mark: from the store.",
    }  # fmt: skip
    notes = [said for kind, said in words.items() if kind in kinds]
    never = [name for name, every in spans.items() if not every]
    if never:
        notes.append(f"Not drawn, for want of a time: {listed([each[:80] for each in never], 6)}.")
    timeless = sum(_stamp(call.get("started_utc")) is None for call in calls)
    if timeless:
        notes.append(f"{counted(timeless, 'call')} without a time.")
    more = sum(map(len, spans.values())) - shown
    if more:
        notes.append(f"{counted(more, 'more bar')} left out; they are in the frames.")
    if len(spans) > MOST_LINES:
        notes.append(f"The table has {MOST_LINES} of {len(spans):,} tasks.")
    return tuple(notes)


def _places(static: Lanes) -> Iterable[tuple[float, Bar]]:
    """Yield each bar with its place on the vertical axis, in rows from the top."""
    top = 0.0
    for lane in static.lanes:
        yield from ((top + bar.row + 0.5, bar) for bar in lane.bars)
        top += lane.rows + 0.6


def _bars(kind: Kind, bars: Sequence[tuple[float, Bar]]) -> Any:
    """Return the bars of one kind."""
    return go.Bar(
        orientation="h", name=kind, base=[bar.start for _, bar in bars],
        x=[bar.end - bar.start for _, bar in bars], y=[y for y, _ in bars],
        width=[0.24 if kind == "local" else 0.7] * len(bars), marker=dict(_STYLE[kind]),
        hovertext=[plotly_text(bar.tip) for _, bar in bars], hoverinfo="text",
    )  # fmt: skip


def _marks(points: Sequence[tuple[float, float, str, str]], symbol: str, colour: str) -> Any:
    """Return marks at places, each with its word and what is said of it."""
    return go.Scatter(
        mode="markers+text", name=symbol, x=[x for x, *_ in points], y=[y for _, y, *_ in points],
        text=[plotly_text(f"\u00a0{word}") for _, _, word, _ in points],
        textposition="middle right",
        hovertext=[plotly_text(tip) for *_, tip in points], hoverinfo="text", cliponaxis=False,
        marker={"symbol": symbol, "size": 9, "color": colour,
                "line": {"color": colour, "width": 2}},
    )  # fmt: skip


def _layout(static: Lanes) -> dict[str, Any]:
    """Return axes and titles; the first lane is at the top."""
    ticks, names, top = [], [], 0.0
    for lane in static.lanes:
        ticks.append(top + lane.rows / 2)
        short = lane.name if len(lane.name) <= 28 else f"{lane.name[:27]}…"
        names.append(plotly_text(short))
        top += lane.rows + 0.6
    x = {**axis(static.x_title), "range": [0, static.x.high]}
    y = {**axis(static.y_title), "tickvals": ticks, "ticktext": names, "range": [top, -0.3],
         "showgrid": False, "automargin": True}  # fmt: skip
    y["title"]["standoff"] = 12
    return {**layout(static.title, 150 + round(top * 1.6 * ROW)), "xaxis": x, "yaxis": y,
            "barmode": "overlay", "margin": {"l": 60, "r": 24, "t": 60, "b": 56}}  # fmt: skip
