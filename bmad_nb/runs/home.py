"""What every run stands on: settings, store, LLMs and budgets, and the wait for a run's end."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bmad_nb import _loop, settings
from bmad_nb.budget import Budget, parse_usd
from bmad_nb.errors import RunCancelled, SettingsError
from bmad_nb.events import RunRow, TaskAsked
from bmad_nb.llms.catalog import Catalog
from bmad_nb.runs import slices
from bmad_nb.runs.progress import Progress
from bmad_nb.store.journal import Store

T = TypeVar("T")
_WORDS = {"1": True, "true": True, "yes": True, "on": True} | dict.fromkeys(
    ("", "0", "false", "no", "off"), False
)


class Running(Protocol):
    """A run that can be stored as cancelled."""

    run: RunRow

    @property
    def questions(self) -> Sequence[TaskAsked]:
        """What people are asked now."""
        ...

    async def answered(self, task: str, answer: Mapping[str, Any]) -> None:
        """Take what a person says."""
        ...

    async def cancel(self) -> None:
        """Store it as cancelled."""
        ...


class Home:
    """Settings, a store, LLMs and budgets."""

    def __init__(
        self,
        config: Mapping[str, Any] | str | Path | None = None,
        store: str | Path | None = None,
        budget_usd: float | str | Decimal | None = None,
        replay: bool | None = None,
    ) -> None:
        """Read the settings; no file is made and nobody is contacted."""
        self.found = settings.find(config, store)
        self.settings = self.found.settings
        self.store = Store(
            self.found.store, sync=self.settings.store.sync, answers=slices.answers()
        )
        self.progress = Progress()
        self.catalog = Catalog(self.settings, self._note, self.store)
        if _replay_wanted() if replay is None else replay:
            self.catalog = self.catalog.replaying()
        limit = None if budget_usd is None else parse_usd(budget_usd)
        self.budgets = {
            simulated: Budget(limit, around=slices.around(self.store.path, simulated=simulated))
            for simulated in (False, True)
        }
        self.watched = False
        """Whether somebody sees answers as they come: then they are asked for piece by piece."""
        self.on_wait: Callable[[Running], None] | None = None
        """Called as `on_tick` is, with the run that is waited for; shows it."""
        self.on_tick: Callable[[], None] | None = None
        """Called about ten times a second while a blocking call waits; shows progress."""
        self.on_question: Callable[[TaskAsked], Mapping[str, Any] | None] | None = None
        """Asks a person, in the thread that waits; None where nobody is there to be asked."""

    def prefer(self, default_llm: str) -> None:
        """Ask this LLM where none is named; an empty text is the settings' own again.

        Raises:
            UnknownName: there is none.
        """
        own = self.found.settings.engine
        if default_llm:
            self.catalog.choose(default_llm)
            own = own.model_copy(update={"default_llm": default_llm})
        self.settings = self.found.settings.model_copy(update={"engine": own})

    def wait(self, work: Coroutine[Any, Any, T], running: Running) -> T:
        """Wait for a run; the second interrupt stores it as cancelled.

        Raises:
            RunCancelled: interrupted twice.
        """
        try:
            return _loop.run(work, on_tick=lambda: self._tick(running))
        except _loop.SecondInterrupt:
            _loop.run(running.cancel())
            raise RunCancelled("The run was cancelled.", run_id=running.run.run_id) from None

    def _tick(self, running: Running) -> None:
        """Show how far it is, and ask the person who waits here what the run wants to know."""
        if not _loop.in_main_thread():
            return  # work of the background shows nothing in the cell that runs now
        if self.on_tick is not None:
            self.on_tick()
        if self.on_wait is not None:
            self.on_wait(running)
        for question in running.questions if self.on_question else ():
            answer = self.on_question(question) if self.on_question else None
            if answer is not None:
                _loop.run(running.answered(question.task, answer))

    def llms(self, *, replay: bool) -> Catalog:
        """Return the catalogue, in replay mode if the workspace is in it or `replay` is true."""
        return self.catalog.replaying() if replay else self.catalog

    def _note(self, text: str) -> None:
        self.progress.note = text


def _replay_wanted() -> bool:
    """Return what BMAD_REPLAY says.

    Raises:
        SettingsError: neither yes nor no.
    """
    word = os.environ.get("BMAD_REPLAY", "").strip().lower()
    if word not in _WORDS:
        raise SettingsError(f"BMAD_REPLAY is {word!r:.40}.", hint="Set it to 1 or 0.")
    return _WORDS[word]
