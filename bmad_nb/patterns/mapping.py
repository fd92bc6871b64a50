"""A task that is done once for each item of a list."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bmad_nb import expressions, prompts
from bmad_nb.errors import TaskFailed
from bmad_nb.patterns.base import Outcome, Part, Parts, Reply, Working
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Repeat

_MOST_KEY = 80


def mapping(step: Step, repeat: Repeat, names: Mapping[str, Any]) -> Working:
    """Do a step for each item; `items` are in the order of the list, null where one failed.

    Args:
        step: what is done with each item.
        repeat: the list, and how many must be done.
        names: what its texts can read.

    Raises:
        TaskFailed: there is no list, it is too long, or two items have the same key.
        TemplateError: the list or a key cannot be had.
    """
    items = _list(step, repeat, names)
    keys = _keys(step, repeat, names, items)
    inner = dataclasses.replace(step, repeat=None)
    parts = [
        Part(f"[{key}]", inner, {repeat.item: item, "index": number})
        for number, (key, item) in enumerate(zip(keys, items, strict=True))
    ]
    replies = (yield Parts(parts, repeat.at_once)) if parts else ()
    return _outcome(step, repeat, keys, replies)


def _list(step: Step, repeat: Repeat, names: Mapping[str, Any]) -> list[Any]:
    found = expressions.evaluate(expressions.parse(repeat.over), names)
    if not isinstance(found, list | tuple):
        raise TaskFailed(
            f"map.over of task {step.id!r} gives no list: {repeat.over} is "
            f"{expressions.brief(found)}.",
            hint="Name something that is a list.",
        )
    if len(found) > repeat.most:
        raise TaskFailed(
            f"map.over of task {step.id!r} gives {len(found):,} items, and max_items is "
            f"{repeat.most:,}.",
            hint="Raise map.max_items, or give fewer.",
        )
    return list(found)


def _keys(step: Step, repeat: Repeat, names: Mapping[str, Any], items: Sequence[Any]) -> list[str]:
    if not repeat.key:
        return [str(number) for number in range(len(items))]
    tree = expressions.parse(repeat.key)
    keys = []
    for number, item in enumerate(items):
        local = {**names, repeat.item: item, "index": number}
        keys.append(prompts.as_text(expressions.evaluate(tree, local))[:_MOST_KEY])
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise TaskFailed(
                f"Two items of task {step.id!r} have the key {key!r}.",
                hint="Make map.key different for each item, or leave it out.",
            )
        seen.add(key)
    return keys


def _outcome(step: Step, repeat: Repeat, keys: Sequence[str], replies: Sequence[Reply]) -> Outcome:
    errors = [
        {"index": n, "key": key, "kind": r.row.error_kind, "error": r.row.error}
        for n, (key, r) in enumerate(zip(keys, replies, strict=True))
        if r.row.state == "failed"
    ]
    items = [r.result["output"] if r.is_done else None for r in replies]
    value = {"items": items, "errors": errors}
    done = 1 - len(errors) / len(keys) if keys else 1.0
    if done < repeat.min_success:
        first = errors[0]
        said = (
            f"{len(errors)} of {len(keys)} items of task {step.id!r} failed, and "
            f"{repeat.min_success:g} of them must be done. [{first['key']}]: {first['error']}"
        )
        hint = "Going on with the run does only these anew; or lower map.min_success."
        return Outcome(value, error=TaskFailed(said, hint=hint))
    return Outcome(value)
