"""Plans: order, LLMs with reasons, what is missing; nothing is sent and nothing is executed."""

from __future__ import annotations

import itertools
import json
import textwrap
import time

import pytest

from bmad_nb import parse
from bmad_nb.errors import DefinitionError, UnknownName, UsageProblem
from bmad_nb.plan import Plan, assignments
from bmad_nb.plan_parts import Assignment
from bmad_nb.planner import Wishes, make_plan
from bmad_nb.routers.base import Choice
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace


def planned(text: str, inputs: dict | None = None, **options) -> Plan:
    """Return the plan of a document."""
    flow = parse.loads(textwrap.dedent(text), "flow.yaml")
    return Workspace().plan(flow, inputs, **options).plan


def chain(*tasks: str) -> str:
    return "workflow: w\ntasks:\n" + "".join(f"  {task}\n" for task in tasks)


def test_steps_stand_in_written_order_as_far_as_needs_allow() -> None:
    """A task that is written before what it reads comes after it; the others stay as written."""
    plan = planned(
        chain(
            'c: {set: {x: "a.x + b.x"}}', 'b: {set: {x: "1"}}', 'd: {set: {x: "1"}}',
            'a: {set: {x: "1"}}',
        )
    )  # fmt: skip

    assert ["b", "d", "a", "c"] == [step.id for step in plan.steps]
    assert ("a", "b") == plan.step("c").needs
    assert [0, 0, 0, 1] == [step.layer for step in plan.steps]


def test_needs_come_from_texts_and_from_the_list() -> None:
    """Edges are read off prompts, conditions and arguments; `needs` adds pure ordering."""
    plan = planned(
        """
        workflow: w
        tasks:
          a: {set: {x: "1"}}
          b: {set: {x: "1"}}
          c: {set: {x: "1"}}
          d: {prompt: "{{ a.x }}", when: b.x == 1, needs: [c], llm: sim/hasty}
        """
    )

    assert {"a", "b", "c"} == set(plan.step("d").needs)


def test_the_default_llm_answers_without_a_route() -> None:
    """A task that says nothing of LLMs is given the default one."""
    step = planned(chain("a: {prompt: hello}")).step("a")

    assert "local/smollm2-135m" == step.assignment.llm
    assert "fixed" == step.assignment.router


def test_the_default_llm_is_a_setting() -> None:
    """`[engine] default_llm` changes who answers."""
    space = Workspace({"engine": {"default_llm": "sim/careful"}})
    plan = space.plan(parse.loads(chain("a: {prompt: hello}"))).plan

    assert "sim/careful" == plan.step("a").assignment.llm


def test_a_workflow_default_route_serves_all_tasks() -> None:
    """`defaults.route` stands for tasks without a route of their own."""
    plan = planned("workflow: w\ndefaults: {route: sim/hasty}\ntasks: {a: {prompt: hi}, "
                   "b: {prompt: hi, llm: sim/careful}}")  # fmt: skip

    assert ["sim/hasty", "sim/careful"] == [s.assignment.llm for s in plan.steps]


def test_prefer_cheapest_takes_the_cheapest_that_passes() -> None:
    """A preference chooses among the named ones; the plan keeps the reason and the others."""
    step = planned(
        chain('a: {prompt: hi, route: {models: ["sim/*"], prefer: cheapest, '
              "capabilities: {facts: 0.9}}}")
    ).step("a")  # fmt: skip

    assert "sim/librarian" == step.assignment.llm
    assert "cheapest" == step.assignment.router
    assert "its facts is 0.7, and 0.9 is needed" == dict(step.assignment.rejected)["sim/hasty"]
    assert step.assignment.simulated


def test_simulated_llms_are_never_chosen_unasked() -> None:
    """A demand without named LLMs is met by real ones only, or by none."""
    plan = planned(chain("a: {prompt: hi, route: {capabilities: {facts: 0.9}}}"))

    assert plan.step("a").assignment is None
    assert any("No LLM can do task 'a'" in each for each in plan.missing)
    assert not any("sim/" in each for each in plan.missing)


