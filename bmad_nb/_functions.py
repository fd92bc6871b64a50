"""Functions of the user: run where they keep nobody waiting, and told apart by what they do."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import hashlib
import inspect
import re
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


async def in_thread(work: Callable[[], Any]) -> Any:
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


def source_hash(function: Function) -> str:
    """Return the SHA-256 of what a function does: its source, and the values it carries along."""
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
    if code and code.co_name == "<lambda>":
        source += _code(code)  # a line may have several
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
