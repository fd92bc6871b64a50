"""Your own function as an LLM: any sync or async function of messages."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bmad_nb._functions import Function, in_thread, source_hash
from bmad_nb.errors import BadAnswer, LLMError
from bmad_nb.llms.base import Card
from bmad_nb.messages import Completion, Message, Price, Request


class FunctionLLM:
    """Asks `function(messages)`, or `function(messages, **params)` where it takes parameters.

    Args:
        llm_id: id, `endpoint/name`.
        function: takes a list of `Message`, and returns a text or a `Completion`. An ordinary
            function runs in a thread of its own, so that it may block.
        price: what a call costs; None is unknown.
        capabilities: declared skill in [0, 1] by name.
        simulated: True if its answers are invented, so that everything that shows it says so.
    """

    def __init__(
        self,
        llm_id: str,
        function: Function,
        *,
        price: Price | None = None,
        capabilities: Mapping[str, float] | None = None,
        simulated: bool = False,
    ) -> None:
        """Build the card; a changed function has another identity, so it is asked anew."""
        self._function = function
        self._takes_params = _takes_params(function)
        self.card = Card(
            id=llm_id,
            identity=f"function:{llm_id}:{source_hash(function)}",
            model=llm_id.rpartition("/")[2],
            price=price,
            capabilities=tuple(sorted((capabilities or {}).items())),
            simulated=simulated,
            runs_here=not simulated,
            tags=("your function",),
        )

    async def complete(self, request: Request) -> Completion:
        """Call the function.

        Raises:
            LLMError: as the function raised it.
            BadAnswer: it raised something else, or returned neither text nor a `Completion`.
        """
        started = time.perf_counter()
        try:
            answer = await self._call(list(request.messages), dict(request.params))
        except LLMError:
            raise
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # the last two end a loop
            raise BadAnswer(
                f"Your function behind {self.card.id} raised {type(error).__name__}: {error}",
                llm=self.card.id,
                billed="maybe",
                hint="Mend the function and run the cell again; finished answers are kept.",
            ) from error
        if isinstance(answer, Completion):
            return answer
        if isinstance(answer, str):
            return Completion(answer, latency_s=time.perf_counter() - started)
        raise BadAnswer(
            f"Your function behind {self.card.id} returned {type(answer).__name__}.",
            llm=self.card.id,
            hint="Return a str, or a bmad_nb.Completion with usage.",
        )

    async def _call(self, messages: Sequence[Message], params: dict[str, Any]) -> Any:
        given = params if self._takes_params else {}
        if inspect.iscoroutinefunction(self._function):
            return await self._function(messages, **given)
        answer = await in_thread(functools.partial(self._function, messages, **given))
        return await answer if inspect.isawaitable(answer) else answer

    async def aclose(self) -> None:
        """Do nothing: the function is yours."""


def _takes_params(function: Function) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions written in C do not tell
        return False
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
