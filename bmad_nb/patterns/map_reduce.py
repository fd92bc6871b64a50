"""Many results into one: as a tree of prompts, each of which fits the LLM's context."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bmad_nb import prompts
from bmad_nb.errors import TaskFailed
from bmad_nb.messages import Message
from bmad_nb.patterns.base import Outcome, Part, Parts, Working
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Reducing

BYTES_PER_TOKEN = 3
"""A token of text is rarely less than this in UTF-8, so that a prompt of so many bytes fits."""


def reduction(step: Step, reducing: Reducing, names: Mapping[str, Any]) -> Working:
    """Merge the results of a task, `batch` at a time, until one is left.

    The order is that of the list, whoever was ready first.

    Args:
        step: asks for one merge; its `output` is wanted of the last one only.
        reducing: where the results come from, and how they are merged.
        names: what the prompt can read.

    Raises:
        TaskFailed: a result is too long for the context by itself.
    """
    items, errors = _found(names[reducing.source])
    if reducing.function:
        arguments = {"items": "{{ items }}", "errors": "{{ errors }}"}
        work = dataclasses.replace(
            step, verb="python", reducing=None, function=reducing.function, arguments=arguments
        )
        (reply,) = yield Parts([Part(".all", work, {"items": items, "errors": errors})])
        return Outcome(taken=reply)
    own = dataclasses.replace(step, verb="prompt", reducing=None)
    between = dataclasses.replace(
        own, schema=None, refining=None, checks=(), collaborating=None, cascading=None
    )
    level = 0
    while True:
        level += 1
        groups = _groups(step, reducing, {**names, "errors": errors}, items)
        last = len(groups) == 1
        replies = yield Parts(
            [
                Part(f".{level}[{n}]", own if last else between, {"items": group, "errors": errors})
                for n, group in enumerate(groups)
            ]
        )
        failed = [reply for reply in replies if not reply.is_done]
        if last or failed:
            return Outcome(taken=(failed or list(replies))[0], facts={"levels": level})
        items, errors = [reply.result.spelled for reply in replies], []


def _found(source: Any) -> tuple[list[Any], list[Any]]:
    """Return the results of a task that were done, and the errors of the others."""
    value = source["output"] if isinstance(source, Mapping) else source
    if isinstance(value, Mapping) and isinstance(value.get("items"), list):
        return [each for each in value["items"] if each is not None], list(value.get("errors", ()))
    if value is None:
        return [], []
    return (list(value), []) if isinstance(value, list) else ([value], [])


def _messages(step: Step, names: Mapping[str, Any]) -> tuple[Message, ...]:
    return tuple(Message(role, prompts.fill(text, names)) for role, text in step.turns)


def _groups(
    step: Step,
    reducing: Reducing,
    names: Mapping[str, Any],
    items: Sequence[Any],
) -> list[list[Any]]:
    """Return items in groups that fit a prompt, in their order.

    Raises:
        TaskFailed: they get no fewer, because too few of them fit.
    """
    most = reducing.batch or max(1, len(items))
    room = _room(step, names, reducing.room_tokens)
    groups: list[list[Any]] = [[]]
    size = 0
    for item in items:
        own = len(prompts.as_text([item]).encode("utf-8", "replace")) + 8
        if groups[-1] and (len(groups[-1]) >= most or (room is not None and size + own > room)):
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += own
    if room is not None and (size > room or (len(groups) > 1 and len(groups) >= len(items))):
        raise TaskFailed(
            f"The results that task {step.id!r} merges do not fit the "
            f"{reducing.room_tokens:,} tokens that a prompt to its LLM may have, two at a time.",
            hint="Take an LLM with a larger context, or make the results shorter.",
        )
    return groups


def _room(step: Step, names: Mapping[str, Any], room_tokens: int | None) -> int | None:
    """Return the bytes that are left for items; None where the context is unknown."""
    if room_tokens is None:
        return None
    bare = _messages(step, {**names, "items": []})
    taken = sum(len(message.text.encode("utf-8", "replace")) + 16 for message in bare)
    schema = 0 if step.schema is None else len(str(step.schema)) + 200
    return room_tokens * BYTES_PER_TOKEN - taken - schema
