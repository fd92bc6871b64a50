"""Waits between attempts, and functions that are named in a file."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bmad_nb.budget import Budget
from bmad_nb.errors import TaskFailed
from bmad_nb.events import RunRow
from bmad_nb.plan import Plan, Step
from bmad_nb.runs.assertions import Assertions, SoFar
from bmad_nb.runs.people import People
from bmad_nb.runs.repricing import Repricing
from bmad_nb.runs.tools import Before, Lent, Tools
from bmad_nb.workspace import Workspace


@pytest.fixture
def tools(ws: Workspace) -> Tools:
    """Give the tools of a run without tasks."""
    budgets = {False: Budget(), True: Budget()}
    around = Lent(ws.store, ws.catalog, ws.settings.engine, budgets)
    run, plan = RunRow("r", "workflow", "running"), Plan("w", "parallel", ())
    repricing = Repricing("r", ws.store, ws.catalog.prices, lambda: plan, plan=plan)
    so_far = SoFar(None, [], 0.0)
    return Tools(
        run, plan, around, Before(), functions={}, workflows={},
        people=People("r", ws.store, {}, {}, waits=False),
        assertions=Assertions("r", ws.store, [], so_far, repricing.replan), repricing=repricing,
    )  # fmt: skip


def called(tools: Tools, name: str, **arguments: Any) -> Any:
    return asyncio.run(tools.call(Step("t", "python", function=name), arguments))


def test_a_named_function_is_imported_and_called(tools: Tools) -> None:
    """`module:function` is found, attributes of a class among it."""
    assert "b" == called(tools, "posixpath:basename", p="a/b")
    assert 3 == called(tools, "statistics:median", data=[1, 3, 5])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module_here:f", "cannot be imported"),
        ("os:no_such_name", "cannot be imported"),
        ("os", "cannot be imported"),
        (":f", "cannot be imported"),
        ("os:sep", "is not a function"),
    ],
)
def test_what_cannot_be_called_is_said(tools: Tools, name: str, said: str) -> None:
    """A name that leads nowhere, or to no function, is the task's error."""
    with pytest.raises(TaskFailed, match=said):
        called(tools, name)
