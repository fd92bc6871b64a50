"""What calls took so far, as plain data: by task and LLM, and by LLM."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bmad_nb.events import CallRow
from bmad_nb.plan import root_of

ENOUGH = 5
"""Answers of a task from which on they are preferred to all answers of its LLM."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one answer took."""

    seconds: float
    usd: float | None = None
    """US dollars; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class History:
    """Answers that were really made."""

    by_task: Mapping[tuple[str, str], Sequence[Sample]] = field(default_factory=dict)
    """By task and LLM."""
    by_llm: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    failed: Mapping[str, float] = field(default_factory=dict)
    """Share of calls in [0, 1] that failed, by LLM."""

    @classmethod
    def of(cls, calls: Iterable[CallRow]) -> History:
        """Return what calls have taught; copies from the store teach nothing."""
        by_task: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        by_llm: dict[str, list[Sample]] = defaultdict(list)
        count: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for call in calls:
            if call.from_store or call.state not in {"answered", "failed"}:
                continue
            count[call.llm][0] += 1
            count[call.llm][1] += call.state == "failed"
            if call.state == "answered" and call.latency_s is not None:
                usd = None if call.cost_usd is None else float(call.cost_usd)
                sample = Sample(call.latency_s, usd)
                by_task[root_of(call.task), call.llm].append(sample)
                by_llm[call.llm].append(sample)
        shares = {llm: failed / made for llm, (made, failed) in count.items()}
        return cls(dict(by_task), dict(by_llm), shares)

    def samples(self, task: str, llm: str) -> tuple[Sequence[Sample], str]:
        """Return what an LLM's answers to a task took, and on what that is based."""
        own = self.by_task.get((task, llm), ())
        if len(own) >= ENOUGH:
            return own, f"{len(own)} answers of this task"
        others = self.by_llm.get(llm, ())
        return others, f"{len(others)} answers of {llm}" if others else ""

    def medians(self, wanted: Callable[[str], bool] | None = None) -> dict[str, float]:
        """Return the median seconds of an answer, by LLM.

        Args:
            wanted: says of whom; None is everybody. An earlier process may have had its own LLMs.
        """
        return {
            llm: statistics.median(s.seconds for s in each)
            for llm, each in self.by_llm.items()
            if wanted is None or wanted(llm)
        }

    def seconds(self, llm: str) -> float | None:
        """Return the median seconds of an LLM's answers; None where there are none."""
        samples = self.by_llm.get(llm)
        return statistics.median(s.seconds for s in samples) if samples else None
