"""Faulty answers: each kind is detected, typed, repaired at most twice, and then escalated."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.answers.quoting import ungrounded
from bmad_nb.errors import DefinitionError, NotRunnable, RunFailed
from bmad_nb.messages import Message
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace

SOURCE = "Ice floats on water, because it is less dense. Salt lowers its melting point."
GOOD = 'It says “ice floats on water”, and "salt lowers its melting point".'
BAD = 'It says “ice sinks in water”, and "salt lowers its melting point".'
CODE = "```python\ndef double(x):\n    return {}\n```"
TESTS = "assert double(2) == 4\nassert double(3) == 6"


class Says:
    """An LLM that says one thing after another, the last for ever, and keeps what it was asked."""

    def __init__(self, *texts: str) -> None:
        """Keep the texts."""
        self.texts = list(texts)
        self.asked: list[Sequence[Message]] = []

    def __call__(self, messages: Sequence[Message]) -> str:
        """Say the next."""
        self.asked.append(messages)
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]


def flow(check: dict[str, Any], **more: Any) -> Workflow:
    """Return a workflow of one checked task."""
    task = {"prompt": "What does it say?", "llm": "own/a", "checks": [check], **more}
    return Workflow("w", inputs={"source": {"type": "text", "default": SOURCE}}, tasks={"t": task})


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ([], GOOD),
        (["ice sinks in water"], BAD),
        ([], 'A so-called "melting ice" is no quote, nor is "salt".'),
        ([], '"Ice FLOATS… less dense"'),
        (["Ice … more dense than salt"], '"Ice … more dense than salt"'),
        ([], "> Ice floats on water\n> because it is less dense"),
        (["Ice is a metal"], "As it says:\n> Ice is a metal"),
        (["ice floats on waterways"], "«ice floats on waterways»"),
        (["Eis schwimmt auf Wasser"], "„Eis schwimmt auf Wasser“"),
        ([], ""),
    ],
)
def test_quotes_are_looked_up(expected: list[str], text: str) -> None:
    """Passages of three words in any quotation marks must stand in the source, word by word."""
    assert expected == ungrounded(text, SOURCE)


@given(st.text(max_size=300), st.text(max_size=100))
def test_no_text_breaks_it(text: str, source: str) -> None:
    """Any text gives a list of its own passages."""
    assert all(quote in text for quote in ungrounded(text, source))


@pytest.mark.parametrize(
    ("check", "bad", "good", "said", "kind"),
    [
        ({"grounded": "source"}, BAD, GOOD, "“ice sinks in water”", "UngroundedQuote"),
        ({"tests": TESTS}, CODE.format("x + 2"), CODE.format("2 * x"), "1 of 2", "TestsFailed"),
        ({"that": "len(out.text) > 3"}, "no", "long", "does not hold", "CheckFailed"),
    ],
)
def test_a_fault_is_typed_and_repaired_at_most_twice(  # noqa: PLR0917  (a table)
    ws: Workspace, check: dict[str, Any], bad: str, good: str, said: str, kind: str
) -> None:
    """The LLM is told what is wrong; what stays wrong after two repairs is a typed error."""
    mending = Says(bad, bad, good)
    ws.add_llm("a", mending)
    run = ws.run(flow({**check, "on_fail": "retry"}), allow_python=True)
    assert good == run.outputs["t"]
    assert 3 == len(mending.asked)
    assert said in mending.asked[1][-1].text
    never = Says(bad)
    ws.add_llm("a", never)
    with pytest.raises(RunFailed) as caught:
        ws.run(flow({**check, "on_fail": "retry"}, title="again"), allow_python=True)
    assert (kind, 3) == (caught.value.result.tasks["error_kind"][0], len(never.asked))


def test_what_cannot_be_repaired_is_escalated(ws: Workspace) -> None:
    """`repair` asks again twice, and then the most capable LLM that is another one."""
    never, better = Says(BAD), Says(GOOD)
    ws.add_llm("a", never)
    ws.add_llm("b", better, capabilities={"facts": 0.9})
    task = flow({"grounded": "source", "on_fail": "repair"}, llm=["own/a", "own/b"])
    run = ws.run(task)
    assert (GOOD, 3, 1) == (run.outputs["t"], len(never.asked), len(better.asked))


def test_an_answers_code_runs_only_where_that_is_allowed(ws: Workspace) -> None:
    """Without permission nothing is asked, and the plan says what is to be allowed."""
    llm = Says(CODE.format("2 * x"))
    ws.add_llm("a", llm)
    with pytest.raises(NotRunnable, match="allow"):
        ws.run(flow({"tests": TESTS}))
    assert [] == llm.asked


def test_a_check_that_checks_nothing_is_an_error(ws: Workspace) -> None:
    """A check has one of its keys, and reads only names that are there."""
    with pytest.raises(DefinitionError, match="grounded"):
        ws.plan(flow({"on_fail": "warn"}))
    with pytest.raises(DefinitionError, match="sauce"):
        ws.plan(flow({"grounded": "sauce"}))


def test_several_validators_let_less_pass_than_each_of_them(ws: Workspace) -> None:
    """Of wrong answers a panel of two passes no more than the product of what each lets pass."""
    items, miss = 200, 0.3

    def validator(name: str) -> Callable[[Sequence[Message]], str]:
        def judge(messages: Sequence[Message]) -> str:
            text = messages[-1].text
            number = re.findall(r"wrong (\d+)", text)[-1]
            blind = random.Random(f"{name} {number}").random() < miss
            return json.dumps({"score": float(blind), "feedback": "no"})

        return judge

    ws.add_llm("a", lambda messages: f"wrong {messages[-1].text.split()[-1]}")
    for name in ("one", "two"):
        ws.add_llm(name, validator(name))
    judge = {"rubric": "Is it right?", "route": {"models": ["own/one", "own/two"]}, "panel": 2}
    task = {
        "map": {"over": "ns", "as": "n", "min_success": 0.0}, "prompt": "Number {{ n }}",
        "llm": "own/a", "checks": [{"judge": judge, "min": 0.8, "on_fail": "fail"}],
    }  # fmt: skip
    run = ws.run(Workflow("w", inputs={"ns": "list"}, tasks={"t": task}), {"ns": [*range(items)]})
    passed = sum(each is not None for each in run.outputs["t"]["items"])
    spread = 1.96 * math.sqrt(miss**2 * (1 - miss**2) / items)
    assert 0 < passed / items <= miss**2 + spread
    assert 2 * items == (run.calls["llm"] != "own/a").sum()


def test_a_repair_that_is_stored_is_not_paid_for_again(ws: Workspace) -> None:
    """An answer without form and its repair serve a later run together; without one it is asked."""
    asked: list[Sequence[Message]] = []

    def clumsy(messages: Sequence[Message]) -> str:
        asked.append(messages)
        return "No JSON!" if len(messages) < 3 else '{"n": 1}'

    ws.add_llm("a", clumsy)
    task = {"prompt": "How many?", "llm": "own/a", "output": {"n": "integer"}}
    for _ in range(3):
        run = ws.run(Workflow("w", tasks={"t": task}), resume="never")
        assert {"n": 1} == run.outputs["t"]
    assert 2 == len(asked)
    ws.add_llm("b", lambda messages: asked.append(messages) or "Never JSON!")
    for count in (5, 8):
        with pytest.raises(RunFailed):
            ws.run(Workflow("w", tasks={"t": {**task, "llm": "own/b", "retry": {"attempts": 1}}}),
                   resume="never")  # fmt: skip
        assert count == len(asked)


def test_a_check_after_a_vote_goes_on_to_the_fallback(ws: Workspace) -> None:
    """Planted: what three voices gave fails a check; the fallback stands in, and nobody is asked on."""
    asked: list[str] = []
    ws.add_llm("a", lambda messages: asked.append(messages[-1].text) or '{"n": 1}')
    task = {
        "prompt": "Which number?", "output": {"n": "integer"}, "fallback": [{"value": {"n": 2}}],
        "collaborate": {"type": "vote", "models": ["own/a"], "n": 3},
        "checks": [{"that": "out.n == 2", "on_fail": "fail"}],
    }  # fmt: skip
    run = ws.run(Workflow("voted", tasks={"t": task}, outputs={"n": "t.n"}))
    assert (2, True) == (run.outputs["n"], run.state.tasks["t"].degraded)
    assert 3 == len(asked)
