"""Answers that were recorded: an LLM that gives them again, and one that nobody may ask."""

from __future__ import annotations

import bisect
import dataclasses
import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bmad_nb.errors import BmadError, NotRecorded
from bmad_nb.events import CallRow
from bmad_nb.llms.base import Card
from bmad_nb.messages import Completion, Message, Price, Request, Usage
from bmad_nb.secrets import redact

Turns = tuple[tuple[str, ...], ...]
"""A conversation: of each turn the role, the text and the digests of its pictures."""
Setting = tuple[tuple[str, float | str], ...]
"""Parameters by name, spelled so that equal ones are equal: 1, 1.0 and "1" are one number."""

_FREE = Price(Decimal(0), Decimal(0), source="recorded")
_HEAD = 120  # characters of a prompt by which the nearest one is found
_LOOKED_AT = 600  # prompts that are compared with one that is not recorded
_LOOKED_FOR = 20  # prompts of one LLM whose nearest is looked for; a batch may miss thousands


@dataclass(frozen=True, slots=True)
class Recording:
    """One answer, and to what it was given."""

    turns: Turns
    completion: Completion
    setting: Setting = ()
    """Parameters as far as they are known."""
    max_tokens: int | None = None
    sample: int = 0
    simulated: bool = False
    """True where the answer is a simulated LLM's."""


def turns_of(messages: Sequence[Message]) -> Turns:
    """Return a conversation as recordings are found by it; keys are taken out, as in the store."""
    return tuple((m.role, redact(m.text), *(i.digest for i in m.images)) for m in messages)


def spelled(value: object) -> float | str:
    """Return the value of a parameter so that equal ones are equal, however they are written.

    >>> spelled("0.50"), spelled(1), spelled(True), spelled("Low")
    (0.5, 1.0, 'true', 'low')
    """
    if not isinstance(value, bool):
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            pass
    return str(value).strip().lower()


def recording_of(call: CallRow) -> Recording:
    """Return the recording that an answered call of a stored run is."""
    usage = Usage(**{f.name: getattr(call, f.name) for f in dataclasses.fields(Usage)})
    completion = Completion(
        call.text or "",
        usage,
        call.finish_reason,
        call.model,
        call.original_latency_s or 0.0,  # of a copy from the store, the time of the first answer
        call.first_token_s,
        call.tokens,
        original_cost_usd=call.original_cost_usd,
    )
    pairs = (pair.partition("=") for pair in call.variant.split("&") if pair)
    return Recording(
        turns_of(call.messages),
        completion,
        tuple(sorted((name, spelled(value)) for name, _, value in pairs)),
        call.max_tokens,
        call.sample,
        call.simulated,
    )