def test_a_setting_behind_an_id_is_part_of_the_assignment() -> None:
    """`ID?temperature=1` asks that LLM in that setting."""
    step = planned(chain('a: {prompt: hi, llm: "sim/hasty?temperature=1"}')).step("a")

    assert Assignment("sim/hasty", (("temperature", 1),), reason="named for this task",
                      simulated=True) == step.assignment  # fmt: skip


@pytest.mark.parametrize("old", ["openai/gpt-x", "openai/*", "*"])
def test_ids_of_a_document_can_be_rebound(old: str) -> None:
    """`llms=` puts other LLMs in the place of those of the document, by id or glob."""
    plan = planned(
        chain("a: {prompt: hi, llm: openai/gpt-x, fallback: [{route: openai/gpt-x}]}"),
        llms={old: "sim/careful"},
    )

    assert () == plan.missing
    assert "sim/careful" == plan.step("a").assignment.llm
    assert "sim/careful" == plan.step("a").fallbacks[0].llm.llm


def test_the_default_llm_can_be_rebound() -> None:
    """The default LLM is an id like others."""
    plan = planned(chain("a: {prompt: hi}"), llms={"local/smollm2-135m": "sim/hasty"})

    assert "sim/hasty" == plan.step("a").assignment.llm


def test_a_rebinding_of_nothing_is_an_error() -> None:
    """An id that the document does not have is named with the nearest that it has."""
    with pytest.raises(UnknownName, match="Did you mean 'sim/hasty'"):
        planned(chain("a: {prompt: hi, llm: sim/hasty}"), llms={"sim/hasti": "sim/careful"})


def test_an_unknown_llm_is_missing_with_its_place() -> None:
    """File, line and column of the id, and the nearest right one, stand in the plan."""
    plan = planned(chain("a: {prompt: hi, llm: sim/carefull}"))

    assert 1 == len(plan.missing)
    assert plan.missing[0].startswith("flow.yaml:3:24: There is no LLM 'sim/carefull'.")
    assert "Did you mean 'sim/careful'?" in plan.missing[0]


def test_everything_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs, keys, rights and abilities: a plan lists them all."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    plan = planned(
        """
        workflow: w
        inputs: {topic: text}
        strategy: adaptive
        limits: {cost: $1, on_limit: degrade}
        tasks:
          a: {prompt: "{{ topic }}", llm: openai/gpt-x}
          b: {python: "os:getcwd"}
          c: {approve: {ask: "Fine?"}}
          d: {prompt: hi, llm: sim/hasty, collaborate: {type: peer_review, models: [sim/hasty]}}
          e: {workflow: nowhere}
        """
    )
    said = "\n".join(plan.missing)

    for part in ("Input 'topic' has no value", "OPENAI_API_KEY is not set", "calls os:getcwd",
                 "wants 2 different LLMs", "runs workflow 'nowhere'"):  # fmt: skip
        assert part in said


def test_python_is_allowed_only_on_request() -> None:
    """`allow_python` takes the function of a file out of what is missing."""
    text = chain('a: {python: "os:getcwd"}')

    assert 1 == len(planned(text).missing)
    assert () == planned(text, allow_python=True).missing


def test_a_function_from_the_notebook_needs_no_permission() -> None:
    """A function that the caller hands over in Python is the caller's own."""
    flow = Workflow("w")
    flow.task("a", python=lambda: 1)

    assert () == Workspace().plan(flow).plan.missing


def test_an_unknown_strategy_is_an_error() -> None:
    """A strategy has one of four names."""
    with pytest.raises(UnknownName, match="Did you mean 'parallel'"):
        planned(chain('a: {set: {x: "1"}}'), strategy="paralel")


