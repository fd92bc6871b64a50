"""Some templates on the embedded model: valid structure, and nothing said of quality."""

from __future__ import annotations

import pytest

from bmad_nb.llms import local, weights
from bmad_nb.templates import catalog
from bmad_nb.workflow import output
from bmad_nb.workspace import Workspace

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        bool(local.unavailable()[0]) or weights.path_of("smollm2-135m") is None,
        reason="the embedded model is not installed: bmad models install",
    ),
]


@pytest.mark.parametrize(
    "name", ["documentation-creation", "decision-support", "knowledge-application"]
)
def test_a_template_completes_on_the_embedded_model(ws: Workspace, name: str) -> None:
    """It completes without a key, every output is there, and each answer has its declared form."""
    flow = catalog.workflow(name)
    run = ws.run(flow)
    assert "completed" == run.status
    assert {"local/smollm2-135m"} == set(run.calls["llm"])
    assert [] == [key for key, value in run.outputs.items() if value is None and key != "winner"]
    checked = 0
    for task_id, task in flow.tasks.items():
        value = run.state.tasks[task_id].value
        items = value["items"] if task.map else [value]
        for each in items if task.output else ():
            checked += 1
            assert each == output.check_value(each, output.schema_of(task.output or {}))
    assert checked
