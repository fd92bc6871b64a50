"""A workflow while it is edited: one text, what it says, what is wrong with it, and its file."""

from __future__ import annotations

import copy
import functools
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmad_nb import documents, parse
from bmad_nb.documents import Document
from bmad_nb.errors import DefinitionError, Problem, WorkflowError
from bmad_nb.widgets.sketch import keys, lost_comments, with_reads
from bmad_nb.workflow.model import Workflow
from bmad_nb.workflow.original_shape import is_original
from bmad_nb.workflow.values import VERBS

ABSENT: Any = object()
"""The value of a key that is not there."""
MOST_UNDONE = 200
"""Changes that can be taken back."""
STARTER = """\
workflow: {name}
inputs:
  topic: text
tasks:
  answer:
    prompt: "Say in one sentence what {{{{ topic }}}} is."
"""
_BOM = b"\xef\xbb\xbf"


class Draft:
    """The text of a workflow, sound or not, and all that is known of it.

    Every change is a change of the text; what it does not touch keeps every byte, comments and
    order among it. The data, the problems and the workflow follow from the text.

    Args:
        text: YAML.
        path: the file that it is saved to.
        on_disk: the bytes of that file when they were read; None where there was none.
    """

    def __init__(self, text: str, path: Path | None = None, on_disk: bytes | None = None) -> None:
        """Read nothing yet."""
        self.path, self.on_disk = path, on_disk
        self._text = self.saved = text
        self._before: list[str] = []
        self.lost: tuple[str, ...] = ()
        """Comments that the last change could not keep, because of the layout around it."""

    @classmethod
    def of_file(cls, path: Path) -> Draft:
        """Return the draft of a file, which may be broken; of none, a new one for its place.

        Raises:
            WorkflowError: the file cannot be read.
        """
        try:
            content = _start_of(path)
            text = None if content is None else content.decode("utf-8-sig")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise WorkflowError(
                f"{path} cannot be read: {why}.", hint="Give the path of a workflow file."
            ) from None
        return cls(starter(path.stem) if text is None else text, path, content)

    # --- what it says -------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The YAML as it is now."""
        return self._text

    @functools.cached_property
    def _read(self) -> tuple[Document | None, tuple[Problem, ...]]:
        try:
            return documents.read(self._text, str(self.path or "")), ()
        except DefinitionError as error:
            return None, error.problems

    @property
    def document(self) -> Document | None:
        """What the text says, with positions; None where it is no YAML that can be read."""
        return self._read[0]

    @property
    def data(self) -> dict[str, Any]:
        """The plain data of the text; empty where it cannot be read."""
        return self.document.data if self.document is not None else {}

    @property
    def is_original(self) -> bool:
        """Whether it has the original specification's shape, which forms do not edit."""
        return is_original(self.data)

    @functools.cached_property
    def _understood(self) -> tuple[Workflow | None, tuple[Problem, ...]]:
        if self.document is None:
            return None, self._read[1]
        try:
            return parse.understood(self.document), ()
        except DefinitionError as error:
            return None, error.problems

    @property
    def workflow(self) -> Workflow | None:
        """The workflow; None while something is wrong with it."""
        return self._understood[0]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong with it, each with its place."""
        return self._understood[1]

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """The tasks that are mappings, by id; the others are problems."""
        found = self.data.get("tasks")
        if self.is_original or not isinstance(found, dict):
            return {}
        return {name: task for name, task in found.items() if isinstance(task, dict)}

    def get(self, path: Sequence[str]) -> Any:
        """Return the value at a path, `ABSENT` where there is none."""
        here: Any = self.data
        for step in path:
            if not isinstance(here, Mapping) or step not in here:
                return ABSENT
            here = here[step]
        return here

    # --- changes ------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Take a whole new text, with the line ends that the old one had."""
        if "\r\n" in self._text and "\r" not in text:
            text = text.replace("\n", "\r\n")
        if text == self._text:
            return
        self._before = [*self._before[1 - MOST_UNDONE :], self._text]
        self._set(text)

    def undo(self) -> bool:
        """Take the last change back; return whether there was one."""
        if not self._before:
            return False
        self._set(self._before.pop())
        return True

    def _set(self, text: str) -> None:
        self._text, self.lost = text, ()
        for name in ("_read", "_understood"):
            self.__dict__.pop(name, None)

    def put(self, path: Sequence[str], value: Any) -> None:
        """Write a value at a path, or with `ABSENT` take its key away.

        Mappings on the way are made; one that loses its last key goes with it, tasks excepted.

        Raises:
            DefinitionError: the text cannot be read, or the value cannot be written.
        """
        self._need_data()
        data = copy.deepcopy(self.data)
        around: list[dict[str, Any]] = [data]
        for step in path[:-1]:
            inner = around[-1].get(step)
            if isinstance(inner, str) and step == "route":
                inner = {"models": [inner]}  # the short form of a route has room for nothing else
            around[-1][step] = inner = inner if isinstance(inner, dict) else {}
            around.append(inner)
        if value is ABSENT:
            around[-1].pop(path[-1], None)
            least = 2 if path[0] == "tasks" else 0
            for depth in range(len(path) - 1, least, -1):
                if not around[depth]:
                    around[depth - 1].pop(path[depth - 1], None)
        else:
            around[-1][path[-1]] = value
        before = self._text
        self.write(documents.rewrite(before, data))
        if value is not ABSENT and self._text != before:
            self.lost = lost_comments(before, self._text)

    def add_task(self, like: str = "") -> str:
        """Add a task, a copy of another one if it is named; return its id.

        Raises:
            DefinitionError: the text cannot be read.
        """
        self._need_data()
        taken = {*keys(self.data.get("tasks")), *keys(self.data.get("inputs"))}
        stem = like or "task"
        name = next(n for k in range(2, len(taken) + 3)
                    if (n := f"{stem[:58]}_{k}") not in taken)  # fmt: skip
        self.put(("tasks", name), copy.deepcopy(self.tasks.get(like)) or {"prompt": ""})
        return name

    def rename_task(self, old: str, new: str) -> None:
        """Give a task another id, also where other tasks and outputs read it.

        Raises:
            DefinitionError: there is a task or an input with this name already.
        """
        self._need_data()
        if new in keys(self.data.get("tasks")) or new in keys(self.data.get("inputs")):
            said = f"There is {'a task' if new in self.tasks else 'an input'} {new[:60]!r} already."
            raise DefinitionError([Problem(0, 0, said, "Take another name.", ("tasks", old))])
        followed = with_reads(self.data, old, new)
        text = documents.rename(self._text, ("tasks", old), new)
        data = {**followed, "tasks": {new if name == old else name: task
                                      for name, task in followed["tasks"].items()}}  # fmt: skip
        self.write(documents.rewrite(text, data))

    def change_verb(self, task_id: str, verb: str) -> None:
        """Let a task do something else; a text that the old verb had is kept where there is room.

        Raises:
            DefinitionError: the text cannot be read.
        """
        self._need_data()
        task = copy.deepcopy(self.tasks[task_id])
        old = [task.pop(key) for key in VERBS if key in task and key != verb]
        if verb not in task:
            task[verb] = _begun(verb, next(filter(None, map(_said, old)), ""))
        self.put(("tasks", task_id), task)

    def converted(self) -> None:
        """Write a document of the original specification's shape anew in today's format.

        Raises:
            DefinitionError: something is wrong with it.
        """
        if self.workflow is None:
            raise DefinitionError(self.problems, str(self.path or ""))
        self.write(self.workflow.to_yaml())

    def _need_data(self) -> None:
        if self.document is None:
            raise DefinitionError(self.problems, str(self.path or ""))

    # --- its file -----------------------------------------------------------------------------

    @property
    def is_saved(self) -> bool:
        """Whether the file holds exactly this text."""
        return self.on_disk is not None and self.saved == self._text

    @property
    def changed_outside(self) -> bool:
        """Whether the file is not as it was read or written here last."""
        return self.path is not None and _content(self.path) != self.on_disk

    def save(self, path: Path | None = None, *, over: bool = False) -> Path:
        """Write the text to its file, whole or not at all; return where it stands.

        Args:
            path: another file than its own.
            over: write also over a file that somebody else changed, or that was there already.

        Raises:
            WorkflowError: somebody else changed the file, or it cannot be written.
        """
        target = path or self.path
        if target is None:
            raise WorkflowError("The workflow has no file yet.", hint="Give the name of one.")
        known = self.on_disk if target == self.path else None
        try:
            if not over and _content(target) != known:
                self._refuse(target, known)
            mark = _BOM if (self.on_disk or b"").startswith(_BOM) else b""
            content = mark + self._text.encode("utf-8")
            _replace(target, content)
        except (OSError, UnicodeEncodeError) as error:
            why = getattr(error, "strerror", None) or "the text has half a character in it"
            raise WorkflowError(
                f"{target} cannot be written: {why}.", hint="Save it in a folder of your own."
            ) from None
        self.path, self.on_disk, self.saved = target, content, self._text
        return target

    def _refuse(self, target: Path, known: bytes | None) -> None:
        if known is None:
            raise WorkflowError(
                f"{target} is there already.", hint="Take another name, or write over it."
            )
        if not target.exists():
            raise WorkflowError(
                f"{target} was removed since it was read.", hint="Write it anew, or take another."
            )
        raise WorkflowError(
            f"{target} was changed by somebody else since it was read.",
            hint="Take what they wrote, save under another name, or write over it.",
        )

    def reload(self) -> None:
        """Take what the file holds now; it can be undone.

        Raises:
            WorkflowError: it cannot be read.
        """
        if self.path is None:
            raise WorkflowError("The workflow has no file yet.", hint="Give the name of one.")
        other = Draft.of_file(self.path)
        self.write(other.text)
        self.on_disk, self.saved = other.on_disk, self._text


