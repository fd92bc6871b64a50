"""The workspace: binds LLMs, store and budget; what cells, command line and Python all call."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmad_nb import _loop
from bmad_nb.advising import Advising
from bmad_nb.asking import Asking
from bmad_nb.errors import UsageProblem
from bmad_nb.llms.base import LLM, Card
from bmad_nb.llms.function import FunctionLLM
from bmad_nb.messages import Price
from bmad_nb.question import Together
from bmad_nb.results import Comparison, Result
from bmad_nb.running import Definition
from bmad_nb.runs.batch import notes
from bmad_nb.runs.run import Run
from bmad_nb.state import fold
from bmad_nb.steering import Steering
from bmad_nb.store import scores
from bmad_nb.store.journal import Store

if TYPE_CHECKING:
    import pandas as pd

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


class Workspace(Asking, Together, Steering, Advising):
    """LLMs, a store and a budget.

    Args:
        config: settings as nested tables, or a file of them; before all other settings.
        store: path of the store's file.
        budget_usd: limit in US dollars on all that this object spends; None is no limit.
            Simulated money has a purse of its own with the same limit.
        replay: True lets no call be made: what is stored or recorded answers, and all else is
            refused with `NotRecorded`. None leaves it to `BMAD_REPLAY`.

    Raises:
        SettingsError: a settings file is wrong.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str | Path | None = None,
        store: str | Path | None = None,
        budget_usd: float | str | Decimal | None = None,
        replay: bool | None = None,
    ) -> None:
        """Read the settings; no file is made and nobody is contacted."""
        super().__init__(config, store, budget_usd, replay)
        _open.add(self)
        weakref.finalize(self, _close_later, self.store).atexit = False

    def set_price(self, llm: str, **amounts: Any) -> None:
        """Set what an LLM costs from now on; rows of the ledger keep the price that they used.

        Args:
            llm: its id.
            **amounts: US dollars, `input_usd_per_mtok` and `output_usd_per_mtok` (per million
                tokens), and where they differ `cached_input_usd_per_mtok`,
                `cache_write_usd_per_mtok`, `reasoning_usd_per_mtok`, `request_usd` (per call).
                Without any, the price that the settings or the list have is taken again.

        Raises:
            UsageProblem: an amount is missing or is none.
        """
        self.catalog.prices.set(llm, dict(amounts) or None)

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
        if llm_id.startswith(("local/", "recorded/")) or (
            llm_id.startswith("sim/") and not llm.card.simulated
        ):
            raise UsageProblem(
                f"{llm_id} would look like one of ours.", hint="Use another name, such as own/mine."
            )
        self.catalog.add(llm)
        return llm_id

    def build(self, workflow: Definition | None = None, **options: Any) -> Any:
        """Open the task builder: a form that makes or changes a workflow; see `bmad_nb.build`."""
        from bmad_nb import build  # by its public name: the widgets stand floors above

        return build(workflow, workspace=self, **options)

    # --- looking ------------------------------------------------------------------------------

    def runs(self) -> pd.DataFrame:
        """Return all runs of the store, the newest first; columns as in `frames.RUNS`."""
        from bmad_nb import frames

        return frames.runs(self.store.runs(), self.store.sums())

    def calls(self) -> pd.DataFrame:
        """Return all calls of the store without their texts; columns as in `frames.CALLS`."""
        from bmad_nb import frames

        gone = [r.run_id for r in self.store.runs() if r.status == "interrupted"]
        return frames.stored_calls(self.store.columns(frames.STORED_COLUMNS), gone)

    def spent(self, by: str = "llm", run_id: str | None = None) -> pd.DataFrame:
        """Return what calls cost, by `llm`, `task` or `day`; columns as in `columns.SPENT`.

        Args:
            by: what is summed up.
            run_id: calls of this run only; None is the whole store.

        Raises:
            UnknownRun: there is none.
            UsageProblem: `by` is another word.
        """
        from bmad_nb import frames

        if by not in {"llm", "task", "day"}:
            raise UsageProblem(f"by cannot be {by!r}.", hint="Use llm, task or day.")
        calls = self.calls()
        if run_id is not None:
            calls = calls[calls["run_id"] == self.store.run(run_id).run_id]
        return frames.spent(calls, by)

    def scores(self) -> pd.DataFrame:
        """Return all scores of the store; columns as in `columns.SCORES`."""
        from bmad_nb import frames

        return frames.scores(scores.of_all(self.store))

    def run_of(self, run_id: str) -> Result | Run:
        """Return a stored run as the object that it once gave.

        Args:
            run_id: its id, or the beginning of it.

        Raises:
            UnknownRun: there is none.
        """
        run = self.store.run(run_id)
        if run.verb == "workflow":
            return Run(self.store, run.run_id, self)
        calls = self.store.calls(run.run_id)
        final = {(c.case, c.llm, c.variant, c.sample): c for c in calls}
        earlier = [c for c in calls if final[c.case, c.llm, c.variant, c.sample] is not c]
        kind = Result if run.verb == "ask" and len(final) == 1 else Comparison
        found = kind(
            run, tuple(final.values()), notes=notes(tuple(final.values()), calls), earlier=earlier,
            scores=scores.of_run(self.store, run.run_id),
        )  # fmt: skip
        return self._mine(found)

    def trace(self, run_id: str, endpoint: str | None = None, *, texts: bool = False) -> int:
        """Send a stored run to an OpenTelemetry collector, and return how many spans it took.

        A run that is sent twice is the same trace: the ids of its spans are those of the run.

        Args:
            run_id: its id, or the beginning of it.
            endpoint: URL of the collector's traces; None leaves it to the standard variables
                `OTEL_EXPORTER_OTLP_ENDPOINT` and its like.
            texts: send prompts and answers too, without known keys.

        Raises:
            UnknownRun: there is none.
            UsageProblem: OpenTelemetry is not installed (`bmad-nb[otel]`).
            BmadError: the collector did not take them; nothing is lost.
        """
        from bmad_nb import tracing

        run = self.store.run(run_id)
        state = fold(each.event for each in self.store.events(run.run_id))
        calls = self.store.calls(run.run_id)
        spans = tracing.spans_of(run, list(state.tasks.values()), calls, texts=texts)
        tracing.send(spans, endpoint)
        return len(spans)

    def close(self) -> None:
        """Give back connections and the store; the workspace can be used again after that."""
        if self.catalog.in_use:
            _loop.run(self.catalog.aclose())
        self.store.close()


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


def run(workflow: Definition, inputs: Mapping[str, Any] | None = None, **options: Any) -> Run:
    """Run a workflow in the default workspace; see `Workspace.run`."""
    return default_workspace().run(workflow, inputs, **options)
