"""Replay mode: stored and recorded answers serve, and no call is made, whoever would be asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import NotRecorded, NotRunnable, RunFailed, SettingsError
from bmad_nb.llms.recorded import Unasked
from bmad_nb.verbs import completion
from bmad_nb.workspace import Workspace, default_workspace
from tests.fake_provider import FakeProvider
from tests.kernel import Kernel, clean_environment
from tests.test_cli import CONFIG, KEY_NAME, bmad, data

KEY = str(CONFIG["key"])
PIPE = """\
workflow: pipe
tasks:
  a:
    prompt: "First [answer: alpha]"
    llm: fake/small
    cache: refresh
  b:
    prompt: "Then {{ a }}"
    llm: sim/careful
  n:
    prompt: "Numbers"
    llm: fake/small
    output: {n: integer}
"""
ROUTED = """\
workflow: routed
tasks:
  a: {prompt: "Any of you", route: {models: [own/mine, fake/small], prefer: cheapest}}
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that wants a key."""
    with FakeProvider(CONFIG) as provider:
        yield provider


@pytest.fixture
def folder(project: Path, provider: FakeProvider) -> Path:
    """Give a project with an endpoint, a table and a workflow, and a server that counts from 0."""
    provider.reset()
    (project / "bmad.toml").write_text(
        f'[endpoints.fake]\nbase_url = "{provider.url}"\napi_key = "env:{KEY_NAME}"\n'
        'models = ["small"]\n\n[recorded.old]\npath = "old.csv"\n'
        '[prices."fake/small"]\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 1\n'
    )
    (project / "old.csv").write_text("prompt,answer\nQ,A\n")
    (project / "pipe.yaml").write_text(PIPE)
    return project


@pytest.fixture
def space(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """Give a workspace that has the key and has asked once."""
    monkeypatch.setenv(KEY_NAME, KEY)
    space = Workspace()
    space.add_llm("mine", lambda messages: "own " + messages[-1].text)
    space.ask("Hello", "fake/small")
    space.ask("What is 1 + 2?", "sim/careful")
    space.ask("Hello", "own/mine")
    yield space
    space.close()


def requests(provider: FakeProvider) -> int:
    """Return how many calls arrived."""
    return int(provider.counts()["received"])


# --- in Python ------------------------------------------------------------------------------------


def test_stored_answers_serve_and_others_are_refused(
    space: Workspace, provider: FakeProvider
) -> None:
    """Hosted, simulated and own LLMs give stored answers, and NotRecorded for all else."""
    sent = requests(provider)
    for prompt, llm in (
        ("Hello", "fake/small"),
        ("What is 1 + 2?", "sim/careful"),
        ("Hello", "own/mine"),
    ):
        again = space.ask(prompt, llm, replay=True, fresh=True)
        assert (True, 0) == (again.rows[0].from_store, again.rows[0].cost_usd)
        with pytest.raises(
            NotRecorded, match="no stored answer to 'Another', and in replay mode"
        ) as caught:
            space.ask("Another", llm, replay=True)
        assert "no" == caught.value.billed
    with pytest.raises(NotRecorded):
        space.ask("Hello", "local", replay=True)
    with pytest.raises(NotRecorded):
        space.ask("Hello", "fake/small", replay=True, temperature=1)
    assert "A" == space.ask("Q", "recorded/old", replay=True).rows[0].text
    assert sent == requests(provider) == 1
    assert "own Another" == space.ask("Another", "own/mine").rows[0].text  # it is for one call only


def test_nothing_is_reserved_or_intended(space: Workspace) -> None:
    """A refusal comes before the budget and before the intent: even a budget of zero says it."""
    with pytest.raises(NotRecorded):
        space.ask("Another", "fake/small", replay=True, budget_usd=0)
    call = space.store.calls(space.store.runs()[-1].run_id)[-1]
    assert ("failed", "NotRecorded", "no", None, "") == (
        call.state, call.error_kind, call.billed, call.reserved_usd, call.started_utc
    )  # fmt: skip
    kinds = [type(each.event).__name__ for each in space.store.events(call.run_id)]
    assert ["RunStarted", "CallEnded", "RunEnded"] == kinds


def test_a_comparison_replays_what_it_can(space: Workspace, provider: FakeProvider) -> None:
    """Cells with an answer have it, the others say why not; without any, the run fails."""
    shown = space.compare("Hello", "fake/small,own/mine,sim/hasty", replay=True)
    assert ["answered", "answered", "failed"] == [row.state for row in shown.rows]
    assert "NotRecorded" == shown.rows[2].error_kind
    with pytest.raises(RunFailed, match="in replay mode nobody is asked"):
        space.compare("Nothing", "fake/small,sim/hasty", replay=True)
    assert 1 == requests(provider)


def test_a_key_that_is_missing_is_no_hindrance(
    space: Workspace, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key the stored answers serve, in plans too; outside of replay it is missing."""
    monkeypatch.delenv(KEY_NAME)
    bare = Workspace(replay=True)
    assert bare.ask("Hello", "fake/small").rows[0].from_store
    assert "" == bare.catalog.llm("fake/small").card.missing
    assert not any("not set" in each for each in bare.plan("pipe.yaml").plan.missing)
    plain = Workspace(replay=False)
    assert "not set" in plain.catalog.llm("fake/small").card.missing
    assert any("not set" in each for each in plain.plan("pipe.yaml").plan.missing)
    assert not any("not set" in m for m in plain.plan("pipe.yaml", replay=True).plan.missing)
    assert 1 == requests(provider)
    bare.close()
    plain.close()