def starter(name: str) -> str:
    """Return the text of a new workflow, whose id is made of a file's name."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_0123456789")[:63]
    return STARTER.format(name=plain or "untitled")


def _said(value: Any) -> str:
    """Return the text for a reader that a verb has, empty if it has none."""
    if isinstance(value, Mapping):
        value = value.get("ask") or value.get("prompt")
    elif isinstance(value, list) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content")
    return value if isinstance(value, str) else ""


def _begun(verb: str, text: str) -> Any:
    """Return the value with which a verb begins."""
    begun: dict[str, Any] = {
        "prompt": text,
        "messages": [{"role": "user", "content": text}],
        "python": "module:function",
        "approve": {"ask": text},
        "set": {"value": "1"},
        "reduce": {"from": "task", "prompt": text},
    }
    return begun.get(verb, "other-workflow")


def _start_of(path: Path) -> bytes | None:
    """Return the content of a file, None if there is none.

    Raises:
        ValueError: it is no file, or too large for a document.
    """
    if not path.exists():
        return None
    if not path.is_file():  # a pipe would never end
        raise ValueError("it is not a file")
    if path.stat().st_size > documents.MAX_BYTES:
        raise ValueError(f"it has more than {documents.MAX_BYTES} bytes")
    return path.read_bytes()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _replace(path: Path, content: bytes) -> None:
    """Put content into a file, through a link to what it means; readers see all of it or none."""
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            beside.chmod(target.stat().st_mode & 0o7777)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
