"""The form of a part of a definition, and of the workflow around the tasks.

The keys, the words and the rules for who takes which key come from the workflow model; what stands
here is only their order. A key that nobody put anywhere is found under "More".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets as w

from bmad_nb.render import form
from bmad_nb.render.form import Said
from bmad_nb.widgets.draft import ABSENT, Draft
from bmad_nb.widgets.fields import Field, Look, Spec, specs
from bmad_nb.workflow.model import Workflow
from bmad_nb.workflow.parts import Limits

Path = tuple[str, ...]
_FLOW = specs(Workflow) | {f"limits.{key}": spec for key, spec in specs(Limits, "limits").items()}
_FLOW_FIRST = (
    "workflow",
    "title",
    "description",
    "inputs",
    "outputs",
    "limits.cost",
    "limits.time",
)
_FLOW_LABELS = {"workflow": "Id", "limits.cost": "Most money", "limits.time": "Most time"}
_FLOW_HINTS = {
    ("inputs",): "One a line, as name: type.",
    ("outputs",): "One a line, as name: expression; without any, what nobody reads on.",
}


class Panel:
    """Fields that are shown for one part of a definition.

    Args:
        changed: called with a field and what now stands in it.
    """

    groups: Mapping[str, Sequence[Spec]] = {}
    """Folded parts, with their fields in order."""

    def __init__(self, look: Look, changed: Callable[[Field, Any], None]) -> None:
        """Make no field yet: those of a folded part are made when it is opened."""
        self.look, self._changed = look, changed
        self._fields: dict[Path, Field] = {}
        self._data: Any = {}
        self._problems: Sequence[Said] = ()
        self.top = w.VBox(layout=look.wide)
        self.folds = [self._fold(name) for name in self.groups]
        self._inside = [w.VBox(layout=look.wide) for _ in self.groups]
        both = zip(self.folds, self._inside, strict=True)
        self.box = w.VBox([self.top, *(each for pair in both for each in pair)], layout=look.wide)

    def field(self, path: Path) -> Field:
        """Return the field of a key; it is made when it is first asked for.

        Raises:
            KeyError: the model has no such key.
        """
        if path not in self._fields:
            self._fields[path] = self.made(path)
        return self._fields[path]

    def made(self, path: Path) -> Field:
        """Make the field of a key."""
        return Field(self.spec(path), self.look, self._changed)

    def spec(self, path: Path) -> Spec:
        """Return what the model says of a key."""
        raise NotImplementedError

    def place(self, path: Path) -> Path:
        """Return where the value of a field stands in the data."""
        return path

    def value(self, path: Path) -> Any:
        """Return the value of a field, `ABSENT` where there is none."""
        here = self._data
        for step in self.place(path):
            if not isinstance(here, Mapping) or step not in here:
                return ABSENT
            here = here[step]
        return here

    def taken(self, spec: Spec) -> bool:
        """Return whether a field has a meaning here, or a value all the same."""
        del spec
        return True

    def _fold(self, name: str) -> Any:
        """Return what opens a folded part: a button, which keys reach, unlike an accordion's."""
        made = w.ToggleButton(description=name, layout=self.look.wide)
        made.add_class("bmad-fold")
        made.observe(lambda _: self._show_folds(), "value")
        return made

    def _show_folds(self) -> list[Path]:
        """Fill the parts that are open, and say in each title what is set in it."""
        opened: list[Path] = []
        for index, (name, members) in enumerate(self.groups.items()):
            there = (s.path[-1] for s in members if self.value(s.path) is not ABSENT)
            keys = list(dict.fromkeys(there))
            wrong = any(self._is_in(said, members) for said in self._problems)
            fold = self.folds[index]
            parts = ["▾" if fold.value else "▸", "✕" * wrong, name]
            set_here = f" · {', '.join(keys[:6])}" if keys else ""
            fold.description = " ".join(filter(None, parts)) + set_here
            paths = [s.path for s in members if fold.value and self.taken(s)]
            shown = tuple(self.field(path).box for path in paths)
            if self._inside[index].children != shown:
                self._inside[index].children = shown
            opened += paths
        for path in opened:
            self.field(path).fill(self.value(path))
        return opened

    def _is_in(self, said: Said, members: Iterable[Spec]) -> bool:
        return any(said.problem.path[: len(s.path)] == self.place(s.path) for s in members)

    def tell(self, paths: Sequence[Path], problems: Sequence[Said],
             hints: Mapping[Path, str]) -> list[Said]:  # fmt: skip
        """Show each problem beside the field that it belongs to; return those that have none.

        Args:
            paths: fields in sight.
            problems: with paths from this part down.
            hints: markup below fields that nothing is wrong with.
        """
        beside: dict[Path, list[Said]] = {}
        rest = []
        for said in problems:
            owner = self._owner(said.problem.path, paths)
            if owner is None:
                rest.append(said)
            else:
                beside.setdefault(owner, []).append(said)
        for path in paths:
            found = beside.get(path, [])
            message = form.beside(found) if found else hints.get(path, "")
            self.field(path).tell(message, wrong=any(not each.warns for each in found))
        return rest

    def _owner(self, where: Path, paths: Sequence[Path]) -> Path | None:
        """Return the field in sight that a path leads to, or that lies below it."""
        inside = [p for p in paths if where[: len(self.place(p))] == self.place(p)]
        if inside:
            return max(inside, key=lambda p: len(self.place(p)))
        below = [p for p in paths if where and self.place(p)[: len(where)] == where]
        return below[0] if below else None


class FlowPanel(Panel):
    """The form of what stands around the tasks."""

    def __init__(self, look: Look, changed: Callable[[Field, Any], None]) -> None:
        """Make no field yet."""
        left = {"version", "tasks", "limits", *_FLOW_FIRST}
        rest = [spec for key, spec in _FLOW.items() if key not in left]
        self.groups = {"More": rest}
        super().__init__(look, changed)

    def spec(self, path: Path) -> Spec:
        """Return what the model says of a key, under the name that the form gives it."""
        key = ".".join(path)
        found = _FLOW[key]
        return dataclasses.replace(found, label=_FLOW_LABELS.get(key, found.label))

    def show(self, draft: Draft, problems: Sequence[Said]) -> list[Said]:
        """Show the workflow; return the problems that stand beside no field in sight."""
        self._data, self._problems = draft.data, problems
        paths = [tuple(key.split(".")) for key in _FLOW_FIRST]
        for path in paths:
            self.field(path).fill(self.value(path))
        boxes = tuple(self.field(path).box for path in paths)
        if self.top.children != boxes:
            self.top.children = boxes
        paths += self._show_folds()
        hints: dict[Path, str] = {path: form.hint(text) for path, text in _FLOW_HINTS.items()}
        return self.tell(paths, problems, hints)
