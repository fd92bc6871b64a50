"""The run monitor: a live view of one run, with buttons that tell it what to do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from bmad_nb import _loop
from bmad_nb._assets import css, esm
from bmad_nb.errors import BmadError
from bmad_nb.live.board import Json
from bmad_nb.live.feed import LOOK_S, Feed
from bmad_nb.live.reins import Reins
from bmad_nb.runs.followed import OVER
from bmad_nb.widgets.around import act_while_busy, is_live

WIDGET = "application/vnd.jupyter.widget-view+json"
SHARE = 0.04
"""Share of one core that looking and sending may take: a large run is looked at less often."""
SLOWEST_S = 1.0
"""Most seconds between two looks at a run that is running."""
_FIRST_WHOLE_S, _LAST_WHOLE_S = 0.4, 20.0
"""Seconds between two whole frames, at first and in the end: a view may have missed the first."""


def _snapshot(_value: object, monitor: RunMonitor) -> Json:
    """Return the whole frame of this moment, for a view that opens now."""
    return monitor.frame()


class RunMonitor(anywidget.AnyWidget):
    """A live view of one run: graph, calls, money, questions, and Pause, Resume and Cancel.

    It shows what the store has, so it can be opened again at any time, in any kernel, and for a
    run of another process. `close()` ends it; the run goes on.

    Args:
        feed: the run.
        reins: what it can be told.
    """

    _esm = esm("monitor")
    _css = css("monitor")
    snapshot = traitlets.Dict().tag(sync=True, to_json=_snapshot)
    """The whole frame, made when a view asks for it."""
    hears = traitlets.Bool(default_value=False).tag(sync=True)
    """True once a message of the view came through: buttons act at once."""
    can_resume = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, feed: Feed, reins: Reins) -> None:
        """Look once, and open the way to the front end."""
        self.feed, self.reins = feed, reins
        self._lock = threading.Lock()
        self._wants_whole = False
        self._whole_s, self._next_whole_s = _FIRST_WHOLE_S, 0.0
        self._watching: _loop.Repeating | None = None
        self.static: Callable[[], dict[str, Any]] = dict
        """Returns what stays in the notebook where nothing live can be shown."""
        self.at_end: Callable[[], Any] = lambda: None
        """Called once, on the thread that looks, when the run is over."""
        self.feed.look()
        self.on_msg(self._told)  # before the front end can know of it
        super().__init__(can_resume=reins.on_resume is not None)
        act_while_busy(self.comm)

    def watch(self) -> RunMonitor:
        """Begin to look; it ends by itself when the run is over."""
        if self._watching is None or not self._watching.goes_on:
            self._watching = _loop.Repeating(self._step)
        return self

    def settle(self) -> None:
        """Look no more, and show the last that there is."""
        if self._watching is not None:
            self._watching.stop()
        self._look()

    def close(self) -> None:
        """End it; the view goes away, the run goes on."""
        if self._watching is not None:
            self._watching.stop()
        super().close()

    def frame(self) -> Json:
        """Return all that is shown now."""
        with self._lock:
            found: Json = json.loads(json.dumps(self.feed.whole()))
        return found

    def bundle(self) -> dict[str, Any]:
        """Return the view and what stays of it, as one bundle; without a view where none can be."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {**self.static(), **({WIDGET: view} if is_live() else {})}

    def _repr_mimebundle_(self, **_wanted: Any) -> Any:
        """Return the view and what stays of it."""
        return self.bundle()

    # --- looking --------------------------------------------------------------------------------

    def _step(self) -> float | None:
        began_s = time.thread_time()
        if self.comm is None:
            return None
        try:
            self._look()
        except BmadError as error:
            self.send({"kind": "trouble", "text": str(error)})
            return SLOWEST_S
        if self.feed.is_over:
            if self.feed.board.state.status not in OVER:
                return SLOWEST_S
            self.at_end()
            return None
        took_s = time.thread_time() - began_s
        return min(SLOWEST_S, max(LOOK_S, took_s / SHARE))

    def _look(self) -> None:
        """Send what is new; now and then all of it, for a view that came later."""
        with self._lock:
            frame = self.feed.look()
            now_s = time.monotonic()
            whole = self._wants_whole or (frame is not None and now_s >= self._next_whole_s)
            if whole:
                self._wants_whole = False
                self._next_whole_s = now_s + self._whole_s
                self._whole_s = min(2 * self._whole_s, _LAST_WHOLE_S)
                frame = self.feed.whole()
            if frame is not None:
                self.send({"kind": "frame", "frame": frame})

    # --- being told -----------------------------------------------------------------------------

    def _told(self, _widget: object, content: Mapping[str, Any], _buffers: object) -> None:
        """Take what a view says: on any thread, so it only sets wishes."""
        try:
            self._obey(content)
        except BmadError as error:
            self.send({"kind": "trouble", "text": str(error)})

    def _obey(self, content: Mapping[str, Any]) -> None:
        match content.get("kind"):
            case "hello":
                self._wants_whole = self.hears = True
                self.send({"kind": "heard"})
            case "again":
                self._wants_whole = True
            case "pause":
                self.reins.pause()
            case "resume":
                self.reins.resume()
                self.watch()
            case "cancel":
                self.reins.cancel()
            case "answer":
                task, choice = str(content.get("task", "")), str(content.get("choice", ""))
                self.reins.answer(self.feed.board.state, task, choice, content)


def opened(run: Any) -> RunMonitor:
    """Return a monitor of a stored run that looks at it already.

    Args:
        run: a `Run`; with a workspace, it can be resumed from here, in the background.
    """
    home: Any = getattr(run, "_home", None)
    progress = getattr(run, "progress", None)
    texts = None if progress is None else progress.texts.copy
    feed = Feed(run._store, run.id, texts)  # noqa: SLF001

    def resume() -> None:
        again = home.resume(run.id, background=True)
        feed.texts = again.progress.texts.copy

    monitor = RunMonitor(feed, Reins(feed.store, run.id, None if home is None else resume))
    monitor.static = run._repr_mimebundle_
    return monitor.watch()


def show_live(run: Any) -> None:
    """Display a run that goes on live; what stays takes its place once it is over.

    Raises:
        NotImplementedError: it is over, or no front end is there for it: it is shown as it is.
    """
    if run.is_done or not is_live():
        raise NotImplementedError
    monitor = opened(run)
    handle = display(monitor.bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def freeze() -> None:
        handle.update(monitor.static(), raw=True)
        monitor.close()

    monitor.at_end = freeze
