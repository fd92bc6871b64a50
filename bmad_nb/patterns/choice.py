"""Which pattern does a step: the outermost of what modifies its verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bmad_nb.messages import Message
from bmad_nb.patterns.base import Working
from bmad_nb.patterns.best_of_n import best_of_n
from bmad_nb.patterns.checking import checked
from bmad_nb.patterns.consultation import consultation
from bmad_nb.patterns.escalation import by_agreement, cascade
from bmad_nb.patterns.map_reduce import reduction
from bmad_nb.patterns.mapping import mapping
from bmad_nb.patterns.peer_review import peer_review
from bmad_nb.patterns.refinement import refinement
from bmad_nb.patterns.splitting import splitting
from bmad_nb.patterns.together import together
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Collaborating

Collaboration = Callable[[Step, Collaborating, Mapping[str, Any], tuple[Message, ...]], Working]
"""Begins the work of several LLMs on one task."""


COLLABORATIONS: dict[str, Collaboration] = {
    "vote": together, "consensus": together, "ensemble": together, "debate": together,
    "best_of_n": best_of_n, "peer_review": peer_review, "expert": consultation,
    "cascade": by_agreement,
}  # fmt: skip
"""The pattern of each type of collaboration."""


def begun(
    step: Step, names: Mapping[str, Any], messages: tuple[Message, ...] = ()
) -> Working | None:
    """Return the pattern that does a step, about to begin; None if it has no parts.

    Each pattern yields parts with what it does itself taken out, so that what is left is done by
    the next one: a map of refinements of checked answers.
    """
    pattern: Working | None = None
    if step.repeat is not None:
        pattern = mapping(step, step.repeat, names)
    elif step.reducing is not None:
        pattern = reduction(step, step.reducing, names)
    elif step.refining is not None:
        pattern = refinement(step, step.refining, names)
    elif step.checks:
        pattern = checked(step, names, messages)
    elif step.collaborating is not None:
        does = COLLABORATIONS[step.collaborating.type]
        pattern = does(step, step.collaborating, names, messages)
    elif step.cascading is not None and not step.first_rung:
        pattern = cascade(step, step.cascading, names, messages)
    elif step.splits and not step.first_rung:
        pattern = splitting(step, names, messages)
    return pattern