def test_a_strategy_of_the_caller_goes_first() -> None:
    """The caller's strategy stands over the document's."""
    text = "workflow: w\nstrategy: parallel\ntasks: {a: {set: {x: '1'}}}"

    assert "sequential" == planned(text, strategy="sequential").strategy


def test_an_unknown_input_is_an_error() -> None:
    """An input that the workflow does not declare is no input."""
    with pytest.raises(UnknownName):
        planned(chain('a: {set: {x: "1"}}'), {"topic": "ice"})


def test_a_mistyped_input_is_an_error() -> None:
    """A value must be of the declared type, in a plan too."""
    with pytest.raises(UsageProblem, match="must be a whole number"):
        planned("workflow: w\ninputs: {n: integer}\ntasks: {a: {set: {x: n}}}", {"n": "many"})


def test_equal_documents_have_equal_plans() -> None:
    """A plan is plain JSON, and the same for the same document."""
    text = chain("a: {prompt: hi, llm: sim/hasty}", 'b: {set: {x: "a.text"}}')
    first, second = planned(text).to_dict(), planned(text).to_dict()

    assert first == second
    assert first == json.loads(json.dumps(first))


CONTENT = """
workflow: w
inputs: {{topic: {{type: text, default: ice}}}}
tasks:
  a: {{prompt: "{prompt}", llm: {llm}{more}}}
  b: {{set: {{x: a.text}}}}
  z: {{set: {{x: "1"}}}}
"""


def contents(**changes: str) -> dict[str, str]:
    fields = {"prompt": "On {{ topic }}", "llm": "sim/hasty", "more": ""}
    inputs = {"topic": changes.pop("topic")} if "topic" in changes else {}
    plan = planned(CONTENT.format(**{**fields, **changes}), inputs)
    return {step.id: step.content for step in plan.steps}


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "About {{ topic }}"},
        {"llm": "sim/careful"},
        {"more": ", system: Be brief."},
        {"more": ", params: {temperature: 1}"},
        {"more": ", when: '1 == 1'"},
        {"topic": "fire"},
    ],
    ids=str,
)
def test_what_changes_a_result_changes_its_content_and_all_below(change: dict[str, str]) -> None:
    """The content hash covers a task's own fields, the inputs it reads, and all above it."""
    before, after = contents(), contents(**change)

    assert before["a"] != after["a"]
    assert before["b"] != after["b"]
    assert before["z"] == after["z"]


@pytest.mark.parametrize(
    "more",
    [", title: Notes", ", priority: high", ", timeout: 9s", ", retry: {attempts: 5}",
     ", limits: {calls: 9}", ", metadata: {team: docs}", ", type: writing"],
)  # fmt: skip
def test_what_does_not_change_a_result_keeps_its_content(more: str) -> None:
    """Titles, priorities, retries and limits can be edited without doing anything again."""
    assert contents() == contents(more=more)


def test_llms_of_an_earlier_plan_are_kept() -> None:
    """A run that goes on asks the LLMs that it was planned with, though a router changed."""
    text = chain('a: {prompt: hi, route: {models: ["sim/careful", "sim/hasty"], prefer: cheapest}}')
    plan = planned(text)
    stored = json.loads(json.dumps(plan.to_dict()))

    assert {plan.step("a").content: plan.step("a").assignment} == assignments(stored)


class Last:
    """A router written by a user."""

    name = "last"

    def choose(self, demand, candidates) -> Choice:
        return Choice(candidates[-1].card.id, "the last")


def test_a_router_of_ones_own_chooses() -> None:
    """An object with a name and `choose` is a router, for tasks that leave a choice."""
    text = chain('a: {prompt: hi, route: {models: ["sim/careful", "sim/hasty"]}}',
                 "b: {prompt: hi, llm: sim/careful}")  # fmt: skip
    plan = planned(text, router=Last())

    assert ["sim/hasty", "sim/careful"] == [step.assignment.llm for step in plan.steps]
    assert "last" == plan.step("a").assignment.router


