"""The live form of the task builder: plain ipywidgets, no script of our own.

Handlers may run on a thread of their own while a cell is busy. They only take down what was typed;
a moment after the last key, one worker writes it into the text and shows what follows from it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets as w

from bmad_nb.errors import BmadError, DefinitionError, Problem
from bmad_nb.forecast.ranges import Analysis
from bmad_nb.render import form
from bmad_nb.render.form import Said
from bmad_nb.render.run_card import workflow_html
from bmad_nb.runs.planned import Planned
from bmad_nb.widgets.around import act_while_busy
from bmad_nb.widgets.draft import ABSENT
from bmad_nb.widgets.fields import Field, Look, Unreadable
from bmad_nb.widgets.foot import Foot, button
from bmad_nb.widgets.later import Later
from bmad_nb.widgets.making import Making, missing_of, problems_by_task
from bmad_nb.widgets.panels import FlowPanel
from bmad_nb.widgets.sketch import are_simulated, graph, kind_of, llm_path, llms_of, verb_of
from bmad_nb.widgets.task_panel import TaskPanel

DELAY_S = 0.3
"""Seconds after the last key until what was typed is looked at."""
TABS = ("Form", "YAML", "Plan", "Take away")
AWAY = ("YAML", "Cell", "Python")

Key = tuple[str, tuple[str, ...]]
"""The task, empty for the workflow, and the path of a field."""


class Sheet:
    """The widgets of a builder.

    Args:
        builder: what is edited.
        delay_s: seconds after the last key until what was typed is looked at.
    """

    def __init__(self, builder: Making, delay_s: float = DELAY_S) -> None:
        """Make the widgets and show what there is."""
        self.builder, self._draft = builder, builder.draft
        self._later = Later(delay_s)
        self._lock, self._noting = threading.RLock(), threading.Lock()
        self._pending: dict[Key, tuple[Field, Any]] = {}
        self._typed_yaml: str | None = None
        self._unread: dict[Key, Problem] = {}
        """What was typed and is no value at all; it is not in the text."""
        self._refused = ""
        self._filling = False
        self._planned: Planned | None = None
        self._analysis: Analysis | None = None
        self._missing: list[Said] = []
        self._reckoned: object = None
        """What the plan was made of."""
        self.task = next(iter(self._draft.tasks), "")
        """The task that is shown; empty for the workflow around the tasks."""
        look = Look()
        space = builder.space
        self.panel = TaskPanel(
            look, self._on_field, renamed=self._on_rename, reverbed=self._on_verb,
            llms=space.catalog.ids(), default_llm=space.settings.engine.default_llm,
        )  # fmt: skip
        self.flow = FlowPanel(look, self._on_field)
        self.foot = Foot(self, look)
        self._make(look)
        self.show()
        self.soon()
        for each in _all(self.box):
            act_while_busy(each.comm)

    def _make(self, look: Look) -> None:
        """Make the widgets above the foot."""
        self.title, self.notice = w.HTML(), w.HTML()
        self.convert = button("Convert", self._on_convert)
        head = w.VBox([w.HTML(form.STYLE), self.title, self.notice, self.convert])
        head.add_class("bmad-head")
        self.tasks = look.named(w.Select, "Tasks", rows=8)
        self.tasks.observe(self._on_select, "value")
        self.add, self.copy = button("+ Task", self._on_add), button("Copy", self._on_copy)
        self.delete, self.undo = button("Delete", self._on_delete), button("Undo", self._on_undo)
        side = w.VBox([w.HTML(form.label("Tasks")), self.tasks,
                       w.HBox([self.add, self.copy, self.delete, self.undo])],
                      layout=w.Layout(flex="1 1 270px"))  # fmt: skip
        side.add_class("bmad-side")
        # narrow pages have the list above the fields instead of beside them
        self.main = w.VBox([self.panel.box], layout=w.Layout(flex="999 1 400px", min_width="0"))
        self.main.add_class("bmad-main")
        self.graph, self.rest = w.HTML(), w.HTML()
        self.yaml, self.yaml_said = self._source(look, "Definition as YAML"), w.HTML()
        self.yaml.observe(self._on_yaml, "value")
        note = "Form and YAML are two views of one text; comments and order are kept."
        self.plan = w.HTML()
        self.away_as = w.ToggleButtons(options=AWAY, value="YAML")
        self.away_as.observe(lambda _: self._show_tab(), "value")
        self.away = self._source(look, "What is taken away")
        self.tabs = w.Tab([
            w.VBox([w.HBox([side, self.main], layout=w.Layout(flex_flow="row wrap")),
                    self.graph, self.rest]),
            w.VBox([self.yaml, self.yaml_said, w.HTML(form.hint(note))]),
            w.VBox([self.plan]),
            w.VBox([self.away_as, self.away]),
        ], titles=TABS)  # fmt: skip
        self.tabs.observe(lambda _: self._show_tab(), "selected_index")
        self.box = w.VBox([head, self.tabs, self.foot.box], layout=w.Layout(width="auto"))
        self.box.add_class("bmad-form")

    @staticmethod
    def _source(look: Look, name: str) -> Any:
        made = look.named(w.Textarea, name, rows=20)
        made.add_class("bmad-code")
        return made

    @contextlib.contextmanager
    def _filled(self) -> Iterator[None]:
        """Change widgets without taking it for typing."""
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before

    # --- what was typed -----------------------------------------------------------------------

    def _on_field(self, field: Field, text: Any) -> None:
        with self._noting:
            self._pending[self.task, field.spec.path] = field, text
        self.soon()

    def _on_yaml(self, change: Any) -> None:
        if not self._filling:
            with self._noting:
                self._typed_yaml = change["new"]
            self.soon()

    def soon(self) -> None:
        """Write into the text what was typed, and show what follows, a moment later."""
        self._later(self.apply)

    def apply(self) -> None:
        """Write into the text what was typed since, and show what follows from it."""
        try:
            with self._lock:
                self._write()
                self.show()
            self._reckon()
        except Exception as error:  # nobody waits for this thread: the form has to say it
            self.foot.say(f"The form could not follow: {type(error).__name__}: {error}", "bad")
            raise

    @contextlib.contextmanager
    def settled(self) -> Iterator[None]:
        """Hold the form still, once all that was typed is in the text; show it anew at the end."""
        with self._lock:
            self._write()
            try:
                yield
            finally:
                self.show()
        self.soon()

    def _write(self) -> None:
        with self._noting:
            pending, self._pending = self._pending, {}
            text, self._typed_yaml = self._typed_yaml, None
        for key, (field, typed) in pending.items():
            self._unread.pop(key, None)
            task, path = key
            base = ("tasks", task) if task else ()
            if task and task not in self._draft.tasks:
                continue
            try:
                self._put(base, path, field.value(typed), typed)
            except (Unreadable, DefinitionError) as error:
                self._unread[key] = error.problems[0]._replace(line=0, path=(*base, *path))
        if text is not None:
            self._draft.write(text)

    def _put(self, base: tuple[str, ...], path: tuple[str, ...], value: Any, typed: Any) -> None:
        task = self._draft.tasks[base[1]] if base else {}
        if base and path[0] == verb_of(task) and value is ABSENT and path != ("reduce", "batch"):
            value = typed  # the verb stays, although nothing is said yet
        if base and path == ("llm",):
            path = llm_path(task)
            if path != ("route", "models") and isinstance(value, list) and len(value) == 1:
                value = value[0]
        self._draft.put((*base, *path), value)

    # --- tasks --------------------------------------------------------------------------------

    def _changed(self, work: Callable[[], Any]) -> None:
        """Do what a control says, after all that was typed; what goes wrong is said."""
        with self.settled():
            try:
                work()
            except BmadError as error:
                self.foot.say(str(error), "bad")

    def _on_select(self, change: Any) -> None:
        if not self._filling:
            self._changed(lambda: self._select(change["new"] or ""))

    def _select(self, task: str) -> None:
        self.task, self._refused = task, ""

    def _on_add(self) -> None:
        self._changed(lambda: self._select(self._draft.add_task()))

    def _on_copy(self) -> None:
        self._changed(lambda: self._select(self._draft.add_task(self.task)))

    def _on_delete(self) -> None:
        if self.task:
            self._changed(lambda: self._draft.put(("tasks", self.task), ABSENT))

    def _on_undo(self) -> None:
        self._changed(self._draft.undo)

    def _on_convert(self) -> None:
        self._changed(self._draft.converted)

    def _on_verb(self, verb: str) -> None:
        if verb:
            self._changed(lambda: self._draft.change_verb(self.task, verb))

    def _on_rename(self, name: str) -> None:
        with self.settled():
            try:
                if name != self.task:
                    self._draft.rename_task(self.task, name)
                self._select(name)
            except DefinitionError as error:
                self._refused = form.beside([Said("", error.problems[0])])

    # --- showing ------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the text as it is now, in every part that is seen."""
        with self._lock, self._filled():
            if self.task not in self._draft.tasks:
                self.task = ""
            problems = self._problems()
            counts = problems_by_task(problems)
            self._show_head()
            self._show_side(counts)
            self.rest.value = form.listing(self._show_panel([*problems, *self._missing]))
            self.foot.show(self._planned, self._analysis, len(problems), len(self._missing))
            self._show_tab()

    def _problems(self) -> list[Said]:
        """Return what is wrong: with the text, and with what could not be put into it."""
        return [
            Said(_owner(each), each) for each in (*self._draft.problems, *self._unread.values())
        ]

    def _reckon(self) -> None:
        """Make the plan anew where something changed, and what it takes; nobody is asked.

        It may take a second where there are a hundred tasks, so nothing waits for it.
        """
        with self._lock:
            now = self._now()
            flow = None if self._unread else self._draft.workflow
            document = self._draft.document
        if now == self._reckoned:
            return
        planned, analysis, missing = None, None, []
        try:
            if flow is not None and document is not None:
                planned = self.builder.plan(flow)
                missing = missing_of(planned.plan, document)
                analysis = planned.analysis
        except BmadError as error:
            missing = [Said("", Problem(0, 0, error.what, error.hint), warns=True)]
        with self._lock:
            if now == self._now():  # else it was typed on, and is made again
                self._reckoned = now
                self._planned, self._analysis, self._missing = planned, analysis, missing
                self.show()

    def _now(self) -> object:
        """Return what a plan is made of."""
        return self._draft.text, dict(self.builder.typed), bool(self._unread)

    def _show_head(self) -> None:
        draft = self._draft
        name = draft.path.name if draft.path is not None else "no file yet"
        state = "saved" if draft.is_saved else "changed" if draft.on_disk is not None else "new"
        self.title.value = form.title(self.builder.id, f"{state} · {name}")
        locked = self._locked()
        said = locked or form.comments_lost(draft.lost)
        self.notice.value = form.status(said, "" if locked else "bad") if said else ""
        self.convert.layout.display = None if draft.is_original and draft.workflow else "none"
        self.add.disabled = bool(locked)
        self.copy.disabled = self.delete.disabled = not self.task

    def _show_side(self, counts: dict[str, int]) -> None:
        """Show the list of tasks and their graph."""
        options = [("Workflow", "")]
        for number, (name, task) in enumerate(self._draft.tasks.items(), 1):
            simulated = "simulated" * are_simulated(task)
            kind = kind_of(task).removeprefix("prompt")  # what most tasks do needs no word
            about = " · ".join(filter(None, (kind, ", ".join(llms_of(task)), simulated)))
            wrong = f"✕ {counts[name]}  " if counts.get(name) else ""
            options.append((f"{number}  {wrong}{name[:40]} · {about}"[:80], name))
        if list(self.tasks.options) != options:
            self.tasks.options = options
            self.tasks.rows = min(14, max(5, len(options)))
        if self.tasks.value != self.task:
            self.tasks.value = self.task
        drawn = graph(self._draft.data.get("workflow"), self._draft.tasks, counts)
        self.graph.value = form.drawn(drawn) if self._draft.tasks else ""

    def _locked(self) -> str:
        """Return why the form cannot change the text; empty where it can."""
        if self._draft.document is None:
            return "The text is no YAML that can be read. The tab YAML says where; mend it there."
        if self._draft.is_original:
            return (
                "This document has the original specification's shape, which the form does not "
                "edit. Convert writes it anew in today's format; its comments do not come along."
            )
        return ""

    def _show_panel(self, problems: list[Said]) -> list[Said]:
        """Show the task or the workflow; return the problems that no field in sight has."""
        if self._locked():
            self.main.children = ()
            return problems
        panel: Any = self.panel if self.task else self.flow
        if self.main.children != (panel.box,):
            self.main.children = (panel.box,)
        base = ("tasks", self.task) if self.task else ()
        own: list[Said] = []
        others: list[Said] = []
        for each in problems:
            path = each.problem.path
            if path[: len(base)] != base or (not self.task and path[:1] in ((), ("tasks",))):
                others.append(each)
            else:
                below = each.problem._replace(path=path[len(base) :])
                own.append(each._replace(problem=below))
        if not self.task:
            return [*self.flow.show(self._draft, own), *others]
        return [*self.panel.show(self._draft, self.task, own, self._refused), *others]

    def _show_tab(self) -> None:
        """Show what the open tab shows; the others wait until they are opened."""
        with self._lock, self._filled():
            name = TABS[self.tabs.selected_index or 0]
            plain = self._draft.text.replace("\r\n", "\n")
            with self._noting:
                typing = self._typed_yaml is not None
            if not typing and self.yaml.value != plain:
                self.yaml.value = plain
            self.yaml_said.value = form.wrong_lines(self._draft.text, self._draft.problems)
            if name == "Plan":
                wrong = form.listing(self._problems())
                self.plan.value = wrong or (
                    workflow_html(self._planned.view()) if self._planned is not None
                    else form.listing(self._missing)
                )  # fmt: skip
            elif name == "Take away":
                self.away.value = self._taken()

    def open_plan(self) -> None:
        """Show the plan of what was typed so far, by the LLMs and prices that there are now."""
        self._reckoned = None
        self.apply()
        self.tabs.selected_index = TABS.index("Plan")

    def _taken(self) -> str:
        take = {"YAML": self.builder.to_yaml, "Cell": self.builder.to_cell,
                "Python": self.builder.to_python}[self.away_as.value]  # fmt: skip
        try:
            return take().replace("\r\n", "\n")
        except DefinitionError as error:
            return f"Something is wrong with it first:\n{error}"


def _owner(problem: Problem) -> str:
    """Return whose problem it is, such as `draft.llm`."""
    path = problem.path[1:3] if problem.path[:1] == ("tasks",) else problem.path[:2]
    return ".".join(str(each)[:60] for each in path)


def _all(widget: Any) -> Iterator[Any]:
    yield widget
    for each in getattr(widget, "children", ()):
        yield from _all(each)
