"""Routers by name."""

from __future__ import annotations

import importlib
from typing import Any

from bmad_nb.errors import UnknownName, UsageProblem

HOMES = {
    "fixed": ("fixed", "Fixed"),
    "random": ("chance", "Random"),
    "round-robin": ("chance", "RoundRobin"),
    "cheapest": ("cheapest", "Cheapest"),
    "fastest": ("fastest", "Fastest"),
    "balanced": ("fastest", "Balanced"),
    "efficient": ("efficient", "Efficient"),
    "lean": ("efficient", "Lean"),
    "capability": ("capability", "Capability"),
    "best-single": ("singles", "BestSingle"),
    "zero": ("singles", "Zero"),
    "prompt-length": ("learned", "PromptLength"),
    "task-mean": ("learned", "TaskMean"),
    "knn": ("learned", "NearestNeighbours"),
    "linear": ("learned", "Linear"),
    "learned": ("learned", "Learned"),
    "cascade": ("cascading", "Cascade"),
    "thompson": ("bandits", "Thompson"),
    "lin-thompson": ("bandits", "LinearThompson"),
}
"""Module and class of each router that has a name; what learns is imported when it is asked for."""


def router_of(spec: Any, **options: Any) -> Any:
    """Return a router by its name, its class, or itself.

    Args:
        spec: a name such as `best-single`, a class, or an object with `name` and `choose`.
        options: of a router by name.

    Raises:
        UnknownName: there is no such router.
        UsageProblem: it is no router.
    """
    if isinstance(spec, str):
        if spec not in HOMES:
            raise UnknownName("router", spec, HOMES)
        module, name = HOMES[spec]
        return getattr(importlib.import_module(f"bmad_nb.routers.{module}"), name)(**options)
    made = spec() if isinstance(spec, type) else spec
    if not isinstance(getattr(made, "name", None), str) or not callable(
        getattr(made, "choose", None)
    ):
        raise UsageProblem(
            f"{type(made).__name__} is no router.",
            hint="A router has a name and choose(demand, candidates), which returns a Choice.",
        )
    return made