@pytest.mark.parametrize(
    ("expected", "word", "argument"),
    [
        (True, "1", None), (True, " TRUE ", None), (False, "0", None), (False, "", None),
        (False, None, None), (False, "1", False), (True, "0", True), (True, None, True),
    ],
)  # fmt: skip
def test_the_argument_goes_before_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch, expected: bool, word: str | None, argument: Any
) -> None:
    """`Workspace(replay=)` decides; without it BMAD_REPLAY; without both nothing is replayed."""
    if word is not None:
        monkeypatch.setenv("BMAD_REPLAY", word)
    space = Workspace(replay=argument)
    assert expected is space.catalog.replay
    assert expected is isinstance(space.catalog.llm("sim/careful"), Unasked)
    space.close()


def test_another_word_in_the_environment_is_an_error(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BMAD_REPLAY=maybe is refused: a slip must not let calls leave the machine."""
    monkeypatch.setenv("BMAD_REPLAY", "maybe")
    with pytest.raises(SettingsError, match="BMAD_REPLAY is 'maybe'"):
        Workspace()


def test_one_call_cannot_leave_a_workspace_in_replay_mode(project: Path) -> None:
    """`replay=False` of one call does not undo the mode of its workspace."""
    space = Workspace(replay=True)
    with pytest.raises(NotRecorded):
        space.ask("What is 1 + 2?", "sim/careful", replay=False)
    space.close()


def test_a_paused_run_is_left_alone(space: Workspace) -> None:
    """A replay takes up no stopped run: the next real one goes on with it."""
    with pytest.raises(Exception, match="paused"):
        space.compare("Count {{ n }}", "sim/careful", over=[{"n": 1}, {"n": 2}], budget_usd=0)
    paused = space.store.runs()[-1]
    with pytest.raises(RunFailed):
        space.compare("Count {{ n }}", "sim/careful", over=[{"n": 1}, {"n": 2}], replay=True)
    assert "paused" == space.store.run(paused.run_id).status
    again = space.compare("Count {{ n }}", "sim/careful", over=[{"n": 1}, {"n": 2}])
    assert paused.run_id == again.id


# --- workflows ------------------------------------------------------------------------------------


def test_a_workflow_is_replayed(space: Workspace, provider: FakeProvider) -> None:
    """What was run once gives equal outputs without a call, tasks that refresh among it."""
    first = space.run("pipe.yaml")
    sent = requests(provider)
    again = space.run("pipe.yaml", replay=True)
    assert first.outputs == again.outputs
    assert (0, 0) == (requests(provider) - sent, again.cost_usd)
    calls = space.store.calls(again.run.run_id)
    assert len(calls) == len(space.store.calls(first.run.run_id)) >= 3
    assert all(call.from_store for call in calls)


def test_a_changed_task_of_a_replay_fails_clearly(space: Workspace, provider: FakeProvider) -> None:
    """A task without a stored answer fails with NotRecorded, at once, and resume can replay too."""
    space.run("pipe.yaml")
    sent = requests(provider)
    Path("pipe.yaml").write_text(PIPE.replace("Then {{ a }}", "And then {{ a }}"))
    with pytest.raises(
        RunFailed, match="b: sim/careful has no stored answer to 'And then"
    ) as caught:
        space.run("pipe.yaml", replay=True)
    with pytest.raises(RunFailed, match="no stored answer"):
        space.resume(caught.value.run_id, replay=True)
    assert "completed" == space.resume(caught.value.run_id).run.status
    assert sent == requests(provider)


def test_a_replay_keeps_the_llms_of_then(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that came since the run does not make a router choose another LLM in its replay."""
    price = {"input_usd_per_mtok": 9, "output_usd_per_mtok": 9}
    space = Workspace({"prices": {"own/mine": price}})
    space.add_llm("mine", lambda messages: "own")
    flow = parse.loads(ROUTED)
    first = space.run(flow)
    assert {"a": "own"} == first.outputs
    monkeypatch.setenv(KEY_NAME, KEY)
    step = space.plan(flow, replay=True).plan.steps[0]
    assert step.assignment is not None
    assert "fake/small" == step.assignment.llm  # which has no answer
    assert first.outputs == space.run(flow, replay=True).outputs
    space.close()


# --- in a process ---------------------------------------------------------------------------------

CHILD = """
import sys
def hook(event, args):
    if event.startswith("socket.connect") or event in {"socket.getaddrinfo", "subprocess.Popen"}:
        print("CONTACT", event, args, file=sys.stderr, flush=True)
        raise RuntimeError(event)
sys.addaudithook(hook)
from bmad_nb import Workspace
from bmad_nb import parse
from bmad_nb.errors import NotRecorded
space = Workspace(replay=%s)
said = []
for prompt, llm in (("Hello", "fake/small"), ("Other", "fake/small"), ("Other", "local"), ("Q", "recorded/old")):
    try:
        said.append(space.ask(prompt, llm).rows[0].text)
    except Exception as error:
        said.append(type(error).__name__)
space.close()
heavy = [m for m in ("httpx", "httpx_aiohttp", "aiohttp", "xllamacpp", "genai_prices") if m in sys.modules]
import json
print(json.dumps([said, heavy]))
"""


def child(folder: Path, *, replay: bool, **env: str) -> tuple[list[Any], str]:
    """Ask in a process that refuses connections and child processes."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD % replay], cwd=folder, capture_output=True, text=True,
        timeout=120, env=clean_environment(folder / "home", **env),
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_replay_opens_no_connection(
    space: Workspace, folder: Path, provider: FakeProvider
) -> None:
    """Without a key, in a process where every connection is refused, none is tried or prepared."""
    answer = space.ask("Hello", "fake/small").rows[0].text
    (said, heavy), errors = child(folder, replay=True)
    assert [answer, "NotRecorded", "NotRecorded", "A"] == said
    assert [] == heavy
    assert "CONTACT" not in errors
    assert 1 == requests(provider)


def test_the_guard_of_that_process_sees_contacts(space: Workspace, folder: Path) -> None:
    """Planted: without replay, and with the key, the attempt to connect is seen and refused."""
    (_, heavy), errors = child(folder, replay=False, **{KEY_NAME: KEY})
    assert "CONTACT socket.connect" in errors
    assert "httpx" in heavy


# --- in the faces ---------------------------------------------------------------------------------


def test_a_cell_is_replayed(folder: Path, tmp_path: Path, provider: FakeProvider) -> None:
    """`%%bmad ask --replay` gives the stored answer, and a clear error for a changed prompt."""
    with Kernel(folder, tmp_path / "home", {KEY_NAME: KEY}) as kernel:
        kernel.execute("%load_ext bmad_nb")
        first = kernel.execute("%%bmad ask -m fake/small -o a\nSay [answer: yes]")
        assert "ok" == first.status, first.text
        again = kernel.execute("%%bmad ask -m fake/small --replay -o b\nSay [answer: yes]")
        assert "ok" == again.status, again.text
        assert "True" == kernel.value("a.text == b.text and b.rows[0].from_store")
        changed = kernel.execute("%%bmad ask -m fake/small --replay\nSay [answer: no]")
        assert ("error", "NotRecorded") == (changed.status, changed.ename)
        assert "fake/small has no stored answer to 'Say [answer: no]'" in changed.text
        line = kernel.execute("%bmad run pipe.yaml --replay")
        assert "RunFailed" == line.ename, line.text
        assert "no stored answer" in line.text
    assert 1 == requests(provider)


def test_the_shell_replays(folder: Path, provider: FakeProvider) -> None:
    """`--replay` of ask, compare, run, execute and resume, and BMAD_REPLAY=1, make no call."""
    bmad(folder, "ask", "-m", "fake/small", "Hello")
    first = data(bmad(folder, "run", "pipe.yaml", "--json"))
    sent = requests(provider)
    bare = {KEY_NAME: ""}
    again = data(bmad(folder, "run", "pipe.yaml", "--json", "--replay", **bare))
    assert first["outputs"] == again["outputs"]
    words = ("workflow", "execute", "--definition", "pipe.yaml", "--json")
    assert first["outputs"] == data(bmad(folder, *words, "--replay", **bare))["outputs"]
    assert first["outputs"] == data(bmad(folder, *words, BMAD_REPLAY="1", **bare))["outputs"]
    shown = data(
        bmad(
            folder,
            "compare",
            "-m",
            "fake/small,recorded/old",
            "--replay",
            "--json",
            "Hello",
            **bare,
        )
    )
    assert ["answered", "failed"] == [row["state"] for row in shown["rows"]]
    Path("pipe.yaml").write_text(PIPE.replace("Numbers", "Other numbers"))
    failed = bmad(folder, "run", "pipe.yaml", "--replay", **bare)
    assert (1, True) == (failed.returncode, "no stored answer to 'Other numbers" in failed.stderr)
    run_id = data(bmad(folder, "runs", "--json"))[0]["run_id"]
    for verb in (("resume", run_id), ("workflow", "resume", run_id)):
        stopped = bmad(folder, *verb, "--replay", **bare)
        assert (1, True) == (stopped.returncode, "no stored answer" in stopped.stderr)
    refused = bmad(folder, "ask", "-m", "fake/small", "Other", BMAD_REPLAY="1", **bare)
    assert (1, True) == (refused.returncode, refused.stderr.startswith("NotRecorded: fake/small"))
    assert sent == requests(provider)


def test_models_says_what_answers(folder: Path) -> None:
    """`models` has recorded answers with their kind; in replay mode it says what others can do."""
    rows = {row["llm"]: row for row in data(bmad(folder, "models", "--json"))}
    assert ("recorded", "yes", "recorded") == tuple(
        rows["recorded/old"][name] for name in ("kind", "ready", "price_source")
    )
    assert ("simulated", "embedded", "hosted") == tuple(
        rows[name]["kind"] for name in ("sim/careful", "local/smollm2-135m", "fake/small")
    )
    rows = {r["llm"]: r for r in data(bmad(folder, "models", "--json", BMAD_REPLAY="1"))}
    assert "yes" == rows["recorded/old"]["ready"]
    assert "replay: stored answers only" == rows["fake/small"]["ready"]


def test_recorded_ids_complete(folder: Path) -> None:
    """Tables complete, the newest runs do, and behind a run its LLMs."""
    run_id = default_workspace().ask("What is 1 + 2?", "sim/careful").id
    assert ["recorded/old"] == completion.complete(" ask -m rec", {})[1]
    both = ["recorded/old", f"recorded/run-{run_id}/"]
    assert both == completion.complete(" ask -m recorded/", {})[1]
    whole = [f"recorded/run-{run_id}/sim/careful"]
    assert whole == completion.complete(f" ask -m sim/hasty,recorded/run-{run_id}/", {})[1]
    assert [] == completion.complete(" ask -m recorded/zz", {})[1]
    assert "--replay" in completion.complete(" resume --re", {})[1]
    default_workspace().close()


def test_a_definition_that_lacks_more_than_a_key_is_not_run(space: Workspace) -> None:
    """Replay forgives keys only: an LLM that nobody knows is still missing."""
    Path("pipe.yaml").write_text(PIPE.replace("fake/small", "fake/smal"))
    with pytest.raises(NotRunnable, match="fake/smal"):
        space.run("pipe.yaml", replay=True)
