"""The form of one task: which fields are seen, in which order, and what their texts can read."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as w
from pydantic import BaseModel

from bmad_nb import prompts
from bmad_nb.errors import TemplateError
from bmad_nb.render import form
from bmad_nb.render.form import Said
from bmad_nb.widgets.draft import ABSENT, Draft
from bmad_nb.widgets.fields import Field, Look, Spec, specs
from bmad_nb.widgets.panels import Panel, Path
from bmad_nb.widgets.sketch import llm_path, names, verb_of, waits_for
from bmad_nb.workflow.model import Task
from bmad_nb.workflow.parts import Approve, Collaborate, Limits, Params, Reduce, Retry, Route
from bmad_nb.workflow.rules import COLLABORATIONS, TAKEN_BY
from bmad_nb.workflow.values import VERBS

_OPEN = re.compile(r"\{\{[ \t]*([A-Za-z_][\w.]*)?(?![^\n{]*\}\})")
"""A hole that is not closed on its line, with what was typed of a name."""
MOST_NAMES = 14
"""Names that are offered at a time."""


_PARTED: dict[str, type[BaseModel]] = {
    "route": Route, "collaborate": Collaborate, "limits": Limits, "retry": Retry,
    "params": Params, "approve": Approve, "reduce": Reduce,
}  # fmt: skip
"""Keys of a task whose own keys have fields of their own."""
_TASK = specs(Task) | {
    f"{part}.{key}": spec for part, model in _PARTED.items()
    for key, spec in specs(model, part).items()
}  # fmt: skip
_TASK_LABELS = {
    "prompt": "Prompt", "llm": "LLM", "collaborate.type": "Pattern", "needs": "Needs",
    "when": "Run when", "limits.cost": "Most money", "limits.time": "Most time",
    "retry.attempts": "Attempts", "approve.ask": "Question", "set": "Values",
    "python": "Function", "workflow": "Workflow", "messages": "Messages",
    "reduce.from": "Results of", "reduce.prompt": "Prompt", "output": "Output",
}  # fmt: skip
_DOES = {
    "prompt": ": ask LLMs", "messages": ": go on with a conversation",
    "python": ": call a function", "workflow": ": run another workflow",
    "approve": ": ask a person", "set": ": compute values", "reduce": ": make one of many results",
}  # fmt: skip
_EMPTY = {"collaborate.type": "one LLM", "needs": "tasks that are to be done before",
          "when": "always", "output": "a text; else fields, as in label: string"}  # fmt: skip
_ROW: tuple[Path, ...] = (("limits", "cost"), ("limits", "time"), ("retry", "attempts"))
"""Fields that stand side by side."""
_FIRST = ("output", "needs", "when", "limits.cost", "limits.time", "retry.attempts")
"""What stands below the verb and its LLMs."""
_FOLDED = {
    "Route": [f"route.{key}" for key in specs(Route) if key != "models"],
    "Answer": ["system", *(f"params.{key}" for key in specs(Params)), "map", "refine", "checks"],
    "When it fails": ["timeout", *(f"retry.{key}" for key in specs(Retry)), "fallback",
                      *(f"limits.{key}" for key in specs(Limits))],
}  # fmt: skip
_FOLDED["More"] = [
    key for key in specs(Task)
    if key not in {*VERBS, *_PARTED, *_FIRST, "llm"} and not any(key in e for e in _FOLDED.values())
]  # fmt: skip


def open_hole(text: str) -> re.Match[str] | None:
    """Return the first hole of a text that is not closed yet."""
    return _OPEN.search(text)


def completed(text: str, name: str) -> str:
    """Return a text whose open hole has this name, or with a new hole at its end.

    >>> completed("Sum up {{ le", "letter"), completed("Sum up", "letter")
    ('Sum up {{ letter }}', 'Sum up {{ letter }}')
    """
    found = open_hole(text)
    if found is not None:
        return f"{text[: found.start()]}{{{{ {name} }}}}{text[found.end() :]}"
    gap = "" if not text or text[-1].isspace() else " "
    return f"{text}{gap}{{{{ {name} }}}}"


class TaskPanel(Panel):
    """The form of one task."""

    def __init__(
        self,
        look: Look,
        changed: Callable[[Field, Any], None],
        *,
        renamed: Callable[[str], None],
        reverbed: Callable[[str], None],
        llms: Sequence[str],
        default_llm: str,
    ) -> None:
        """Make the fields that every task has.

        Args:
            look: shared layouts.
            changed: called with a field and what now stands in it.
            renamed: called with a new id.
            reverbed: called with a new verb.
            llms: ids that are offered.
            default_llm: answers where none is named.
        """
        self.groups = {
            name: [_TASK[key] for key in keys if key not in _FIRST]
            for name, keys in _FOLDED.items()
        }
        self._llms, self._default_llm = llms, default_llm
        super().__init__(look, changed)
        self.name = look.text("Name", continuous_update=False)
        self.name.observe(self._if_free(renamed), "value")
        self.name_said = w.HTML(layout=w.Layout(margin="0 0 0 128px"))
        verbs = [("…", ""), *((f"{each}{_DOES.get(each, '')}", each) for each in VERBS)]
        self.verb = look.control(w.Dropdown, "Does", options=verbs)
        self.verb.observe(self._if_free(reverbed), "value")
        self.offers = w.HBox(layout=w.Layout(flex_flow="row wrap", margin="0 0 4px 128px"))
        self._offered: list[str] = []
        self._row = w.HBox(layout=w.Layout(flex_flow="row wrap"))
        self._row.add_class("bmad-row")
        self._filling = False

    def _if_free(self, call: Callable[[str], None]) -> Callable[[Any], None]:
        return lambda change: None if self._filling else call(change["new"])

    def spec(self, path: Path) -> Spec:
        """Return what the model says of a key, under the name that the form gives it."""
        key = ".".join(path)
        found = _TASK[key]
        empty = f"{self._default_llm} by default" if key == "llm" else _EMPTY.get(key, "")
        return dataclasses.replace(found, label=_TASK_LABELS.get(key, found.label), empty=empty,
                                   narrow=path in _ROW)  # fmt: skip

    def made(self, path: Path) -> Field:
        """Make the field of a key; for LLMs with the ids that there are."""
        options = self._llms if path == ("llm",) else None
        return Field(self.spec(path), self.look, self._changed, options)

    def place(self, path: Path) -> Path:
        """Return where the value of a field stands: LLMs may stand in the route."""
        return llm_path(self._data) if path == ("llm",) else path

    def taken(self, spec: Spec) -> bool:
        """Return whether the verb takes the key, or it stands there all the same."""
        verbs = TAKEN_BY.get(spec.path[0])
        takes = verbs is None or verb_of(self._data) in verbs
        return takes or self.value(spec.path[:1]) is not ABSENT

    def show(self, draft: Draft, task_id: str, problems: Sequence[Said],
             refused: str = "") -> list[Said]:  # fmt: skip
        """Show a task; return the problems that stand beside no field in sight.

        Args:
            draft: where it stands.
            task_id: its id.
            problems: what is wrong with it, with paths from the task down.
            refused: markup below the name, where a new one could not be taken.
        """
        self._data, self._problems = draft.tasks[task_id], problems
        verb = verb_of(self._data)
        self._filling = True
        try:
            if not refused:
                self.name.value = task_id
            self.verb.value = verb
        finally:
            self._filling = False
        paths = self._paths(verb)
        for path in paths:
            self.field(path).fill(self.value(path))
        text = self._text_path(verb)
        self._offer(names(draft.data, draft.tasks, task_id) if text else [], text)
        self._place(paths, text)
        paths += self._show_folds()
        own = [said for said in problems if not said.problem.path]
        self.name_said.value = refused or (form.beside(own) if own else "")
        rest = [said for said in problems if said.problem.path]
        return self.tell(paths, rest, self._hints(draft, task_id, text))

    def tell(self, paths: Sequence[Path], problems: Sequence[Said],
             hints: Mapping[Path, str]) -> list[Said]:  # fmt: skip
        """Show problems as any panel does; what is said of the whole route is said of the LLMs."""
        whole, llm = (("llm",), ("route",)), self.place(("llm",))
        moved = [
            each._replace(problem=each.problem._replace(path=llm))
            if each.problem.path in whole else each
            for each in problems
        ]  # fmt: skip
        return super().tell(paths, moved, hints)

    def _paths(self, verb: str) -> list[Path]:
        """Return the fields in sight, in their order."""
        found: list[Path] = []
        if verb == "approve":
            found += [s.path for s in specs(Approve, "approve").values()]
        elif verb == "reduce":
            found += [s.path for s in specs(Reduce, "reduce").values()]
        elif verb:
            found.append((verb,))
        parted = [tuple(key.split(".")) for key in _FIRST]
        together: list[Path] = [("collaborate", "type")]
        kind = self.value(("collaborate", "type"))
        if kind is not ABSENT:
            known = COLLABORATIONS.get(kind, ()) if isinstance(kind, str) else ()
            every = specs(Collaborate, "collaborate")
            together += [s.path for key, s in every.items() if key != "type" and (
                key in known or self.value(s.path) is not ABSENT)]  # fmt: skip
        found += [("llm",), *together, *parted]
        return [path for path in found if path[0] == verb or self.taken(_TASK[path[0]])]

    @staticmethod
    def _text_path(verb: str) -> Path | None:
        """Return the field of the text with holes that the verb has, if it has one."""
        return {"prompt": ("prompt",), "approve": ("approve", "ask"),
                "reduce": ("reduce", "prompt")}.get(verb)  # fmt: skip

    def _place(self, paths: Sequence[Path], text: Path | None) -> None:
        """Put the fields in sight into the form."""
        boxes: list[Any] = [self.name, self.name_said, self.verb]
        for path in paths:
            if path not in _ROW:
                boxes.append(self.field(path).box)
            elif self._row not in boxes:
                boxes.append(self._row)
            if path == text:
                boxes.append(self.offers)
        row = tuple(self.field(path).box for path in paths if path in _ROW)
        if self._row.children != row:
            self._row.children = row
        if self.top.children != tuple(boxes):
            self.top.children = boxes

    def _hints(self, draft: Draft, task_id: str, text: Path | None) -> dict[Path, str]:
        """Return what is said below fields that nothing is wrong with."""
        found: dict[Path, str] = {}
        if text is not None:
            try:
                read = [".".join(each) for each in prompts.references(str(self.value(text)))]
            except TemplateError:
                read = []
            hole = open_hole(str(self.value(text)))
            if hole is not None:
                found[text] = form.hint(f"The hole {hole[0]!r:.60} is open: }}}} closes it.")
            else:
                found[text] = form.names(read) if read else ""
        waits = waits_for(draft.tasks, task_id)
        if waits:
            found["needs",] = form.hint(f"It reads, and so waits for, {', '.join(waits[:12])}.")
        if self.value(("when",)) is not ABSENT:
            found["when",] = form.hint("Where this is false, the task is skipped.")
        if any(self.value(("limits", key)) is not ABSENT for key in ("cost", "time")):
            found["limits", "time"] = form.hint("At a limit the run pauses; it does not overspend.")
        return found

    def _offer(self, names: Sequence[str], text: Path | None) -> None:
        """Offer names for the open hole of the text, or for a new one at its end."""
        value = self.value(text) if text else ""
        hole = open_hole(value) if isinstance(value, str) else None
        typed = hole[1] or "" if hole else ""
        few = [name for name in names if name.startswith(typed)][:MOST_NAMES]
        if few == self._offered:
            return
        self._offered = few
        word = [w.HTML(form.label("Insert"))] if few else []
        self.offers.children = [*word, *map(self._offer_of, few)]

    def _offer_of(self, name: str) -> Any:
        button = w.Button(
            description=f"{{{{ {name} }}}}", layout=w.Layout(width="auto"),
            tooltip=f"Put {name} into the text, or complete what is open there",
        )  # fmt: skip
        button.add_class("bmad-name")
        button.on_click(lambda _: self._insert(name))
        return button

    def _insert(self, name: str) -> None:
        text = self._text_path(self.verb.value)
        if text is not None:
            control = self.field(text).control
            control.value = completed(control.value, name)
