"""bmad_nb: a Jupyter-native toolkit for work with several LLMs.

`%load_ext bmad_nb` brings `%%bmad` and `%bmad`; the names below are the same from Python. Nothing
heavy is imported until it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    # asking
    "Comparison": "bmad_nb.results",
    "Result": "bmad_nb.results",
    "Workspace": "bmad_nb.workspace",
    "ask": "bmad_nb.workspace",
    "compare": "bmad_nb.workspace",
    "explore": "bmad_nb.widgets.compare",
    "read_outputs": "bmad_nb.outputs",
    "sweep": "bmad_nb.sweeps.driving",
    # workflows
    "Planned": "bmad_nb.runs.planned",
    "Run": "bmad_nb.runs.run",
    "Workflow": "bmad_nb.workflow.model",
    "load": "bmad_nb.parse",
    "run": "bmad_nb.workspace",
    "build": "bmad_nb.widgets.builder",
    # what an LLM is
    "Card": "bmad_nb.llms.base",
    "LLM": "bmad_nb.llms.base",
    "SimulatedLLM": "bmad_nb.llms.simulated",
    # what is said
    "Choice": "bmad_nb.routers.base",
    "Completion": "bmad_nb.messages",
    "Message": "bmad_nb.messages",
    "Price": "bmad_nb.messages",
    "Request": "bmad_nb.messages",
    "Usage": "bmad_nb.messages",
    # what goes wrong
    "BmadError": "bmad_nb.errors",
    "BudgetExceeded": "bmad_nb.errors",
    "DefinitionError": "bmad_nb.errors",
    "LLMError": "bmad_nb.errors",
    "NotRunnable": "bmad_nb.errors",
    "RunFailed": "bmad_nb.errors",
    "RunPaused": "bmad_nb.errors",
    "StoreError": "bmad_nb.errors",
    "WorkflowError": "bmad_nb.errors",
    # your own asyncio code
    "enable_nested_asyncio": "bmad_nb._loop",
}

_ROOMS = ("lab",)
"""Modules that are found as `bmad_nb.NAME` without an import of their own."""

__all__ = [
    "LLM",
    "BmadError",
    "BudgetExceeded",
    "Card",
    "Choice",
    "Comparison",
    "Completion",
    "DefinitionError",
    "LLMError",
    "Message",
    "NotRunnable",
    "Planned",
    "Price",
    "Request",
    "Result",
    "Run",
    "RunFailed",
    "RunPaused",
    "SimulatedLLM",
    "StoreError",
    "Usage",
    "Workflow",
    "WorkflowError",
    "Workspace",
    "__version__",
    "ask",
    "build",
    "compare",
    "enable_nested_asyncio",
    "explore",
    "lab",
    "load",
    "read_outputs",
    "run",
    "sweep",
]

if TYPE_CHECKING:
    from bmad_nb import lab
    from bmad_nb._loop import enable_nested_asyncio
    from bmad_nb.errors import (
        BmadError,
        BudgetExceeded,
        DefinitionError,
        LLMError,
        NotRunnable,
        RunFailed,
        RunPaused,
        StoreError,
        WorkflowError,
    )
    from bmad_nb.llms.base import LLM, Card
    from bmad_nb.llms.simulated import SimulatedLLM
    from bmad_nb.messages import Completion, Message, Price, Request, Usage
    from bmad_nb.outputs import read_outputs
    from bmad_nb.parse import load
    from bmad_nb.results import Comparison, Result
    from bmad_nb.routers.base import Choice
    from bmad_nb.runs.planned import Planned
    from bmad_nb.runs.run import Run
    from bmad_nb.sweeps.driving import sweep
    from bmad_nb.widgets.builder import build
    from bmad_nb.widgets.compare import explore
    from bmad_nb.workflow.model import Workflow
    from bmad_nb.workspace import Workspace, ask, compare, run


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _ROOMS:
        return importlib.import_module(f"bmad_nb.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'bmad_nb' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return list(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Register `%bmad` and `%%bmad`; called by `%load_ext bmad_nb`."""
    from bmad_nb import magics

    magics.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics and their completion away again."""
    from bmad_nb import magics

    magics.unload(shell)
