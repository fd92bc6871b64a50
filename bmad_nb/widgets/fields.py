"""Fields of a form, made from the workflow model: what it can say, the form can, and no more.

A field shows one value of a definition. What is typed is read back as the value that a document
would have; what is not valid goes into the document as it is, so that the model itself says why.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Union

import ipywidgets as w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bmad_nb import documents
from bmad_nb.errors import DefinitionError
from bmad_nb.widgets.draft import ABSENT

Kind = Literal["text", "code", "long", "number", "flag", "choice", "list", "yaml"]

_LABEL, _INDENT = "118px", "128px"
"""Width of the labels, and where what stands below a control begins."""
_NOTHING = "…"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a field edits."""

    path: tuple[str, ...]
    """Keys below the task, or below the workflow."""
    kind: Kind
    label: str
    choices: tuple[str, ...] = ()
    default: Any = None
    about: str = ""
    """What the model says of it."""
    empty: str = ""
    """What an empty field says."""
    narrow: bool = False
    """Whether it stands in a row with others."""


@functools.cache
def specs(model: type[BaseModel], *path: str) -> dict[str, Spec]:
    """Return a field for each key that a part of the model has, by key."""
    found = {}
    for name, info in model.model_fields.items():
        key = info.alias or name
        kind, choices = _kind(info)
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        about = info.description or ""
        found[key] = Spec(
            (*path, key), kind, key.replace("_", " ").capitalize(), choices, default, about
        )
    return found


def _kind(info: FieldInfo) -> tuple[Kind, tuple[str, ...]]:
    """Return how a key of the model is edited, and the words that it may have."""
    said = " ".join((info.description or "", *_descriptions(info.annotation)))
    core = _core(info.annotation)
    inner = typing.get_args(core)
    kind: Kind = "yaml"
    if core is str:
        kind = "long" if "holes" in said else "code" if "an expression" in said else "text"
    elif core is bool or inner == (True,):
        kind = "flag"
    elif typing.get_origin(core) is Literal:
        kind = "choice"
    elif core in {int, float, Decimal}:
        kind = "number"
    elif typing.get_origin(core) is list and _is_word(_core(inner[0])):
        kind = "list"
    return kind, tuple(map(str, inner)) if kind == "choice" else ()


def _is_word(kind: Any) -> bool:
    return kind is str or typing.get_origin(kind) is Literal