def test_outputs_default_to_what_no_task_reads() -> None:
    """Without `outputs`, the results at the ends of the graph are the outputs."""
    plan = planned(chain('a: {set: {x: "1"}}', "b: {set: {x: a.x}}", 'c: {set: {x: "1"}}'))

    assert (("b", "b.output"), ("c", "c.output")) == plan.outputs


def test_retries_come_from_task_defaults_and_settings() -> None:
    """A task's own number goes first, then the workflow's, then `[engine] retry_attempts`."""
    text = ("workflow: w\n{}tasks: {{a: {{prompt: hi, llm: sim/hasty}}, "
            "b: {{prompt: hi, llm: sim/hasty, retry: {{attempts: 7}}}}}}")  # fmt: skip
    flow = parse.loads(text.format(""))
    space = Workspace({"engine": {"retry_attempts": 2, "default_timeout_s": 11}})

    assert [1 + 2, 7] == [s.retries.attempts for s in space.plan(flow).plan.steps]
    assert [11, 11] == [s.timeout_s for s in space.plan(flow).plan.steps]
    flow = parse.loads(text.format("defaults: {retry: {attempts: 4}, timeout: 9s}\n"))
    assert [4, 7] == [s.retries.attempts for s in space.plan(flow).plan.steps]
    assert [9, 9] == [s.timeout_s for s in space.plan(flow).plan.steps]


def test_a_wide_plan_is_made_in_time() -> None:
    """Two thousand tasks are planned well before a hang guard."""
    flow = Workflow("wide", tasks={f"t{n}": {"set": {"x": f"t{n - 1}.x" if n else "1"}}
                                   for n in range(2000)})  # fmt: skip

    assert 1999 == Workspace().plan(flow).plan.steps[-1].layer


@pytest.mark.parametrize(
    "name", ["bmad_nb.reducers:json.codecs.builtins.open", "bmad_nb.reducers:json.loads",
             "bmad_nb.reducers:counts.__globals__", "bmad_nb.reducers:MOST_VALUES"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["python", "reduce", "judge", "check"])
def test_only_the_reducers_themselves_are_free(name: str, place: str) -> None:
    """What else their module can reach is code from outside, wherever a document names it."""
    text = {
        "python": f'a: {{python: "{name}"}}',
        "reduce": f'a: {{set: {{x: "1"}}}}\n  b: {{reduce: {{from: a, python: "{name}"}}}}',
        "judge": f'a: {{prompt: hi, llm: sim/hasty, refine: {{judge: {{python: "{name}"}}, until: score > 1}}}}',
        "check": f'a: {{prompt: hi, llm: sim/hasty, checks: [{{judge: {{python: "{name}"}}}}]}}',
    }[place]  # fmt: skip
    try:
        missing = planned(chain(text)).missing
    except DefinitionError:
        return  # the name is refused as such
    assert any("code from outside this document" in each for each in missing), missing


def test_sub_workflows_that_multiply_are_refused_in_time() -> None:
    """Each level runs the next one ten times: that is said, and not planned to its end."""
    names = "abcdefgh"
    flows = {
        name: parse.loads(
            f"workflow: w{name}\ntasks:\n"
            + "".join(f"  t{n}: {{workflow: w{after}}}\n" for n in range(10))
        )
        for name, after in itertools.pairwise(names)
    }
    flows["h"] = parse.loads("{workflow: wh, tasks: {a: {set: {x: '1'}}}}")
    below = {f"w{name}": flow for name, flow in flows.items()}
    began = time.process_time()
    space = Workspace()
    plan = make_plan(flows["a"], space.catalog, space.settings.engine, Wishes(workflows=below))
    assert any("more than 20,000 tasks" in each for each in plan.missing)
    assert time.process_time() - began < 60  # a guard: without the limit it has 10^7 tasks
