"""A call to be, as the engine wants it: the row that is stored, the price, the limits above it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine, Iterable
from decimal import Decimal
from typing import Any

from bmad_nb.budget import Level, Purse
from bmad_nb.calls import outcomes
from bmad_nb.calls.calls import Ask, Gate
from bmad_nb.calls.pacing import GATES, OpenGate
from bmad_nb.errors import AuthenticationFailed
from bmad_nb.events import CallEnded, CallRow, RunEnded
from bmad_nb.llms.base import LLM
from bmad_nb.llms.recorded import Unasked
from bmad_nb.messages import Completion, Message, Price, Request
from bmad_nb.scorers.numeric import scorer_for
from bmad_nb.secrets import redact
from bmad_nb.store.journal import Store
from bmad_nb.store.reading import now_utc


def ask_of(
    llm: LLM,
    request: Request,
    price: Price | None,
    levels: tuple[Level, ...],
    *,
    timeout_s: float,
    hedge_s: float | None = None,
    scored: bool = True,
    **own: Any,
) -> Ask:
    """Return the call of `llm` with `request`.

    Args:
        llm: the LLM.
        request: what it is asked.
        price: what it costs, or None.
        levels: limits above the call; the first is a budget.
        timeout_s: most seconds for it.
        hedge_s: seconds after which it is sent once more beside it, where it is paced at all.
        scored: an answer is compared with its reference as it comes.
        **own: columns of the row that belong to the asking side: `call_id`, `run_id`, `case`,
            `variant`, `reference`, `task`, `attempt`.
    """
    card = llm.card
    row = CallRow(
        llm=card.id,
        request_key=request.key,
        state="in_flight",
        model=request.model,
        sample=request.sample,
        messages=tuple(map(_without_keys, request.messages)),
        max_tokens=request.max_tokens,
        price_source=price.source if price else "",
        price_as_of=price.as_of if price else "",
        price=price.to_json() if price else None,
        simulated=card.simulated,
        runs_here=card.runs_here,
        **own,
    )
    return Ask(
        row=row,
        request=request,
        complete=_asking(llm),
        stream=None if card.missing else getattr(llm, "stream", None),
        cost=price.cost if price else lambda _usage: None,
        score=_score if scored else _unscored,
        purse=Purse(levels, card.id, price),
        timeout_s=timeout_s,
        gate=_gate(llm, request),
        hedge_s=None if card.pace is None else hedge_s,
    )


class _Shut:
    """The gate of an LLM that nobody may ask: it refuses before anything is reserved."""

    def __init__(self, llm: Unasked, request: Request) -> None:
        self._llm, self._request = llm, request

    async def enter(self, tokens: int) -> None:
        """Refuse.

        Raises:
            NotRecorded: always.
        """
        del tokens
        await self._llm.complete(self._request)

    def leave(self, turn: Any, error: BaseException | None, tokens: int | None) -> None:
        """Do nothing: nobody comes in."""


def _gate(llm: LLM, request: Request) -> Gate:
    card = llm.card
    if isinstance(llm, Unasked):
        return _Shut(llm, request)
    if card.pace is None:
        return _OPEN
    return GATES.of(card.id, card.identity, card.model, card.pace)


_OPEN = OpenGate()


def _without_keys(message: Message) -> Message:
    text = redact(message.text)
    return message if text == message.text else dataclasses.replace(message, text=text)


def lost(call: CallRow) -> CallRow:
    """Return a call that was in flight when its process was killed."""
    return outcomes.changed(call, state="lost", billed="maybe", ended_utc=now_utc())


async def cancel_run(store: Store, run_id: str) -> None:
    """Store a run as cancelled; what is in flight at this moment may have been billed."""
    gone = [lost(call) for call in store.calls(run_id) if call.state == "in_flight"]
    await store.commit(*map(CallEnded, gone), RunEnded(run_id, "cancelled", "user"))


def spent(calls: Iterable[CallRow], *, simulated: bool) -> Decimal:
    """Return what calls have cost so far; where that is unknown, a call counts in full."""
    total = Decimal(0)
    for call in calls:
        if call.simulated is simulated:
            worst = call.cost_usd is None and (call.billed != "no" or call.state == "in_flight")
            total += (call.reserved_usd if worst else call.cost_usd) or Decimal(0)
    return total


def _asking(llm: LLM) -> Callable[[Request], Coroutine[Any, Any, Completion]]:
    """Return the LLM's `complete`, or a refusal that contacts nobody where something is missing."""
    card = llm.card
    if not card.missing or card.runs_here:  # what runs here says itself, on its first call
        return llm.complete

    async def refuse(request: Request) -> Completion:
        raise AuthenticationFailed(
            f"{request.llm} was not asked: {card.missing}.", llm=card.id, hint=card.remedy
        )

    return refuse


def _unscored(row: CallRow) -> CallRow:
    is_bare = row.score is None and not row.scorer
    return row if is_bare else outcomes.changed(row, score=None, scorer="")


def _score(row: CallRow) -> CallRow:
    if row.reference is None or row.state != "answered":
        return _unscored(row)
    scorer = scorer_for(row.reference)
    score = scorer.score(row.text or "", row.reference)
    return outcomes.changed(row, score=score.value, scorer=scorer.name)
