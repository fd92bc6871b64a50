"""The workspace: binds LLMs, store and budget; what cells, command line and Python all call."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bmad_nb import _loop, errors, grid, options, settings
from bmad_nb.batch import Batch, Progress, notes
from bmad_nb.budget import Budget, parse_usd
from bmad_nb.errors import RunCancelled, RunFailed, UsageProblem
from bmad_nb.llms.base import LLM, Card
from bmad_nb.llms.catalog import Catalog
from bmad_nb.llms.function import FunctionLLM
from bmad_nb.messages import Price
from bmad_nb.options import Options
from bmad_nb.results import Comparison, Result
from bmad_nb.store import Store

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R", bound=Result)
_open: weakref.WeakSet[Workspace] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Give back connections and child processes before the interpreter takes them apart."""
    for space in list(_open):
        space.close()


def _close_later(store: Store) -> None:
    """Close the store of a workspace that nobody closed.

    In a thread of its own: this runs wherever the garbage is collected, maybe inside a write.
    """
    threading.Thread(target=store.close, name="bmad-close", daemon=True).start()


class Workspace:
    """LLMs, a store and a budget.

    Args:
        config: settings as nested tables, or a file of them; before all other settings.
        store: path of the store's file.
        budget_usd: limit in US dollars on all that this object spends; None is no limit.
            Simulated money has a purse of its own with the same limit.

    Raises:
        SettingsError: a settings file is wrong.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str | Path | None = None,
        store: str | Path | None = None,
        budget_usd: float | str | Decimal | None = None,
    ) -> None:
        """Read the settings; no file is made and nobody is contacted."""
        self.found = settings.find(config, store)
        self.settings = self.found.settings
        self.store = Store(self.found.store, sync=self.settings.store.sync)
        self.progress = Progress()
        self.catalog = Catalog(self.settings, self._note)
        limit = None if budget_usd is None else parse_usd(budget_usd)
        self._budgets = {simulated: Budget(limit) for simulated in (False, True)}
        self.on_tick: Callable[[], None] | None = None
        """Called about ten times a second while a blocking call waits; shows progress."""
        _open.add(self)
        weakref.finalize(self, _close_later, self.store).atexit = False

    # --- asking -------------------------------------------------------------------------------

    def ask(self, prompt: str, llm: str | None = None, **given: Any) -> Result:
        """Ask one LLM.

        Args:
            prompt: the text; a template where `inputs` are given.
            llm: id, such as `local/smollm2-135m?temperature=1`; the default LLM if None.
            **given: `inputs` (values for the holes), `system`, `reference` (right answer),
                `budget_usd`, `fresh` (ask anew although an answer is stored), and parameters such
                as `temperature`, `seed`, `max_tokens`.

        Raises:
            LLMError: the LLM gave no answer.
            RunPaused: interrupted, or the budget did not allow the call.
            UnknownName: no such LLM or option.
        """
        batch = self._ask_batch(prompt, llm, given)
        return self._wait(_answer(batch), batch)

    async def aask(self, prompt: str, llm: str | None = None, **given: Any) -> Result:
        """Ask one LLM, from code that has an event loop of its own; see `ask`."""
        return await _loop.arun(_answer(self._ask_batch(prompt, llm, given)))

    def compare(self, prompt: str, llms: str | Iterable[str], **given: Any) -> Comparison:
        """Ask several LLMs the same and set the answers side by side.

        Args:
            prompt: the text; a template where `inputs` or `over` are given.
            llms: ids, as a list or with commas; globs such as `sim/*`, settings behind a `?`.
            **given: those of `ask`, and `samples` (how often each is asked), `over` (a DataFrame
                or a list of dictionaries: a case per row, its columns fill the holes), `vary`
                (settings by name, such as `{"temperature": [0, 1]}`), `reference` (a column of
                `over`, or a text).

        Raises:
            RunFailed: no call brought an answer.
            RunPaused: interrupted, or stopped by the budget; finished answers are kept.
            UnknownName: no such LLM or option.
        """
        batch = self._compare_batch(prompt, llms, given)
        return self._wait(_compared(batch), batch)

    async def acompare(self, prompt: str, llms: str | Iterable[str], **given: Any) -> Comparison:
        """Compare, from code that has an event loop of its own; see `compare`."""
        return await _loop.arun(_compared(self._compare_batch(prompt, llms, given)))

    def add_llm(
        self,
        name: str,
        llm: LLM | Callable[..., Any],
        *,
        price: Price | None = None,
        capabilities: Mapping[str, float] | None = None,
        simulated: bool = False,
    ) -> str:
        """Add your own LLM: a function of messages, or an object of the `LLM` protocol.

        Args:
            name: id; without a slash it becomes `own/NAME`.
            llm: the function or object.
            price: what a call costs, for a function; None is unknown.
            capabilities: declared skill in [0, 1] by name, for a function.
            simulated: True if a function's answers are invented.

        Returns:
            The id.
        """
        if not isinstance(name, str) or not name.rpartition("/")[2]:
            raise UsageProblem(f"{name!r} cannot be an LLM's id.", hint="Use a name such as mine.")
        llm_id = name if "/" in name else f"own/{name}"
        if isinstance(llm, LLM) and isinstance(llm.card, Card):
            llm.card = dataclasses.replace(llm.card, id=llm_id)
        elif callable(llm) and not isinstance(llm, type):
            llm = FunctionLLM(
                llm_id, llm, price=price, capabilities=capabilities, simulated=simulated
            )
        else:
            raise UsageProblem(
                f"{type(llm).__name__} is neither a function nor an LLM.",
                hint="Give a function of messages, or an object with card, complete and aclose.",
            )
        if llm_id.startswith("local/") or (llm_id.startswith("sim/") and not llm.card.simulated):
            raise UsageProblem(
                f"{llm_id} would look like one of ours.", hint="Use another name, such as own/mine."
            )
        self.catalog.add(llm)
        return llm_id

    # --- looking ------------------------------------------------------------------------------

    def runs(self) -> pd.DataFrame:
        """Return all runs of the store, the newest first; columns as in `frames.RUNS`."""
        from bmad_nb import frames

        return frames.runs(self.store.runs(), self.calls())

    def calls(self) -> pd.DataFrame:
        """Return all calls of the store without their texts; columns as in `frames.CALLS`."""
        from bmad_nb import frames

        gone = [r.run_id for r in self.store.runs() if r.status == "interrupted"]
        return frames.stored_calls(self.store.columns(frames.STORED_COLUMNS), gone)

    def run_of(self, run_id: str) -> Result:
        """Return a stored run as the object that it once gave.

        Args:
            run_id: its id, or the beginning of it.

        Raises:
            UnknownRun: there is none.
        """
        run = self.store.run(run_id)
        calls = self.store.calls(run.run_id)
        final = {(c.case, c.llm, c.variant, c.sample): c for c in calls}
        earlier = [c for c in calls if final[c.case, c.llm, c.variant, c.sample] is not c]
        kind = Result if run.verb == "ask" and len(final) == 1 else Comparison
        return kind(
            run, tuple(final.values()), notes=notes(tuple(final.values()), calls), earlier=earlier
        )

    def close(self) -> None:
        """Give back connections and the store; the workspace can be used again after that."""
        if self.catalog.in_use:
            _loop.run(self.catalog.aclose())
        self.store.close()

    # --- planning and waiting -----------------------------------------------------------------

    def _ask_batch(self, prompt: str, llm: str | None, given: dict[str, Any]) -> Batch:
        for name in ("over", "samples", "vary"):
            if given.get(name) is not None:
                raise UsageProblem(f"ask does not take {name}.", hint="Use compare.")
        chosen = self.settings.engine.default_llm if llm is None else llm
        return self._batch("ask", options.read(prompt, chosen, given))

    def _compare_batch(
        self, prompt: str, llms: str | Iterable[str], given: dict[str, Any]
    ) -> Batch:
        if given.pop("judge", None) is not None:
            raise UsageProblem(
                "compare has no judge in this version.",
                hint="Score with reference=, the right answer or a column of them.",
            )
        return self._batch("compare", options.read(prompt, llms, given))

    def _batch(self, verb: str, asked: Options) -> Batch:
        chosen = self.catalog.choose(asked.llms)
        if verb == "ask" and len(chosen) > 1:
            raise UsageProblem(
                f"ask takes one LLM, not {len(chosen)}.", hint="Use compare for several."
            )
        templated = asked.over is not None or asked.inputs is not None
        cells = grid.expand(
            asked.prompt,
            chosen,
            self.catalog.llm,
            cases=grid.cases_of(asked.over) if asked.over is not None else [grid.Case("", {})],
            around={} if asked.inputs is None else asked.inputs,
            fill_holes=templated and not asked.raw,
            settings=grid.variants(asked.vary),
            samples=asked.samples,
            system=asked.system,
            reference=asked.reference,
            params=asked.params,
        )
        batch = Batch(
            verb,
            asked.prompt,
            cells,
            fresh=asked.fresh,
            budget_usd=asked.budget_usd,
            store=self.store,
            settings=self.settings.engine,
            price_of=self.catalog.price,
            above=self._budgets,
        )
        self.progress = batch.progress
        return batch

    def _wait(self, work: Coroutine[Any, Any, R], batch: Batch) -> R:
        try:
            return _loop.run(work, on_tick=self.on_tick)
        except _loop.SecondInterrupt:
            _loop.run(batch.cancel())
            raise RunCancelled("The run was cancelled.", run_id=batch.run.run_id) from None

    def _note(self, text: str) -> None:
        self.progress.note = text


async def _answer(batch: Batch) -> Result:
    """Execute, and raise the error of a single call that failed."""
    result = await batch.execute(Result)
    row = result.rows[0]
    if row.state != "answered":
        kind = getattr(errors, row.error_kind, errors.LLMError)
        raise kind(row.error, llm=row.llm, hint=row.error_hint, billed=row.billed)
    return result


async def _compared(batch: Batch) -> Comparison:
    """Execute, and raise if no call at all brought an answer."""
    result = await batch.execute(Comparison)
    if all(row.state != "answered" for row in result.rows):
        said = sorted({f"{row.llm}: {row.error}" for row in result.rows})
        raise RunFailed(
            f"None of {len(result.rows)} calls brought an answer. {' '.join(said[:4])}",
            hint=next((row.error_hint for row in result.rows if row.error_hint), ""),
            run_id=result.id,
            result=result,
        )
    return result


@functools.cache
def default_workspace() -> Workspace:
    """Return the workspace that the module-level shortcuts and the magics share."""
    return Workspace()


def ask(prompt: str, llm: str | None = None, **given: Any) -> Result:
    """Ask one LLM in the default workspace; see `Workspace.ask`."""
    return default_workspace().ask(prompt, llm, **given)


def compare(prompt: str, llms: str | Iterable[str], **given: Any) -> Comparison:
    """Compare LLMs in the default workspace; see `Workspace.compare`."""
    return default_workspace().compare(prompt, llms, **given)
