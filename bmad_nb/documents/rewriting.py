"""Writing changes into an existing document: what did not change keeps every byte of its text.

The parser says where each value stands; what changed is cut out of the text and put in anew.
Comments, order, quotes and layout of the rest are not read at all, so they cannot be lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmad_nb.documents.reading import events, read
from bmad_nb.documents.writing import (
    checked,
    flat,
    header,
    is_flat,
    is_literal,
    lines,
    literal,
    scalar,
    write,
)
from bmad_nb.errors import DefinitionError


def rewrite(text: str, data: Mapping[str, Any]) -> str:
    """Return a document changed so that it reads as `data`; unchanged data returns `text` itself.

    New keys stand at the end of their mapping. Where the layout is so odd that a change has no
    clear place, the smallest collection around it is written anew in one line; in the last resort,
    the whole document is.

    Raises:
        DefinitionError: the text is no document, or the data cannot be written.
    """
    wanted = checked(data)
    before = read(text)
    if same(before.data, wanted):
        return text
    body = before.text  # without a byte order mark
    try:
        root = _composed(body, before.data)
        change = _Change(body)
        change.to(root, wanted)
        changed = text[: len(text) - len(body)] + change.done()
        if same(read(changed).data, wanted):
            return changed
    except (_Odd, DefinitionError):
        pass
    return write(wanted)


def rename(text: str, path: Sequence[str], name: str) -> str:
    """Return a document in which one key of a mapping has another name; the rest keeps its bytes.

    Args:
        text: the document.
        path: keys from the root down to the one that is renamed; no lists on the way.
        name: the new key.

    Raises:
        DefinitionError: the text is no document, or the name cannot be written.
        KeyError: there is no such key, or the new one is there already.
    """
    before = read(text)
    body = before.text
    wanted = around = checked(before.data)
    node = _composed(body, before.data)
    for key in path[:-1]:
        node, around = node.inner[list(around).index(key)], around[key]
    if path[-1] not in around or name in around:
        raise KeyError(path[-1] if path[-1] not in around else name)
    old = node.keys[list(around).index(path[-1])]
    entries = [(name if key == path[-1] else key, value) for key, value in around.items()]
    around.clear()
    around.update(entries)
    put = scalar(checked({name: None}) and name)
    changed = text[: len(text) - len(body)] + body[: old.start] + put + body[old.end :]
    return changed if same(read(changed).data, wanted) else write(wanted)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of the same types; the order of keys says nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


class _Odd(Exception):
    """A layout in which a change has no clear place."""


@dataclass(slots=True)
class _Node:
    """A value and where it stands; `hook` is the index behind its colon or dash."""

    kind: str
    start: int
    end: int
    flow: bool
    column: int
    """Column of its own first key or dash."""
    value: Any = None
    hook: int | None = None
    around: _Node | None = None
    keys: list[_Node] = field(default_factory=list)
    inner: list[_Node] = field(default_factory=list)

    def heads(self) -> list[int]:
        """Return where each entry begins: its key, or its dash, or in brackets itself."""
        if self.kind == "Mapping":
            return [key.start for key in self.keys]
        if self.flow:
            return [each.start for each in self.inner]
        return [(each.hook or 1) - 1 for each in self.inner]


def _composed(text: str, data: dict[str, Any]) -> _Node:
    """Return the tree of a document that has been read without problems."""
    root: _Node | None = None
    stack: list[_Node] = []
    for event in events(text):
        name = type(event).__name__
        if name.endswith("StartEvent") and name[:3] in {"Map", "Seq"}:
            stack.append(_added(stack, _node(event, name[: -len("StartEvent")], text), text))
            root = root or stack[0]
        elif name == "ScalarEvent":
            _added(stack, _node(event, "Scalar", text), text)
        elif name.endswith("EndEvent") and name[:3] in {"Map", "Seq"}:
            node = stack.pop()
            node.end = event.end_mark.index if node.flow else node.inner[-1].end
    if root is None:
        raise _Odd
    _fill(root, data)
    return root


def _node(event: Any, kind: str, text: str) -> _Node:
    start, end = event.start_mark.index, event.end_mark.index
    if kind == "Scalar" and event.style and event.style in "|>":
        said = text[start:end]
        keeps = "+" in said.partition("\n")[0]  # the lines behind it are its own
        end = start + len(said.removesuffix("\n") if keeps else said.rstrip())
    return _Node(
        kind, start, end, bool(getattr(event, "flow_style", False)), event.start_mark.column
    )


def _added(stack: list[_Node], node: _Node, text: str) -> _Node:
    """Put a node into the collection that is open; find the colon or the dash before it."""
    if not stack:
        return node
    top = node.around = stack[-1]
    if top.kind == "Mapping" and len(top.keys) == len(top.inner):
        top.keys.append(node)
        return node
    if top.kind == "Mapping":
        before = top.keys[-1].end
        colon = text.find(":", before, node.start + 1)
        node.hook = colon + 1 if colon >= 0 and not text[before:colon].strip() else None
    elif not top.flow:
        node.hook = _dash(text, top) + 1
    if node.start == node.end and node.kind == "Scalar":  # an empty one is found too late
        node.start = node.end = node.hook or (top.keys[-1].end if top.keys else node.start)
    top.inner.append(node)
    return node


def _dash(text: str, sequence: _Node) -> int:
    if not sequence.inner:
        return sequence.start
    found = re.compile(rf"^ {{{sequence.column}}}-", re.MULTILINE).search(
        text, sequence.inner[-1].end
    )
    if found is None:
        raise _Odd
    return found.end() - 1


def _fill(node: _Node, data: Any) -> None:
    node.value = data
    values = data.values() if isinstance(data, dict) else data
    for each, value in zip(node.inner, values if node.inner else (), strict=True):
        _fill(each, value)


class _Change:
    """Collects what is cut out of a text and put in; nothing overlaps."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._edits: list[tuple[int, int, str]] = []

    def done(self) -> str:
        """Return the changed text, with the line ends that it had."""
        pieces, end = [], 0
        ending = "\r\n" if "\r\n" in self._text else "\n"
        for start, stop, put in sorted(self._edits, key=lambda edit: edit[:2]):
            if start < end:
                raise _Odd
            pieces += [self._text[end:start], put.replace("\n", ending)]
            end = stop
        return "".join([*pieces, self._text[end:]])

    def to(self, node: _Node, new: Any) -> None:
        """Change a value, as little of its text as can be."""
        if same(node.value, new):
            return
        known = len(self._edits)
        try:
            if node.inner and new and isinstance(new, dict) and isinstance(node.value, dict):
                self._mapping(node, new)
            elif node.inner and new and isinstance(new, list) and isinstance(node.value, list):
                self._sequence(node, new)
            else:
                self._replace(node, new)
        except _Odd:
            del self._edits[known:]
            self._replace(node, new)

    def _mapping(self, node: _Node, new: dict[str, Any]) -> None:
        old = list(node.value)
        kept = [key in new for key in old]
        if not any(kept):
            raise _Odd
        for key, each in zip(old, node.inner, strict=True):
            if key in new:
                self.to(each, new[key])
        more = {key: value for key, value in new.items() if key not in node.value}
        put = flat(more)[1:-1] if node.flow else list(lines(more, node.column))
        self._rearrange(node, kept, len(old) - kept[::-1].index(True), put)

    def _sequence(self, node: _Node, new: list[Any]) -> None:
        old, first = node.value, 0
        while first < min(len(old), len(new)) and same(old[first], new[first]):
            first += 1
        last = 0
        while last < min(len(old), len(new)) - first and same(old[-1 - last], new[-1 - last]):
            last += 1
        both = min(len(old), len(new)) - last
        for index in range(first, both):
            self.to(node.inner[index], new[index])
        kept = [index < both or index >= len(old) - last for index in range(len(old))]
        more = new[both : len(new) - last] if len(new) > len(old) else []
        put = flat(more)[1:-1] if node.flow else list(lines(more, node.column))
        self._rearrange(node, kept, both, put)

    def _rearrange(self, node: _Node, kept: list[bool], at: int, put: str | list[str]) -> None:
        """Cut out the entries that are not kept, and put new ones in behind the first `at`."""
        if isinstance(put, str):
            self._rearrange_flow(node, kept, at, put)
        else:
            self._rearrange_block(node, kept, at, put)

    def _rearrange_flow(self, node: _Node, kept: list[bool], at: int, put: str) -> None:
        heads, ends = node.heads(), [each.end for each in node.inner]
        count = len(kept) - kept[::-1].index(True)  # behind these, all are cut out
        if count < len(kept) or (put and at == count):
            self._edits.append((ends[count - 1], ends[-1], f", {put}" if put else ""))
        elif put:
            self._edits.append((heads[at], heads[at], f"{put}, "))
        for index in range(count):
            if not kept[index]:
                self._edits.append((heads[index], heads[index + 1], ""))

    def _rearrange_block(self, node: _Node, kept: list[bool], at: int, put: list[str]) -> None:
        heads = node.heads()
        if put and at:
            end = self._line_end(node.inner[at - 1].end)
            self._edits.append((end, end, "\n" + "\n".join(put)))
        elif put:
            whole = "\n".join([*put, ""])[node.column :]
            self._edits.append((heads[0], heads[0], whole + " " * node.column))
        begin = 0
        if not kept[0] and self._text[self._line_start(heads[0]) : heads[0]].strip(" "):
            begin = kept.index(True)  # behind the dash or the brace of what is around it
            self._edits.append((heads[0], heads[begin], ""))
        for index in range(begin, len(kept)):
            if not kept[index]:
                self._edits.append((*self._lines_of(heads[index], node.inner[index].end), ""))

    def _lines_of(self, start: int, end: int) -> tuple[int, int]:
        """Return where the lines of an entry begin and end, with the line end before them."""
        first = self._line_start(start)
        if first == 0:
            return 0, self._text.find("\n", end) + 1 or len(self._text)
        return self._line_end(first - 1), self._line_end(end)

    def _replace(self, node: _Node, new: Any) -> None:
        """Put a value in the place of another one."""
        if node.around is None or (node.hook is None and node.start == node.end):
            raise _Odd
        gap = "" if node.hook is None else self._text[node.hook : node.start]
        start = node.start - len(gap)
        if node.hook is None:
            put = flat(new)
        elif gap.strip():  # a comment stands before it, and will stand behind it
            put = f" {flat(new)}{gap.rstrip()}"
        else:
            put = self._behind(node, new)
            if gap.strip(" ") == "" and put.startswith(" "):
                put = (gap or " ") + put.lstrip(" ")
        self._edits.append((start, node.end, put))

    def _behind(self, node: _Node, new: Any) -> str:
        """Return what stands behind a colon or a dash, in several lines where they are free."""
        rest = self._text[node.end : self._line_end(node.end)].strip()
        around = node.around
        if rest or around is None or around.flow or (is_flat(new) and not is_literal(new)):
            return " " + flat(new)
        if is_literal(new):
            return " " + "\n".join([header(new), *literal(new, around.column + 2)])
        return "\n" + "\n".join(lines(new, around.column + 2))

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        found = self._text.find("\n", index)
        found = len(self._text) if found < 0 else found
        return found - 1 if self._text[found - 1 : found] == "\r" else found
