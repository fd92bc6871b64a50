"""Which pattern does a step: the outermost of what modifies its verb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bmad_nb.messages import Message
from bmad_nb.patterns.base import Working
from bmad_nb.patterns.checking import checked
from bmad_nb.patterns.map_reduce import reduction
from bmad_nb.patterns.mapping import mapping
from bmad_nb.patterns.refinement import refinement
from bmad_nb.plan import Step


def begun(
    step: Step, names: Mapping[str, Any], messages: tuple[Message, ...] = ()
) -> Working | None:
    """Return the pattern that does a step, about to begin; None if it has no parts.

    Each pattern yields parts with what it does itself taken out, so that what is left is done by
    the next one: a map of refinements of checked answers.
    """
    if step.repeat is not None:
        return mapping(step, step.repeat, names)
    if step.reducing is not None:
        return reduction(step, step.reducing, names)
    if step.refining is not None:
        return refinement(step, step.refining, names)
    return checked(step, names, messages) if step.checks else None
