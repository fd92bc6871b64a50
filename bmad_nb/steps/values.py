"""What expressions make of results: the fields of `set`, a workflow's outputs, names over names."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from bmad_nb import expressions
from bmad_nb.errors import TaskFailed, TemplateError
from bmad_nb.plan import Plan, Step
from bmad_nb.steps.work import plain


def outputs_of(plan: Plan, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return a workflow's outputs; one that cannot be had is null."""
    found = {}
    for name, text in plan.outputs:
        try:
            found[name] = plain(expressions.evaluate(expressions.parse(text), names))
        except (TemplateError, TaskFailed):
            found[name] = None
    return found


def set_of(step: Step, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a `set` task gives."""
    return {
        name: plain(expressions.evaluate(expressions.parse(text), names))
        for name, text in step.fields
    }


def over(below: Mapping[str, Any], names: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return names with others over them, without a copy of what may be long."""
    return ChainMap(dict(names), below) if names else below  # type: ignore[arg-type]
