"""Reading YAML 1.2: one pass over the parser's events, into plain data with positions.

A bomb is refused before anything large is built. No tag, anchor, alias or merge key is taken, and
no object is ever made from a document.
"""

from __future__ import annotations

import functools
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bmad_nb.errors import DefinitionError, Problem

MAX_BYTES = 256 * 1024
"""Bytes of a document; with this limit the slowest one known takes about a second."""
MAX_DEPTH = 32
"""Collections inside one another."""
MAX_NODES = 20_000
"""Keys, values and collections of a document."""
MOST_DIGITS = 30
"""Digits of a whole number; expressions know none that are larger either."""
_MOST_PROBLEMS = 100
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o([0-7]+)|0x([0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class Position(NamedTuple):
    """A place in a text, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says, and where it says it."""

    data: dict[str, Any]
    text: str
    name: str
    places: Mapping[tuple[Any, ...], tuple[Position, Position]]
    """Positions of the key and of the value by path; without a key both are the value's."""

    def position(self, path: Sequence[Any], *, key: bool = False) -> Position:
        """Return where a value stands, or its key; of a path that is not there, its beginning."""
        for end in range(len(path), -1, -1):
            found = self.places.get(tuple(path[:end]))
            if found is not None:
                return found[0 if key and end == len(path) else 1]
        return Position(0, 0)


def read(text: str | bytes, name: str = "", *, listed: bool = False) -> Document:
    """Return the data of a YAML 1.2 document.

    Args:
        text: the document.
        name: what problems are said to be in.
        listed: it may be a list; then its items are the data's under the key `""`.

    Raises:
        DefinitionError: with every problem that was found before the reading ended.
    """
    reader = _Reader(_decoded(text, name))
    reader.read()
    if listed and isinstance(reader.data, list):
        reader.places = {("", *path): place for path, place in reader.places.items()}
        reader.data = {"": reader.data}
    if not reader.problems and not isinstance(reader.data, dict):
        said = "The document must be a mapping."
        reader.problems.append(Problem(1, 1, said, "Begin with a key and a colon."))
    if reader.problems:
        raise DefinitionError(reader.problems, name)
    return Document(reader.data, reader.text, name, reader.places)


def _decoded(text: str | bytes, name: str) -> str:
    """Return a text without its byte order mark; one that is too large is not looked at."""
    try:
        content = text if isinstance(text, bytes) else text.encode("utf-8")
        if len(content) > MAX_BYTES:
            said = f"The document has more than {MAX_BYTES} bytes."
            raise DefinitionError(
                [Problem(1, 1, said, "Split it, or move data into inputs.")], name
            )
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(line, 1, "The document is not UTF-8.", "Save it as UTF-8.")
    except UnicodeEncodeError as error:
        line = error.object.count("\n", 0, error.start) + 1
        problem = Problem(line, 1, "The document has half a character in it.", "Save it as UTF-8.")
    raise DefinitionError([problem], name)


def events(text: str) -> Iterator[Any]:
    """Yield the parser's events of a text; the parser raises errors of its own."""
    yield from _parser()(typ="rt", pure=True).parse(io.StringIO(text))


@functools.cache
def _parser() -> Any:
    import ruamel.yaml

    class Parser(ruamel.yaml.YAML):
        def official_plug_ins(self) -> Any:
            """Return none: by default, each reading would search a folder for them."""
            return []

    return Parser


def _not_yaml(error: Exception, text: str) -> Problem:
    """Return what the parser could not read, in our words where we know it."""
    import ruamel.yaml

    if isinstance(error, ruamel.yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
        said = f"The character U+{error.character:04X} cannot stand in a document."
        return Problem(line, column, said, 'Remove it, or write it as "\\u0000" in quotes.')
    if not isinstance(error, ruamel.yaml.error.MarkedYAMLError):
        said = f"This cannot be read as YAML: {type(error).__name__}."
        return Problem(1, 1, said, "Check quotes and escapes.")
    raw = " ".join(filter(None, (error.context, error.problem)))
    known = next((each for each in _TRANSLATED if each[0] in raw), None)
    unknown = ("", f"This is not YAML: {raw[:200]}.", "Check quotes and indents.", False)
    _, said, hint, at_beginning = known or unknown
    mark = error.context_mark if at_beginning else error.problem_mark
    mark = mark or error.problem_mark or error.context_mark
    return (
        Problem(mark.line + 1, mark.column + 1, said, hint) if mark else Problem(1, 1, said, hint)
    )


_TRANSLATED = (
    ("found character '\\t'", "A tab stands where only blanks may.", "Indent with blanks.", False),
    ("cannot start any token", "A text cannot begin with this sign.", "Write it in quotes.", False),
    ("a quoted scalar found unexpected end", "A quoted text is not closed.",
     "Add the closing quote.", True),
    ("expected ',' or ']'", "A list that begins with [ is not closed, or lacks a comma.",
     "Add the closing ], or the comma.", True),
    ("expected ',' or '}'", "A mapping that begins with { is not closed, or lacks a comma.",
     "Add the closing }, or the comma.", True),
    ("mapping values are not allowed", "A colon cannot stand here.",
     "Put a text with a colon in it into quotes, and check the indent.", False),
    ("could not find expected ':'", "A key lacks its colon.", "Write key: value.", True),
    ("expected <block end>", "This line does not fit those above it.",
     "Check its indent, and that a text with quotes in it is in quotes as a whole.", False),
    ("expected the node content", "A list or a mapping is not closed, or lacks a value.",
     "Add the value, and the closing bracket.", True),
    ("duplicate YAML directive", "A % directive cannot stand here.", "Remove it.", False),
)  # fmt: skip
"""Part of what the parser says, our sentence and hint, and whether it is shown where it began."""


class _Stop(Exception):
    """Ends the reading at a problem behind which nothing can be understood."""


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    value: dict[str, Any] | list[Any]
    path: tuple[Any, ...]
    at: Position
    key: str | None = None
    key_at: Position | None = None
    has_key: bool = False


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[Problem] = []
        self.places: dict[tuple[Any, ...], tuple[Position, Position]] = {}
        self.data: Any = None
        self._open: list[_Open] = []
        self._nodes = self._documents = self._index = 0

    def read(self) -> None:
        try:
            for event in events(self.text):
                self._take(event)
        except _Stop:
            return
        # the parser is foreign code on hostile text: whatever it raises is a broken document
        except Exception as error:  # noqa: BLE001
            self.problems.append(_not_yaml(error, self.text))

    def _problem(self, where: Position, what: str, hint: str) -> None:
        path = self._open[-1].path if self._open else ()
        self.problems.append(Problem(where.line, where.column, what, hint, path))
        if len(self.problems) >= _MOST_PROBLEMS:
            raise _Stop

    def _take(self, event: Any) -> None:
        mark = event.start_mark
        self._index = mark.index
        where = Position(mark.line + 1, mark.column + 1)
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            self._begin_document(event, where)
        elif kind in {"MappingStartEvent", "SequenceStartEvent"}:
            self._count(where)
            self._check_marks(event, where)
            value: Any = {} if kind == "MappingStartEvent" else []
            path = self._place(value, where)
            self._open.append(_Open(value, path, where))
            if len(self._open) > MAX_DEPTH:
                said = f"The document is nested more than {MAX_DEPTH} deep."
                self._problem(where, said, "Make it flatter.")
                raise _Stop
        elif kind in {"MappingEndEvent", "SequenceEndEvent"}:
            self._open.pop()
        elif kind == "ScalarEvent":
            self._count(where)
            self._check_marks(event, where)
            self._scalar(event, where)
        elif kind == "AliasEvent":
            self._count(where)
            self._problem(where, "An alias (*) cannot stand here.", "Write the value out.")
            self._place(None, where)

    def _begin_document(self, event: Any, where: Position) -> None:
        self._documents += 1
        if self._documents > 1:
            self._problem(where, "There is a second document.", "One file has one workflow.")
            raise _Stop
        if event.version or event.tags:
            self._problem(where, "A % directive cannot stand here.", "Remove it.")
            raise _Stop

    def _count(self, where: Position) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._problem(where, f"The document has more than {MAX_NODES} values.", "Split it.")
            raise _Stop

    def _check_marks(self, event: Any, where: Position) -> None:
        if event.anchor is not None:
            self._problem(where, "An anchor (&) cannot stand here.", "Write the value out.")
        if event.tag is not None and str(event.tag):
            self._problem(where, f"A tag ({str(event.tag)[:60]}) cannot stand here.", "Remove it.")

    def _scalar(self, event: Any, where: Position) -> None:
        top = self._open[-1] if self._open else None
        awaits_key = top is not None and isinstance(top.value, dict) and not top.has_key
        plain = event.style is None or event.style == ""
        text = event.value
        if event.style == ">":
            text = text.replace("\a", "")  # the parser's mark of a fold; none can stand in a text
        value = self._resolved(text, where) if plain else text
        if not awaits_key or top is None:
            if top is not None and plain and not event.value:
                where = top.key_at or top.at  # the parser is at the next value already
            self._place(value, where)
            return
        self._key(top, value, text, where, plain=plain)

    def _key(self, top: _Open, value: Any, text: str, where: Position, *, plain: bool) -> None:
        if plain and text == "<<":
            self._problem(where, "A merge key (<<) cannot stand here.", "Write the values out.")
        elif not isinstance(value, str):
            self._problem(where, f"The key {text[:60]!r} is not a text.", "Write it in quotes.")
        elif value in top.value:
            self._problem(where, f"The key {value[:60]!r} stands here twice.", "Remove one.")
        top.key, top.key_at, top.has_key = text, where, True

    def _place(self, value: Any, where: Position) -> tuple[Any, ...]:
        """Put a value where it belongs; return its path."""
        if not self._open:
            self.data = value
            self.places[()] = (where, where)
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            path = (*top.path, len(top.value) - 1)
            self.places[path] = (where, where)
            return path
        if not top.has_key:
            is_hole = self.text.startswith("{{", self._index - 1)
            hint = "Put a text that begins with {{ into quotes." if is_hole else "Write key: value."
            self._problem(where, "A key must be a text.", hint)
            top.key, top.key_at, top.has_key = "", where, True
            return (*top.path, "")
        key, key_at = str(top.key), top.key_at or where
        top.has_key = False
        path = (*top.path, key)
        if key not in top.value:
            top.value[key] = value
            self.places[path] = (key_at, where)
        return path

    def _resolved(self, text: str, where: Position) -> Any:
        """Return what a plain scalar stands for in YAML 1.2's core schema."""
        if text in _NULL:
            return None
        if text in _BOOLEAN:
            return _BOOLEAN[text]
        value, wrong = _number(text)
        if wrong:
            self._problem(where, wrong, "Write it in quotes.")
        return value


def _number(text: str) -> tuple[Any, str]:
    """Return the number that a plain scalar is, else the text; or why it cannot be one."""
    if _NOT_FINITE.fullmatch(text):
        return None, f"{text} is not a finite number."
    other = _OTHER_BASE.fullmatch(text)
    if other or _INTEGER.fullmatch(text):
        if len(text) > MOST_DIGITS:
            return None, f"A number has more than {MOST_DIGITS} digits."
        if other is None:
            return int(text), ""
        return (int(other[1], 8) if other[1] else int(other[2], 16)), ""
    if _FLOAT.fullmatch(text):
        value = float(text) if len(text) <= 400 else math.inf
        return (value, "") if math.isfinite(value) else (None, "A number is too large.")
    return text, ""
