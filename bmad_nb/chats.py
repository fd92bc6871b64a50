"""Conversations by name: which stored answers are the context of the next question.

A conversation is a file of lines beside the store, and each line is added at once: a turn (the call
that answered it), a turn that is dropped, or all of them. Texts stay where they are, in the store.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmad_nb._files import private_file, private_folder
from bmad_nb.errors import StoreError, UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.messages import Message
from bmad_nb.render.base import counted, cut, plain, tokens
from bmad_nb.store.journal import Store
from bmad_nb.store.reading import now_utc

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_SHOWN = 400
"""Bytes of a message in the list of turns."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question of a conversation and its answer."""

    number: int
    """Its number from 1; it stays when others are dropped."""
    call: CallRow

    @property
    def question(self) -> str:
        """What was asked."""
        return self.call.messages[-1].text if self.call.messages else ""


class Chats:
    """The conversations of a store.

    Args:
        store: where the answers are.
    """

    def __init__(self, store: Store) -> None:
        """Read nothing yet."""
        self._store = store
        self._folder = store.path.parent / "chats"

    def names(self) -> list[str]:
        """Return the names of the conversations."""
        return sorted(path.stem for path in self._folder.glob("*.jsonl") if path.is_file())

    def turns(self, name: str) -> list[Turn]:
        """Return the turns of a conversation that are its context; none where it is new.

        Raises:
            UsageProblem: that cannot be a name.
            StoreError: its file or an answer cannot be read.
        """
        return [turn for turn in map(self._turn, *self._kept(name)) if turn is not None]

    def context(self, name: str) -> tuple[Message, ...]:
        """Return the messages that go before the next question, as `turns` has them."""
        found: list[Message] = []
        for turn in self.turns(name):
            found += [turn.call.messages[-1], Message("assistant", turn.call.text or "")]
        return tuple(found)

    def add(self, name: str, row: CallRow) -> None:
        """Make an answer a turn, durably."""
        self._write(name, {"run": row.run_id, "call": row.call_id})

    def drop(self, name: str, number: int) -> None:
        """Leave a turn out of the context from now on; the store keeps it.

        Raises:
            UsageProblem: there is no such turn.
        """
        known = [str(number) for number in self._kept(name)[0]]
        if str(number) not in known:
            raise UsageProblem(
                f"Chat {name!r} has no turn {number}.",
                hint=f"Its turns: {', '.join(known)}." if known else "It has no turns.",
            )
        self._write(name, {"drop": number})

    def clear(self, name: str) -> None:
        """Begin the conversation anew; the store keeps what was said."""
        self._write(name, {"clear": True})

    def _kept(self, name: str) -> tuple[list[int], list[dict[str, Any]]]:
        """Return the numbers and lines of the turns that count."""
        found: dict[int, dict[str, Any]] = {}
        count = 0
        for line in self._lines(name):
            if "call" in line:
                count += 1
                found[count] = line
            elif "drop" in line:
                found.pop(line["drop"], None)
            elif "clear" in line:
                found.clear()
        return list(found), list(found.values())

    def _lines(self, name: str) -> list[dict[str, Any]]:
        path = self._path(name)
        try:
            text = path.read_text("utf-8") if path.is_file() else ""
        except (OSError, ValueError) as error:
            raise StoreError(f"The chat {path} cannot be read: {error}.") from None
        found = []
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                if number == len(text.splitlines()) and not text.endswith("\n"):
                    break  # the end of it was being written when its process died
                value = None
            if not isinstance(value, dict):
                what = f"Line {number} of the chat {path} is damaged."
                raise StoreError(what, hint="Take the line out.")
            found.append(value)
        return found

    def _turn(self, number: int, line: dict[str, Any]) -> Turn | None:
        run, call = str(line.get("run")), str(line.get("call"))
        row = next((row for row in self._store.calls(run) if row.call_id == call), None)
        return None if row is None or row.text is None else Turn(number, row)

    def _write(self, name: str, line: dict[str, Any]) -> None:
        path = self._path(name)
        private_folder(self._store.path.parent)
        private_folder(self._folder)
        private_file(path)
        body = json.dumps({**line, "time_utc": now_utc()}) + "\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(descriptor, body.encode())  # one write: two processes do not mix their lines
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageProblem(
                f"{name[:80]!r} cannot name a chat.", hint="Letters, digits, - and _, at most 63."
            )
        return self._folder / f"{name}.jsonl"


def turns_text(name: str, turns: Sequence[Turn]) -> str:
    """Return the turns of a conversation as lines that are safe on a terminal."""
    if not turns:
        return f"Chat {name!r} has no turns: the next question is sent alone."
    used = [turn.call.input_tokens for turn in turns[-1:]]
    top = f"Chat {name!r}: {counted(len(turns), 'turn')} before the next question"
    top += f" (the last one had {tokens(used[0])} input tokens)." if used[0] else "."
    lines = [top]
    for turn in turns:
        sort = ", simulated" if turn.call.simulated else ""
        indent = " " * len(str(turn.number))
        answer = f"{indent}  {turn.call.llm}{sort}: {_short(turn.call.text or '')}"
        lines += ["", f"{turn.number}  you: {_short(turn.question)}", answer]
    return plain("\n".join([*lines, "", f"Cut: %bmad chat {name} --drop N   or --clear"]))


def _short(text: str) -> str:
    one = " ".join(text.split())
    shown = cut(one, _SHOWN)
    return shown + ("…" if len(shown) < len(one) else "")