class RecordedLLM:
    """Gives recorded answers again; nobody is contacted.

    Args:
        llm_id: id, `recorded/...`.
        recordings: what it answers; all are simulated or none is.
        identity: what the answers are part of: a table's hash or a run's id.
        source: the same, as a reader knows it.
        model: name of the LLM that was recorded.
        problem: why there are no recordings, such as a table that cannot be read.
    """

    def __init__(
        self,
        llm_id: str,
        recordings: Sequence[Recording],
        *,
        identity: str,
        source: str,
        model: str = "",
        problem: BmadError | None = None,
    ) -> None:
        """Build the index."""
        self._source, self._problem, self._count = source, problem, len(recordings)
        self._index: dict[Turns, list[Recording]] = {}
        for each in recordings:
            self._index.setdefault(each.turns, []).append(each)
        self._prompts: list[str] = []
        self._missed = 0
        limits = Counter(r.max_tokens for r in recordings if r.max_tokens)
        self.card = Card(
            id=llm_id,
            identity=identity,
            model=model,
            price=_FREE,
            default_max_tokens=limits.most_common(1)[0][0] if limits else 1024,
            simulated=any(each.simulated for each in recordings),
            runs_here=True,
            missing=problem.what if problem else "",
            remedy=problem.hint if problem else "",
            tags=("recorded",),
        )

    async def complete(self, request: Request) -> Completion:
        """Return the recorded answer, with the tokens and the seconds that it took.

        Parameters may differ from the recorded ones, unless several answers are recorded: then
        they decide, and `max_tokens` where they leave several.

        Raises:
            NotRecorded: there is no answer, or several that nothing tells apart.
        """
        if self._problem is not None:
            raise NotRecorded(self._problem.what, llm=self.card.id, hint=self._problem.hint)
        found = self._index.get(turns_of(request.messages), [])
        sampled = [each for each in found if each.sample == request.sample]
        fitting = _fitting(sampled, request)
        if len({each.completion.text for each in fitting}) == 1:
            return fitting[0].completion
        raise self._not_recorded(request, found, sampled)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _not_recorded(
        self, request: Request, found: Sequence[Recording], sampled: Sequence[Recording]
    ) -> NotRecorded:
        asked = beginning(request.prompt)
        if sampled:
            why = f"{len(sampled)} answers to {asked} are recorded, in other settings."
            hint = "Ask with the parameters of one of them."
        elif found:
            why = f"Sample {request.sample} of {asked} is not recorded."
            hint = f"{len(found)} are; ask for fewer samples, or record more."
        else:
            why = f"There is no recorded answer to {asked}. {self._nearest(request)}".rstrip()
            hint = "Ask a recorded prompt, or add this one to the recordings."
        count = f"{self._source} has {self._count} recordings of {self.card.id}."
        return NotRecorded(f"{why} {count}", llm=self.card.id, hint=hint)

    def _nearest(self, request: Request) -> str:
        """Say which recorded prompt is most like one that is not, within bounded work."""
        self._missed += 1
        if self._missed > _LOOKED_FOR:
            return ""
        if not self._prompts:
            self._prompts = sorted({turns[-1][1] for turns in self._index}, key=len)
        place = bisect.bisect(self._prompts, len(request.prompt), key=len)
        some = self._prompts[max(0, place - _LOOKED_AT // 2) : place + _LOOKED_AT // 2]
        if redact(request.prompt) in some:
            return "It is recorded with other messages or another system message before it."
        heads = {each[:_HEAD]: each for each in some}
        close = difflib.get_close_matches(request.prompt[:_HEAD], heads, n=1, cutoff=0.3)
        return f"The nearest recorded prompt is {beginning(heads[close[0]])}." if close else ""


class Unasked:
    """An LLM in replay mode: its stored answers serve, and nobody may ask it.

    Args:
        card: that of the LLM; a key that is missing is no hindrance.
    """

    def __init__(self, card: Card) -> None:
        """Keep the card."""
        self.card = dataclasses.replace(card, missing="", remedy="")

    async def complete(self, request: Request) -> Completion:
        """Refuse.

        Raises:
            NotRecorded: always.
        """
        raise NotRecorded(
            f"{self.card.id} has no stored answer to {beginning(request.prompt)}, "
            "and in replay mode nobody is asked.",
            llm=self.card.id,
            hint="Run it once without replay. A stored answer serves the same messages with the "
            "same settings only.",
        )

    async def aclose(self) -> None:
        """Do nothing: the LLM itself is closed by whoever has it."""


def beginning(text: str) -> str:
    """Return the first words of a text in quotes."""
    words = " ".join(text[:400].split())
    return repr(words if len(words) <= 60 else f"{words[:60]}…")


def _fitting(recordings: Sequence[Recording], request: Request) -> Sequence[Recording]:
    """Return the recordings whose settings are most like the request's, if several differ."""
    if len({each.completion.text for each in recordings}) <= 1:
        return recordings
    wanted = {name: spelled(value) for name, value in request.params}
    fits = [r for r in recordings if all(wanted.get(name) == v for name, v in r.setting)]
    most = max((len(each.setting) for each in fits), default=0)
    fits = [each for each in fits if len(each.setting) == most]
    return [each for each in fits if each.max_tokens == request.max_tokens] or fits
