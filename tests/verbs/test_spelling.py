"""`--python` and `--cli` print what does the same; `help` has examples that can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bmad_nb.errors import BmadError, UsageProblem
from bmad_nb.verbs.base import Front
from bmad_nb.verbs.examples import EXAMPLES
from bmad_nb.verbs.tree import bmad, call
from bmad_nb.workspace import Workspace, default_workspace
from tests.test_house import commands
from tests.verbs_of import typed

NAMES: dict[str, Any] = {
    "topic": 'ice, "hot" or $cold\nand {braces}',
    "cases": pd.DataFrame({"a": [1, 2], "right": ["2", "3"]}),
    "models": ["sim/careful", "sim/hasty"],
}
ASKED = [
    ("ask -m sim/careful -o r", "Why does {{ topic }} float?"),
    ("ask -m sim/hasty --system 'You love {{ topic }}.' --temperature 1 --max-tokens 9", "Why?"),
    ("ask -m sim/hasty -p topic=tea", "What is {{ topic }}?"),
    ("ask -m sim/hasty --raw", "What is {{ topic }}?"),
    ("compare -m {{ models }} -n 2 --budget 0.5 -o r", "Is {{ topic }} cold?\nSay why."),
    ("compare -m sim/careful,sim/hasty --over cases --reference right", "What is {{ a }} + 1?"),
    ("compare -m sim/hasty --vary temperature=0,1", "--cli or --python?"),
    ("consensus -m {{ models }},sim/librarian --threshold 0.6", "Where is {{ topic }}?"),
    ("best-of -m sim/hasty -n 2 --judge 'Is it short?'", "Name a tea."),
    ("map -m sim/hasty --over cases", "What is {{ a }}?"),
]

SOME = [
    pytest.param(*each, marks=pytest.mark.long) if n in {1, 3, 6, 8} else each
    for n, each in enumerate(ASKED)
]


def requests(space: Workspace) -> list[tuple[str, str]]:
    """Return LLM and request of every call of the newest run."""
    newest = space.store.runs()[-1].run_id
    return sorted((row.llm, row.request_key) for row in space.store.calls(newest))


@pytest.fixture
def space(project: Path) -> Workspace:
    """Give the workspace that printed Python uses."""
    return default_workspace()


@pytest.mark.parametrize(("line", "body"), SOME, ids=[line for line, _ in ASKED])
def test_the_printed_python_gives_the_same_requests(space: Workspace, line: str, body: str) -> None:
    """What `--python` prints runs as it is, beside the same variables, and asks the same."""
    text = typed(space, f"{line} --python", body, NAMES).text
    assert [] == space.store.runs(), "Printing asked somebody."
    typed(space, line, body, NAMES)
    expected = requests(space)
    scope = dict(NAMES)
    exec(compile(text, "printed", "exec"), scope)
    assert 2 <= len(space.store.runs())
    assert expected == requests(space)
    if " -o r" in line:
        assert scope["r"].id == space.store.runs()[-1].run_id


@pytest.mark.parametrize(("line", "body"), SOME, ids=[line for line, _ in ASKED])
def test_the_printed_command_gives_the_same_requests(
    space: Workspace, line: str, body: str
) -> None:
    """What `--cli` prints, typed in a shell without any variables, asks the same."""
    text = typed(space, f"{line} --cli", body, NAMES).text
    typed(space, line, body, NAMES)
    expected = requests(space)
    first, *rest = text.split("\nbmad ", 1)
    command = rest[0] if rest else first.removeprefix("bmad ")
    if rest:
        assert "pd.DataFrame(cases).to_json('cases.jsonl'" in first
        NAMES["cases"].to_json("cases.jsonl", orient="records", lines=True)
    call(Front(space, "shell"), shlex.split(command))
    assert expected == requests(space)


WORKFLOW = "inputs: {topic: text}\ntasks:\n  a: {prompt: 'Say {{ topic }}', llm: sim/hasty}\n"


def test_a_workflow_is_defined_and_run_by_printed_python(space: Workspace) -> None:
    """Defining, planning and running a workflow have Python forms that do the same."""
    for line, body in (("workflow tea --python", WORKFLOW), ("workflow tea", WORKFLOW)):
        said = typed(space, line, body)
    scope: dict[str, Any] = {}
    exec(typed(space, "workflow tea --python", WORKFLOW).text, scope)
    typed(space, "run tea -p topic=green --budget 0.1")
    expected = requests(space)
    text = typed(space, "run tea -p topic=green --budget 0.1 --new --python").text
    assert "resume='never'" in text
    exec(text, scope)
    assert expected == requests(space)
    assert "ws.plan('tea'" in typed(space, "plan tea -p topic=x --python").text
    assert said is not None


def test_a_printed_command_needs_no_variable(space: Workspace, project: Path) -> None:
    """A run is named by its id, a workflow by the file that holds it, and & stands for background."""
    typed(space, "workflow tea", WORKFLOW)
    run = typed(space, "run tea -p topic=green")
    names = {"r": run, "tea": space.workflows["tea"]}
    assert f"bmad show {run.id}" == typed(space, "show r --cli", names=names).text
    assert f"bmad diff {run.id} {run.id}" == typed(space, "diff r r --cli", names=names).text
    line = "run tea -p topic=green --background"
    assert "background=True" in typed(space, f"{line} --python", names=names).text
    first, command = typed(space, f"{line} --cli", names=names).text.split("\n")
    assert "bmad run --param topic=green tea.yaml &" == command
    exec(first.removeprefix("# first, in Python: "), names)
    expected = requests(space)
    call(Front(space, "shell"), shlex.split(command)[1:-1])
    assert expected == requests(space)


def test_a_handle_has_no_json(space: Workspace) -> None:
    """--background with --json is refused before anybody is asked."""
    for line, body in (("ask -m sim/hasty", "Hi"), ("compare -m sim/hasty", "Hi")):
        with pytest.raises(UsageProblem, match="--json wants the result"):
            typed(space, f"{line} --background --json", body)
    typed(space, "workflow tea", WORKFLOW)
    with pytest.raises(UsageProblem, match="--json wants the result"):
        typed(space, "run tea -p topic=x --background --json")
    assert [] == space.store.runs()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("show 1a2b --only wrong --sort spread", "ws.run_of('1a2b').where('*', only='wrong').sorted('spread')"),
        ("diff 1a 2b", "ws.run_of('2b').against(ws.run_of('1a'))"),
        ("cost --by day", "ws.spent('day')"),
        ("runs --limit 3", "ws.runs().head(3)"),
        ("models list sim", "checks.models(ws, 'sim')"),
        ("doctor", "checks.doctor(ws)"),
        ("learned --at 3", "ws.learned.at(3)"),
        ("chat trip --drop 2", "ws.chats.drop('trip', 2)"),
        ("chat trip", "ws.chats.turns('trip')"),
        ("build tea.yaml", "ws.build('tea.yaml')"),
        ("build", "ws.build()"),
    ],
)  # fmt: skip
def test_verbs_that_look_have_a_python_form(space: Workspace, line: str, expected: str) -> None:
    """Verbs that only look are spelled too; their lines compile."""
    text = typed(space, f"{line} --python").text
    compile(text, "printed", "exec")
    assert expected.replace("'*', ", "") in text.replace("'*', ", "")
    assert shlex.split(line)[0] in typed(space, f"{line} --cli").text


def test_several_llms_in_the_background_are_spelled(space: Workspace) -> None:
    """`--background` of a vote is `background=True` in Python and `&` in a shell."""
    line = "vote -m sim/careful,sim/hasty --background"
    assert "background=True" in typed(space, f"{line} --python", "2 + 2?").text
    assert typed(space, f"{line} --cli", "2 + 2?").text.endswith(" &")
    with pytest.raises(UsageProblem, match="--json wants the result"):
        typed(space, f"{line} --json", "2 + 2?")


def test_ratings_are_spelled_with_the_run(space: Workspace) -> None:
    """`rate` and `judge` name the run by its id, or by the variable that holds it."""
    r = space.compare("Where?", "sim/careful,sim/hasty")
    text = typed(space, f"rate {r.id} sim/hasty 0.5 --by me --python").text
    assert f"ws.rate(ws.run_of('{r.id}'), 'sim/hasty', 0.5, by='me')" in text
    assert "ws.judge(r, 'sim/calculator'" in typed(
        space, "judge r -m sim/calculator --python", None, {"r": r}
    ).text.replace("\n    ", " ").replace("( ", "(")
    assert 0 == len(space.scores())


def test_what_has_no_python_form_says_so(space: Workspace) -> None:
    """`lab` and `demo` are about the machine; a wrong verb is a wrong verb."""
    with pytest.raises(UsageProblem, match="schema has no Python form"):
        typed(space, "workflow schema --python")
    with pytest.raises(BmadError, match="no verb"):
        typed(space, "cmopare --python")
    assert typed(space, "lab --cli").text == "bmad lab"


def test_a_set_budget_is_part_of_both_forms(space: Workspace) -> None:
    """What is set for all verbs is printed too: another place does not know it."""
    for language in ("--python", "--cli"):
        text = typed(
            space, f"ask -m sim/hasty {language}", "Why?", defaults={"budget": "0.05"}
        ).text
        assert "0.05" in text
    typed(space, "ask -m sim/hasty", "Why?", defaults={"budget": "0.05"})
    assert "0.05" == str(space.store.runs()[-1].budget_usd)


VERBS = dict(commands(bmad))


@pytest.mark.parametrize("name", VERBS)
def test_each_verb_has_an_example_in_its_help(space: Workspace, name: str) -> None:
    """`help VERB` shows examples, and what they say can be read by the verb itself."""
    text = typed(space, f"help {name}").text
    assert "Examples:" in text, name
    for example in EXAMPLES[name]:
        first, _, body = example.partition("\n")
        assert first in text
        program, *words = shlex.split(first)
        assert program in {"bmad", "%bmad", "%%bmad"}
        assert (program == "%%bmad") is bool(body), example
        if name == "traceback" or words[:1] in ([], ["--traceback"]):
            continue
        made = typed(space, shlex.join(words) + " --cli", body or None, {"cases": [{"text": ""}]})
        assert words[0] in made.text


def test_a_verb_without_examples_would_be_found() -> None:
    """Planted: of a verb that has no examples, nothing is shown."""
    from bmad_nb.verbs.examples import epilog

    assert "" == epilog("no such verb")
    assert "Examples:" in epilog("compare")
