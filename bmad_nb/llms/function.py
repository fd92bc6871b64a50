"""Your own function as an LLM: any sync or async function of messages."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import hashlib
import inspect
import re
import threading
import time
import types
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bmad_nb.errors import BadAnswer, LLMError
from bmad_nb.llms.base import Card
from bmad_nb.messages import Completion, Message, Price, Request

Function = Callable[..., Any]
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


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
            identity=f"function:{llm_id}:{_source_hash(function)}",
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
        answer = await _in_thread(functools.partial(self._function, messages, **given))
        return await answer if inspect.isawaitable(answer) else answer

    async def aclose(self) -> None:
        """Do nothing: the function is yours."""


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run `work` in a daemon thread of its own, so that one that blocks keeps nobody waiting."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def hand_over(answer: Any, error: BaseException | None) -> None:
        if not outcome.done():  # it may have been given up
            outcome.set_result((answer, error))  # a future does not take StopIteration as an error

    def run() -> None:
        answer, error = None, None
        try:
            answer = context.run(work)
        except BaseException as raised:  # noqa: BLE001  (it is raised where somebody waits)
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(hand_over, answer, error)

    threading.Thread(target=run, name="bmad-function", daemon=True).start()
    answer, error = await outcome
    if error is not None:
        raise error
    return answer


def _takes_params(function: Function) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions written in C do not tell
        return False
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _source_hash(function: Function) -> str:
    return hashlib.sha256(_spelled(function).encode("utf-8", "surrogatepass")).hexdigest()


def _spelled(function: Function) -> str:
    """Return a function's name and source, or its code where there is no source."""
    if isinstance(function, functools.partial):
        return f"{_spelled(function.func)} {function.args!r} {function.keywords!r}"
    code = getattr(function, "__code__", None)
    known = function if code else type(function)
    try:
        source = inspect.getsource(known)
    except (OSError, TypeError):
        source = _code(code) if code else repr(known)
    return f"{getattr(known, '__qualname__', known)}\n{source}\n{_bound(function)}"


def _bound(function: Function) -> str:
    """Return the values that a function carries along: closure, defaults, its object's fields.

    A value that shows only its address cannot be told from another one, so it counts as new: no
    answer of an earlier function is taken for its own.
    """
    inner = getattr(function, "__func__", function)
    owner = getattr(function, "__self__", None if inspect.isroutine(function) else function)
    cells = [_content(cell) for cell in getattr(inner, "__closure__", None) or ()]
    defaults = (getattr(inner, "__defaults__", None), getattr(inner, "__kwdefaults__", None))
    try:
        fields = dict(vars(owner)) if owner is not None else {}
    except TypeError:  # an object without fields of its own
        fields = {}
    if inspect.ismodule(owner):
        fields = {}
    said = repr((cells, defaults, fields))
    return f"{said} {uuid.uuid4()}" if _ADDRESS.search(said) else said


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _code(code: types.CodeType) -> str:
    inner = (_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts)
    return f"{code.co_code.hex()} {code.co_names} {' '.join(inner)}"
