"""Runs of any process, followed through the store: what happens in them, and what needs a person.

The store is looked at several times a second; nothing is asked of the processes that run, so a
monitor lives on when they die, and goes on with a run that another process takes up.
"""

from __future__ import annotations

import datetime
import http.client
import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bmad_nb.alerts import Alert, Limits, Watched, line_of
from bmad_nb.errors import StoreError, UsageProblem
from bmad_nb.events import RunRow
from bmad_nb.render.base import plain
from bmad_nb.store.journal import Store
from bmad_nb.store.stamped import Stamped

LOOK_S = 0.2
"""Seconds between two looks."""
_OVER = {"completed", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened in a run."""

    run_id: str
    seq: int
    time_utc: str
    kind: str
    said: str

    @property
    def line(self) -> str:
        """The happening in one line, safe on a terminal."""
        return plain(f"{self.time_utc[11:23]}  {self.run_id}  {self.said}").replace("\n", " ")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"run_id": self.run_id, "seq": self.seq, "time_utc": self.time_utc,
                "kind": self.kind, "said": self.said}  # fmt: skip


class Monitor:
    """Follows runs through the store.

    Args:
        store: the store.
        run_ids: the runs to follow; every run that runs, and every one that begins later, if empty.
        limits: when to alert; None never does.
        clock: the time in UTC.
    """

    def __init__(
        self,
        store: Store,
        run_ids: Sequence[str] = (),
        limits: Limits | None = None,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        """Look at nothing yet."""
        self._store, self._wanted, self._limits = store, tuple(run_ids), limits
        self._clock = clock
        self.watched: dict[str, Watched] = {}
        """The runs that are followed, by id."""
        self._seen: dict[str, int] = dict.fromkeys(run_ids, 0)
        self._over: set[str] = set()
        self.trouble = ""
        """Why the store could not be read at the last look; empty where it could."""

    @property
    def is_over(self) -> bool:
        """Whether all runs that were named are over; never where none was named."""
        return bool(self._wanted) and self._over >= set(self._wanted)

    @property
    def is_idle(self) -> bool:
        """Whether none of the runs that were seen runs any more."""
        return all(each.run.status != "running" for each in self.watched.values())

    def look(self) -> tuple[list[Happening], list[Alert]]:
        """Return what happened since the last look, and the alerts that it gave."""
        try:
            news = self._store.news(self._seen)
        except StoreError as error:  # it is looked at again
            self.trouble = error.what
            return [], []
        self.trouble = ""
        found: list[tuple[str, Happening]] = []
        alerts: list[Alert] = []
        for run, events in news:
            if run.run_id in self._over or (self._wanted and run.run_id not in self._wanted):
                continue
            found += [(each.time_utc, each) for each in self._taken(run, events)]
            if self._limits is not None:
                alerts += self.watched[run.run_id].look(self._clock())
            if run.status in _OVER:
                self._over.add(run.run_id)
                self._seen.pop(run.run_id, None)
        return [each for _, each in sorted(found, key=lambda pair: pair[0])], alerts

    def _taken(self, run: RunRow, events: Sequence[Stamped]) -> Iterator[Happening]:
        first = run.run_id not in self.watched
        limits = self._limits or Limits()
        watched = self.watched.setdefault(run.run_id, Watched(run, limits))
        before = "" if first else watched.run.status
        for seq, when, event in events:
            watched.take(when, event)
            yield Happening(run.run_id, seq, when, event.kind, line_of(event))
        watched.run = run
        self._seen[run.run_id] = max([self._seen.get(run.run_id, 0), *(e.seq for e in events)])
        if run.status == "interrupted" and before != "interrupted":
            now = self._clock().isoformat(timespec="milliseconds")
            said = f"interrupted: its process is gone. Go on with: bmad resume {run.run_id}"
            yield Happening(run.run_id, self._seen[run.run_id], now, "owner_gone", said)

    def follow(
        self, *, seconds: float | None = None, until_idle: bool = False
    ) -> Iterator[tuple[list[Happening], list[Alert]]]:
        """Yield what `look` finds, until the runs that were named are over.

        Args:
            seconds: longest time; None is no limit.
            until_idle: stop as soon as no run runs.
        """
        until_s = None if seconds is None else time.monotonic() + seconds
        while True:
            yield self.look()
            if self.is_over or (until_idle and self.is_idle):
                return
            if until_s is not None and time.monotonic() >= until_s:
                return
            time.sleep(LOOK_S)


class Webhook:
    """Sends alerts to an address that the user gave: one POST of JSON each, without redirects.

    Args:
        url: `https://…`, or `http://` on this machine.

    Raises:
        UsageProblem: it is none of these.
    """

    def __init__(self, url: str) -> None:
        """Check the address; nobody is contacted yet."""
        parts = urllib.parse.urlsplit(url)
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        try:
            port = parts.port
        except ValueError:
            port = -1
        if port == -1 or not parts.hostname or parts.scheme not in (
            {"http", "https"} if local else {"https"}
        ):  # fmt: skip
            raise UsageProblem(
                f"--webhook cannot be {url!r:.80}.",
                hint="Give https://HOST/…; plain http is taken on this machine only.",
            )
        self._host, self._port, self._tls = parts.hostname, port, parts.scheme == "https"
        self._path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))

    def send(self, alert: Alert) -> str:
        """Send one alert; return what went wrong, empty where nothing did."""
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        body = json.dumps({"rule": alert.rule, "run_id": alert.run_id, "said": alert.said,
                           "time_utc": alert.time_utc, "text": alert.line})  # fmt: skip
        connection = kind(self._host, self._port, timeout=5)
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"the webhook was not reached: {type(error).__name__}"
        finally:
            connection.close()
        return "" if 200 <= status < 300 else f"the webhook answered {status}"