def _core(annotation: Any) -> Any:
    """Return a type without its notes and without None."""
    if typing.get_origin(annotation) is Annotated:
        return _core(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in {Union, types.UnionType}:
        inner = [each for each in typing.get_args(annotation) if each is not type(None)]
        return _core(inner[0]) if len(inner) == 1 else annotation
    return annotation


def _descriptions(annotation: Any) -> Iterable[str]:
    for each in typing.get_args(annotation):
        if isinstance(each, FieldInfo):
            yield each.description or ""
        else:
            yield from _descriptions(each)


# --- values as text and back ------------------------------------------------------------------


class Unreadable(Exception):
    """What stands in a field is no value at all, such as YAML with an open bracket."""

    def __init__(self, problem: Any) -> None:
        """Keep the problem."""
        super().__init__(problem.what)
        self.problems = (problem,)


def shown(kind: Kind, value: Any) -> Any:
    """Return what a field shows of a value of the document."""
    if kind == "flag":
        return value
    if value is ABSENT:
        return ""
    if kind == "list" and isinstance(value, list) and all(isinstance(e, str) for e in value):
        return ", ".join(value)
    if isinstance(value, str) and kind != "yaml":
        return value
    return snippet(value)


def read(kind: Kind, text: Any) -> Any:
    """Return the value that a field's text stands for, `ABSENT` for none.

    Raises:
        Unreadable: it is no YAML.
    """
    if kind == "flag":
        return text
    if not text.strip():
        return ABSENT
    if kind == "yaml" or (kind == "list" and text.lstrip().startswith("[")):
        return value_of(text)
    if kind == "list":
        return [each for each in (part.strip() for part in text.split(",")) if each]
    if kind == "number":
        return _number(text.strip())
    return text if kind in {"long", "code"} else text.strip()


def _number(text: str) -> Any:
    if re.fullmatch(r"[-+]?[0-9]{1,20}", text):
        return int(text)
    return float(text) if re.fullmatch(r"[-+]?[0-9]{0,20}\.[0-9]{1,20}", text) else text


def snippet(value: Any) -> str:
    """Return a value as a piece of YAML that can stand on its own.

    >>> print(snippet({"label": "string", "sure": "number"}))
    {label: string, sure: number}
    """
    body = documents.write({"v": value}).removeprefix("v:").rstrip("\n")
    lines = body.lstrip(" ").split("\n")
    if len(lines) == 1:
        return lines[0]
    if lines[0] == "":
        return "\n".join(line[2:] for line in lines[1:])
    return "\n".join(lines)


def value_of(text: str) -> Any:
    """Return the value of a piece of YAML.

    Raises:
        Unreadable: it is none.
    """
    is_block = text.lstrip().startswith(("|", ">"))
    lines = text.replace("\r\n", "\n").strip("\n").split("\n")
    body = "v: " + "\n".join(lines) if is_block else "v:\n" + "\n".join(f"  {e}" for e in lines)
    try:
        return documents.read(body + "\n").data["v"]
    except DefinitionError as error:
        raise Unreadable(error.problems[0]) from None


# --- controls ---------------------------------------------------------------------------------


class Look:
    """Layouts and styles that all controls of one form share; each is a model of its own."""

    def __init__(self) -> None:
        """Make them."""
        self.wide = w.Layout(width="auto", min_width="0")
        self.half = w.Layout(width="400px", max_width="100%")
        self.small = w.Layout(width="220px")
        self.grow = w.Layout(flex="1 1 auto", min_width="0")
        self._styles: dict[type, Any] = {}

    def control(self, kind: type, description: str, **options: Any) -> Any:
        """Return a control with its label, in the style that all of its kind share."""
        style = self._styles.get(kind, {"description_width": _LABEL})
        options.setdefault("layout", self.half)
        made = kind(description=description, style=style, **options)
        self._styles[kind] = made.style
        return made

    def named(self, kind: type, name: str, **options: Any) -> Any:
        """Return a control whose name is for screen readers: what it is stands above it."""
        made = kind(description=name, layout=self.wide, **options)
        made.add_class("bmad-named")
        return made

    def text(self, description: str, **options: Any) -> Any:
        """Return a field for a line of text."""
        return self.control(w.Text, description, **options)


class Field:
    """One control, and below it what is wrong with its value.

    Args:
        spec: what it edits.
        look: shared layouts.
        changed: called with the field and what now stands in it.
        options: words that are offered while typing, for a text.
    """

    def __init__(
        self,
        spec: Spec,
        look: Look,
        changed: Callable[[Field, Any], None],
        options: Sequence[str] | None = None,
    ) -> None:
        """Make the control; nothing stands in it yet."""
        self.spec = spec
        self._changed = changed
        self._filling = False
        self._message: Any = None
        self._is_wrong = False
        self.control = self._made(look, options)
        self.control.observe(self._on_change, "value")
        self.box = w.VBox([self.control])

    def _made(self, look: Look, options: Sequence[str] | None) -> Any:
        spec, kind, make = self.spec, self.spec.kind, look.control
        common = {"tooltip": spec.about or None}
        if kind == "flag":
            return make(
                w.Checkbox, spec.label, value=bool(spec.default), layout=look.wide, **common
            )
        if kind == "choice":
            first = _NOTHING if spec.default in (None, "") else f"{_NOTHING} ({spec.default})"
            words = [(spec.empty or first, "")]
            words += [(each.replace("_", " "), each) for each in spec.choices]
            return make(w.Dropdown, spec.label, options=words, value="", **common)
        common["placeholder"] = spec.empty or self._placeholder()
        if kind in {"long", "yaml"}:
            rows = 5 if kind == "long" else 2
            made = make(w.Textarea, spec.label, rows=rows, layout=look.wide, **common)
        elif options is not None:
            made = make(w.Combobox, spec.label, options=tuple(options), **common)
        else:
            layout = look.wide if kind == "code" else look.small if spec.narrow else look.half
            made = make(w.Text, spec.label, layout=layout, **common)
        if kind in {"code", "yaml", "long"}:
            made.add_class("bmad-code")
        return made

    def _placeholder(self) -> str:
        if self.spec.default not in (None, "", [], {}):
            return str(self.spec.default)
        return "YAML" if self.spec.kind == "yaml" else ""

    def _on_change(self, change: Any) -> None:
        if not self._filling:
            self._changed(self, change["new"])

    def value(self, text: Any) -> Any:
        """Return the value of the document that a text of this field stands for.

        Raises:
            Unreadable: it stands for none.
        """
        if self.spec.kind == "flag":
            return ABSENT if text == bool(self.spec.default) else text
        return read(self.spec.kind, text)

    def fill(self, value: Any) -> None:
        """Show a value of the document, unless what stands here means the same."""
        new = shown(self.spec.kind, value)
        if self.spec.kind == "flag":
            new = bool(self.spec.default) if value is ABSENT else bool(value)
        elif self.spec.kind == "choice":
            new = self._word(new)
        if self._stands_for(value):
            return
        self._filling = True
        try:
            self.control.value = new
            if self.spec.kind == "yaml":
                self.control.rows = min(10, max(2, str(new).count("\n") + 1))
        finally:
            self._filling = False

    def _stands_for(self, value: Any) -> bool:
        try:
            mine = self.value(self.control.value)
        except Unreadable:
            return False
        return mine is value or (mine is not ABSENT and value is not ABSENT
                                 and documents.same(mine, value))  # fmt: skip

    def _word(self, word: str) -> str:
        """Return a word that the list has; one that is no choice is put into it, to be seen."""
        known = [value for _, value in self.control.options]
        if word not in known:
            self.control.options = (*self.control.options, (f"✕ {word[:60]}", word))
        return word

    def tell(self, message: str, *, wrong: bool = False) -> None:
        """Show markup from render/ below the control; empty takes it away."""
        if self._message is None and message:
            self._message = w.HTML(layout=w.Layout(margin=f"0 0 0 {_INDENT}"))
        if self._message is not None and self._message.value != message:
            self._message.value = message
        wanted = (self.control, self._message) if message else (self.control,)
        if self.box.children != wanted:
            self.box.children = wanted
        if wrong != self._is_wrong:
            self._is_wrong = wrong
            (self.control.add_class if wrong else self.control.remove_class)("bmad-wrong")
