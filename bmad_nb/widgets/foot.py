"""What stands below the form: values of inputs, the estimate, its file, saving and running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol

import ipywidgets as w

from bmad_nb import _loop
from bmad_nb.errors import BmadError, RunStopped, WorkflowError
from bmad_nb.forecast.ranges import Analysis
from bmad_nb.render import form
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.planned import Planned
from bmad_nb.runs.run import Run
from bmad_nb.widgets.around import act_while_busy
from bmad_nb.widgets.fields import Look
from bmad_nb.widgets.making import Making, expectations
from bmad_nb.workflow.rules import INPUT_KINDS

MOST_INPUTS = 12
"""Inputs that have a field for their value."""


class Host(Protocol):
    """The form that it stands below."""

    builder: Making

    def settled(self) -> AbstractContextManager[None]:
        """Hold the form still, once all that was typed is in the text; show it anew at the end."""
        ...

    def soon(self) -> None:
        """Show it anew a moment later."""
        ...

    def open_plan(self) -> None:
        """Show the plan."""
        ...


class Foot:
    """Inputs, budget, file, estimate, and the buttons Save, Dry run, Run and Pause.

    Args:
        host: the form.
        look: shared layouts.
    """

    def __init__(self, host: Host, look: Look) -> None:
        """Make the widgets."""
        self._host, self._builder, self._look = host, host.builder, look
        self.running: Future[None] | None = None
        """The run that is going on; done once it is shown."""
        self._execution: Execution | None = None
        self._conflict = False
        self.estimate, self.waits = w.HTML(layout=look.grow), w.HTML()
        self.status, self.result = w.HTML(), w.HTML()
        self.fields: dict[str, Any] = {}
        """A field for the value of each input, by name."""
        self.inputs = w.VBox()
        self.budget = look.text("Budget", placeholder="US dollars, no limit without")
        self.budget.observe(self._on_budget, "value")
        self.file = look.text("File", placeholder="ID.yaml", continuous_update=False,
                              value=str(self._builder.path or ""))  # fmt: skip
        self.save = button("Save", self._on_save)
        self.dry_run = button("Dry run", self._on_dry_run)
        self.run = button("Run", self._on_run, "primary")
        self.pause = button("Pause", self._on_pause)
        self.take = button("Take theirs", self._on_take)
        self.over = button("Write over it", self._on_over, "warning")
        for each in (self.pause, self.take, self.over):  # not in sight yet
            act_while_busy(each.comm)
        self.buttons = w.HBox(layout=w.Layout(flex_flow="row wrap", justify_content="flex-end"))
        right = w.VBox([self.buttons, self.waits], layout=w.Layout(align_items="flex-end"))
        rows = w.Layout(flex_flow="row wrap", grid_gap="0 20px")
        self.box = w.VBox([
            self.inputs,
            w.HBox([self.budget, self.file], layout=rows),
            w.HBox([self.estimate, right], layout=rows),
            self.status, self.result,
        ])  # fmt: skip
        self.box.add_class("bmad-part")

    def show(self, planned: Planned | None, analysis: Analysis | None, wrong: int,
             missing: int) -> None:  # fmt: skip
        """Show what is to be expected, and which buttons can be pressed.

        Args:
            planned: the plan, None while there is none.
            analysis: what is to be expected of it.
            wrong: problems of the definition.
            missing: what it lacks here, such as a value or a key.
        """
        if planned is not None and analysis is not None:
            cells = expectations(planned, analysis, self._builder.budget)
            asking = [s.id for s in planned.plan.steps if s.verb in {"prompt", "messages"}]
            left_out = any(name not in analysis.basis for name in asking)
            note = "What nobody can do yet is not in it." if left_out else ""
            self.estimate.value = form.estimate(cells, note)
        else:
            self.estimate.value = form.estimate([], "No estimate while something is wrong.")
        self._show_inputs()
        self.run.disabled = bool(wrong or missing) or self._execution is not None
        self.dry_run.disabled = bool(wrong)
        some = f"{wrong} problem{'s' * (wrong != 1)}" if wrong else (
            f"{missing} thing{'s' * (missing != 1)} that {'are' if missing != 1 else 'is'} missing"
        )  # fmt: skip
        self.waits.value = form.hint(f"Run waits for {some}.") if wrong or missing else ""
        shown = [self.save, self.dry_run, self.run]
        shown += [self.pause] if self._execution is not None else []
        shown += [self.over] if self._conflict else []
        shown += [self.take] if self._conflict and self._builder.draft.on_disk is not None else []
        if self.buttons.children != tuple(shown):
            self.buttons.children = shown

    def _show_inputs(self) -> None:
        """Show a field for each input that has no value from Python."""
        declared = self._builder.draft.data.get("inputs")
        known = declared if isinstance(declared, dict) else {}
        names = [name for name in known if name not in self._builder.given][:MOST_INPUTS]
        for name in names:
            if name not in self.fields:
                made = self._look.text(name[:40], layout=self._look.wide)
                made.observe(self._noting(name), "value")
                act_while_busy(made.comm)
                self.fields[name] = made
            self.fields[name].placeholder = _about_input(known[name])
        children = tuple(self.fields[name] for name in names)
        if self.inputs.children != children:
            self.inputs.children = children

    def _noting(self, name: str) -> Callable[[Any], None]:
        def note(change: Any) -> None:
            self._builder.typed[name] = change["new"]
            self._host.soon()

        return note

    def _on_budget(self, change: Any) -> None:
        self._builder.budget = change["new"]
        self._host.soon()

    def say(self, text: str, kind: str = "") -> None:
        """Say in one line what just happened; `kind` is good, bad, or empty."""
        self.status.value = form.status(text, kind)

    # --- its file -----------------------------------------------------------------------------

    def _on_save(self) -> None:
        self._save(over=False)

    def _on_over(self) -> None:
        self._save(over=True)

    def _save(self, *, over: bool) -> None:
        with self._host.settled():
            draft, typed = self._builder.draft, self.file.value.strip()
            is_own = draft.path is not None and typed == str(draft.path)
            self._conflict = False
            try:
                path = self._builder.save(None if is_own or not typed else typed, over=over)
                self.file.value = str(path)
                count = len(draft.problems)
                but = f", with {count} problem{'s' * (count != 1)} in it" if count else ""
                self.say(f"Saved in {path}{but}.", "good")
            except WorkflowError as error:
                self._conflict = draft.changed_outside or not is_own
                self.say(str(error), "bad")
            except BmadError as error:
                self.say(str(error), "bad")

    def _on_take(self) -> None:
        with self._host.settled():
            self._conflict = False
            try:
                self._builder.draft.reload()
                self.say("Taken from the file; Undo brings your own text back.")
            except BmadError as error:
                self.say(str(error), "bad")

    # --- running ------------------------------------------------------------------------------

    def _on_dry_run(self) -> None:
        self._host.open_plan()
        self.say("Planned; nobody was asked.")

    def _on_run(self) -> None:
        with self._host.settled():
            if self._execution is not None:
                return
            try:
                self._execution = execution = self._builder.prepared()
            except BmadError as error:
                self.say(str(error), "bad")
                return
            self.running, _ = _loop.engine_loop().submit(self._followed(execution))

    async def _followed(self, execution: Execution) -> None:
        """Run in the background and say how far it is; then show how it went."""
        work = asyncio.ensure_future(asyncio.to_thread(self._builder.space.go, execution))
        while not work.done():
            await asyncio.wait({work}, timeout=0.4)
            if not work.done():
                self.say(execution.progress.line().rpartition(" · ")[0])
        await asyncio.to_thread(self._over, work, execution)

    def _over(self, work: asyncio.Future[Run], execution: Execution) -> None:
        with self._host.settled():
            self._execution = None
            run: Run | None = None
            try:
                run = work.result()
                self.say(f"Run {run.id} is done: {self._builder.name}.last_run", "good")
            except RunStopped as stopped:
                run = stopped.result
                self.say(str(stopped), "bad")
            except BmadError as error:
                self.say(str(error), "bad")
            except Exception as error:  # nobody waits for this thread: the form has to say it
                self.say(f"The run ended in {type(error).__name__}: {error}", "bad")
                raise
            if run is not None and execution.begun:
                self._builder.last_run = run
                run.name = f"{self._builder.name}.last_run"
                self.result.value = run._repr_mimebundle_()["text/html"]

    def _on_pause(self) -> None:
        execution = self._execution
        if execution is None or not execution.begun:
            return
        try:
            self._builder.space.pause(execution.run.run_id)
            self.say("It pauses: nothing new begins. Run goes on with it.")
        except BmadError as error:
            self.say(str(error), "bad")


def button(name: str, call: Callable[[], None], kind: str = "") -> Any:
    """Return a button that is as wide as its word."""
    made = w.Button(description=name, button_style=kind, layout=w.Layout(width="auto"))
    made.on_click(lambda _: call())
    return made


def _about_input(declared: Any) -> str:
    """Return what a value of an input must be, and what it is without one."""
    kind = declared.get("type") if isinstance(declared, dict) else declared
    about = INPUT_KINDS[kind][1] if isinstance(kind, str) and kind in INPUT_KINDS else ""
    has_default = isinstance(declared, dict) and "default" in declared
    return f"{about}; without one {declared['default']!r:.60}" if has_default else about
