"""Documents in the original specification's shape: the same model, and problems at their places."""

from __future__ import annotations

import pytest

from bmad_nb import parse
from bmad_nb.errors import DefinitionError

HEAD = "id: w\ntasks:\n"


def test_a_document_becomes_a_workflow() -> None:
    """Names, kinds, limits, order and collaboration are taken over; a prompt is made of the parts."""
    flow = parse.loads(
        """
id: spring-letter
name: Spring
execution_strategy: PARALLEL
optimization_objectives: [COST_OPTIMIZED]
constraints: {max_cost_usd: 0.4, max_duration_s: 900, max_concurrent_tasks: 2}
tasks:
  - {id: Write-It, name: Write, task_type: code_review, inputs: {a: x, b: [1, {c: d}]}, outputs: [text]}
  - id: check
    dependencies: [Write-It]
    priority: HIGH
    retry_config: {max_attempts: 2}
    llm_requirements: {min_quality: 0.5, collaboration: {type: vote, num_llms: 5}}
  - {id: alone, llm_requirements: {collaboration: {multi_llm: false, type: vote}}}
"""
    )
    expected = {
        "workflow": "spring-letter",
        "title": "Spring",
        "strategy": "parallel",
        "objectives": ["cost_optimized"],
        "limits": {"cost": "$0.40", "time": "900s", "concurrency": 2},
        "tasks": {
            "write_it": {
                "title": "Write",
                "type": "code_review",
                "prompt": 'Write. This is a task of code review.\na: x\nb: [1, {"c": "d"}]\nGive: text.',
            },
            "check": {
                "prompt": "check.\nResult of Write-It:\n{{ write_it.text }}",
                "needs": ["write_it"],
                "route": {"min_quality": 0.5},
                "collaborate": {"type": "vote", "n": 5},
                "retry": {"attempts": 2},
                "priority": "high",
            },
            "alone": {"prompt": "alone."},
        },
    }

    assert expected == flow.to_dict()
    assert "sequential" == parse.loads("id: w\ntasks: [{id: a}]\n").strategy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tasks: [{id: a}]\n", ["1:1: The workflow lacks the key 'id'."]),
        ("id: w\ntasks: []\n", ["2:8: The workflow has no tasks."]),
        ("id: W x\ntasks: [{id: a}]\n", ["1:5: 'W x' cannot be a name."]),
        ("id: w\nstrategy: x\ntasks: [{id: a}]\n", ["2:1: There is no key 'strategy' here."]),
        ("id: w\nconstraints: {max_cost: 1}\ntasks: [{id: a}]\n", ["2:15: There is no key 'max_cost' here."]),
        ("id: w\nconstraints: {max_cost_usd: x}\ntasks: [{id: a}]\n",
         ["2:29: 'max_cost_usd' must be an amount of US dollars such as $0.50."]),
        ("id: w\nexecution_strategy: fast\ntasks: [{id: a}]\n", ["2:21: 'execution_strategy' cannot be 'fast'."]),
        ("id: w\nname: 5\ntasks: [{id: a}]\n", ["2:7: 'name' must be a text, not a number."]),
        (HEAD + "- x\n", ["3:1: The workflow has no tasks.", "3:3: A task must be a mapping with an id."]),
        (HEAD + "- {id: a}\n- {id: 5}\n", ["4:3: A task must be a mapping with an id."]),
        (HEAD + "- {id: a}\n- {id: A}\n", ["4:8: There are two tasks 'A'."]),
        (HEAD + "- {id: a b}\n", ["3:4: 'a b' cannot be a name."]),
        (HEAD + "- {id: a, priorty: HIGH}\n", ["3:11: There is no key 'priorty' here."]),
        (HEAD + "- {id: a, priority: URGENT}\n", ["3:21: 'priority' cannot be 'urgent'."]),
        (HEAD + "- {id: a, timeout: soon}\n", ["3:20: 'timeout' must be a duration such as 90s, 500ms, 10m or 2d."]),
        (HEAD + "- {id: a, dependencies: b}\n", ["3:25: 'dependencies' must be a list, not a text."]),
        (HEAD + "- {id: a, dependencies: [b]}\n", ["3:26: There is no task 'b'."]),
        (HEAD + "- {id: a, dependencies: [a]}\n", ["3:26: Task 'a' needs itself."]),
        (HEAD + "- {id: a, inputs: [x]}\n", ["3:19: 'inputs' must be a mapping, not a list."]),
        (HEAD + "- {id: a, outputs: x}\n", ["3:20: 'outputs' must be a mapping or a list, not a text."]),
        (HEAD + "- {id: a, llm_requirements: [x]}\n",
         ["3:29: 'llm_requirements' must be a text or a mapping, not a list."]),
        (HEAD + "- {id: a, llm_requirements: {min_quality: 3}}\n", ["3:43: 'min_quality' must be at most 1."]),
        (HEAD + "- {id: a, llm_requirements: {collaboration: {typ: vote}}}\n",
         ["3:30: 'collaboration' lacks the key 'type'.", "3:46: There is no key 'typ' here."]),
        (HEAD + "- {id: a, llm_requirements: {collaboration: {type: vote, num_llms: 0}}}\n",
         ["3:68: 'num_llms' must be at least 1."]),
        (HEAD + "- {id: a, retry_config: {max_attempts: 0}}\n", ["3:40: 'max_attempts' must be at least 1."]),
        (HEAD + "- {id: a, retry_config: 3}\n", ["3:25: 'retry_config' must be a mapping, not a number."]),
    ],
)  # fmt: skip
def test_a_problem_stands_at_its_place_in_the_original(text: str, expected: list[str]) -> None:
    """Unknown keys and wrong types are told with the keys and the lines of that document."""
    with pytest.raises(DefinitionError) as raised:
        parse.loads(text)

    assert expected == [f"{p.line}:{p.column}: {p.what}" for p in raised.value.problems]
