"""What other tasks read of a task that has an outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bmad_nb import prompts
from bmad_nb.events import TaskRow

_NAMES = ("text", "output", "value", "state", "error", "llm", "degraded", "cost_usd")


_NO_FACTS: Mapping[str, Any] = {}
"""One for all that have none: a run of many tasks holds a result for each."""


class TaskResult(Mapping[str, Any]):
    """What other tasks read of a task: its result's names first, then the fields of its value."""

    __slots__ = ("cost_usd", "degraded", "error", "facts", "hint", "llm", "state", "text", "value")

    def __init__(self, row: TaskRow, text: str | None) -> None:
        """Keep what can be read; a run of many tasks holds one of these for each.

        The text of a task without a call is its value's.
        """
        self.state, self.value, self.text = row.state, row.value, text
        self.error, self.hint, self.llm = row.error, row.error_hint, row.llm
        self.degraded, self.cost_usd = row.degraded, row.cost_usd
        self.facts: Mapping[str, Any] = row.facts or _NO_FACTS

    @property
    def absent(self) -> bool:
        """Whether it has no value, so that each of its fields is null."""
        return self.state != "done"

    @property
    def spelled(self) -> str:
        """The text that stands where the task itself is named in a prompt."""
        return prompts.as_text(self.value) if self.text is None else self.text

    def __getitem__(self, key: str) -> Any:
        """Return a name of the result, or a field of its value.

        Raises:
            KeyError: it has neither.
        """
        match key:
            case "text":
                return None if self.absent else self.spelled
            case "output" | "value":
                return self.text if self.value is None else self.value
            case "state" | "error" | "llm" | "degraded":
                return getattr(self, key)
            case "cost_usd":
                return None if self.cost_usd is None else float(self.cost_usd)
        for fields in (self.facts, self.value):
            if isinstance(fields, Mapping) and key in fields:
                return fields[key]
        if self.absent:
            return None
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        """Return whether a name can be read; of a task without a value each can, and is null."""
        return self.absent or key in _NAMES or key in self.facts or (
            isinstance(self.value, Mapping) and key in self.value
        )  # fmt: skip

    def __iter__(self) -> Iterator[str]:
        """Iterate over what can be read."""
        fields = self.value if isinstance(self.value, Mapping) else ()
        return iter(dict.fromkeys((*_NAMES, *self.facts, *map(str, fields))))

    def __len__(self) -> int:
        """Return how many names can be read."""
        return sum(1 for _ in self)
