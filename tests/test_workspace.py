"""Asking and comparing through the workspace: what is stored, what is paid, what is said."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from bmad_nb.errors import (
    AuthenticationFailed,
    BadAnswer,
    MissingInput,
    RunFailed,
    RunPaused,
    StoreError,
    UnknownName,
    UnknownRun,
    UsageProblem,
)
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.workspace import Workspace

PRICE = Price(Decimal(1000), Decimal(1000), source="test", as_of="2026-11-01")
"""A tenth of a cent a token, so that few calls spend a budget."""


class Counter:
    """An LLM that counts its calls and answers with the last message in capitals."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def __call__(self, messages):
        self.calls.append(messages[-1].text)
        return Completion(messages[-1].text.upper(), Usage(input_tokens=1, output_tokens=1))


@pytest.fixture
def counter(ws):
    """Add a counting LLM with a price as `own/counter`."""
    function = Counter()

    async def asked(messages):
        return await function(messages)

    ws.add_llm("counter", asked, price=PRICE)
    return function


def test_an_equal_request_is_answered_from_the_store(ws, counter):
    """The second time no call is made: it costs nothing, and what it cost is still known."""
    first = ws.ask("hello", "counter")
    second = ws.ask("hello", "counter")

    assert ["hello"] == counter.calls
    assert "HELLO" == str(second)
    assert Decimal("0.002") == first.cost_usd
    assert Decimal(0) == second.cost_usd
    assert Decimal("0.002") == second.rows[0].original_cost_usd
    assert second.rows[0].from_store


def test_another_parameter_or_sample_is_another_request(ws, counter):
    """Temperature, sample and system message each make a request of its own."""
    ws.compare("hello", "counter", samples=2, vary={"temperature": [0, 1]})
    ws.ask("hello", "counter", system="be brief")

    assert 5 == len(counter.calls)


def test_fresh_asks_anew(ws, counter):
    """With fresh=True a stored answer is not used."""
    ws.ask("hello", "counter")
    ws.ask("hello", "counter", fresh=True)

    assert 2 == len(counter.calls)


def test_equal_requests_of_one_run_are_sent_once(ws, counter):
    """Two cases with the same prompt share one call."""
    result = ws.compare("{{ word }}", "counter", over=[{"word": "a"}, {"word": "a"}])

    assert ["a"] == counter.calls
    assert ["A", "A"] == [row.text for row in result.rows]
    assert Decimal("0.002") == result.cost_usd


def test_over_fills_holes_and_scores_against_a_column(ws, counter):
    """Each row of a DataFrame is a case; its columns fill the prompt and hold the right answer."""
    cases = pd.DataFrame({"word": ["yes", "no"], "right": ["Yes.", "maybe"]}, index=["x", "y"])
    result = ws.compare("{{ word }}", "counter", over=cases, reference="right")

    assert ["x", "y"] == [row.case for row in result.rows]
    assert [1.0, 0.0] == [row.score for row in result.rows]
    assert ["exact", "exact"] == list(result.df["scorer"])


def test_a_hole_without_a_value_stops_before_anything_is_sent(ws, counter):
    """A missing column is a typed error with the nearest name, and no call is made."""
    with pytest.raises(MissingInput, match="Did you mean word"):
        ws.compare("{{ wrd }}", "counter", over=[{"word": "a"}])

    assert [] == counter.calls


def test_a_prompt_without_inputs_is_not_a_template(ws, counter):
    """Braces in a prompt from Python stand for themselves."""
    ws.ask("{{ not a hole }}", "counter")

    assert ["{{ not a hole }}"] == counter.calls


def test_a_failed_llm_keeps_the_others(ws, counter):
    """One LLM that fails has a row with its error; the others' answers are there."""

    def broken(messages):
        raise ValueError("no luck")

    ws.add_llm("broken", broken)
    result = ws.compare("hello", ["counter", "broken"])

    assert ["answered", "failed"] == [row.state for row in result.rows]
    assert "no luck" in result.rows[1].error
    assert "completed" == result.run.status


def test_a_failed_call_is_asked_again(ws):
    """An error is never served from the store."""
    answers = iter([ValueError("first"), "second"])

    def moody(messages):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    ws.add_llm("moody", moody)
    with pytest.raises(BadAnswer, match="first"):
        ws.ask("hello", "moody")

    assert "second" == str(ws.ask("hello", "moody"))


def test_no_answer_at_all_is_an_error_that_carries_the_rows(ws):
    """If every call failed the comparison raises, and the rows are on the error."""

    def broken(messages):
        raise ValueError("no luck")

    ws.add_llm("broken", broken)
    with pytest.raises(RunFailed, match="no luck") as caught:
        ws.compare("hello", ["broken"])

    assert ["failed"] == [row.state for row in caught.value.result.rows]
    assert "failed" == ws.store.run(caught.value.run_id).status


def test_a_budget_is_never_passed_and_a_raised_one_goes_on(ws, counter):
    """Money for three of six calls makes three; the same run then makes only the rest."""
    cases = [{"word": f"w{n}"} for n in range(6)]
    # worst case of a call: 34 bytes of prompt and frame and 2 tokens of answer, a tenth of a cent each
    options = {"over": cases, "max_tokens": 2}
    with pytest.raises(RunPaused, match="could cost") as caught:
        ws.compare("{{ word }}", "counter", **options, budget_usd=Decimal("0.041"))
    made = len(counter.calls)
    first = caught.value

    assert 0 < made < 6
    assert first.result.cost_usd <= Decimal("0.041")
    assert "limit" == ws.store.run(first.run_id).reason

    result = ws.compare("{{ word }}", "counter", **options, budget_usd="1")

    assert 6 == len(counter.calls)
    assert first.run_id == result.id
    assert Decimal("0.012") == result.cost_usd
    assert "completed" == ws.store.run(result.id).status


def test_what_a_paused_run_spent_counts_when_it_goes_on(ws, counter):
    """The same limit again allows no further call: the limit is a total, not a ration."""
    options = {"over": [{"word": f"w{n}"} for n in range(6)], "max_tokens": 2}
    for _ in range(2):
        with pytest.raises(RunPaused):
            ws.compare("{{ word }}", "counter", **options, budget_usd=Decimal("0.041"))

    spent = ws.calls()["cost_usd"].sum()
    assert spent <= 0.041


def test_a_workspace_budget_holds_over_all_its_runs(project, counter):
    """The limit of the workspace is shared by its runs."""
    space = Workspace(store=project / "other" / "b.db", budget_usd="0.04")
    space.catalog.add(counter_llm := _priced())
    space.ask("a", counter_llm.card.id, max_tokens=2)
    with pytest.raises(RunPaused):
        for n in range(9):
            space.ask(f"b{n}", counter_llm.card.id, max_tokens=2)

    assert space.calls()["cost_usd"].sum() <= 0.04
    space.close()


def _priced():
    from bmad_nb.llms.function import FunctionLLM

    async def answer(messages):
        return Completion("x", Usage(input_tokens=1, output_tokens=1))

    return FunctionLLM("own/priced", answer, price=PRICE)


def test_without_a_price_a_budget_refuses(ws):
    """An LLM whose price nobody knows is not asked under a budget."""
    ws.add_llm("free", lambda messages: "x")
    with pytest.raises(RunPaused, match="price of own/free is unknown"):
        ws.ask("hello", "free", budget_usd=1)


def test_simulated_money_stands_apart(ws):
    """What a simulated LLM costs is not in the cost of a run."""
    result = ws.ask("What is 2 + 2?", "hasty")

    assert Decimal(0) == result.cost_usd
    assert result.simulated_cost_usd > 0
    assert result.rows[0].simulated


def test_the_awaitable_forms_give_the_same(ws, counter):
    """aask and acompare work inside a running loop, and use the same store."""

    async def both():
        one = await ws.aask("hello", "counter")
        two = await ws.acompare("hello", ["counter"])
        return str(one), str(two)

    assert ("HELLO", "HELLO") == asyncio.run(both())
    assert ["hello"] == counter.calls


def test_a_blocking_call_inside_a_running_loop_works(ws, counter):
    """ask() can be called from a coroutine, as in a cell, without any patch."""

    async def cell():
        return str(ws.ask("hello", "counter"))

    assert "HELLO" == asyncio.run(cell())


@pytest.mark.parametrize(
    ("expected", "call"),
    [
        (UnknownName, lambda ws: ws.ask("x", "sim/carefull")),
        (UnknownName, lambda ws: ws.ask("x", "sim/careful?temprature=1")),
        (UnknownName, lambda ws: ws.ask("x", "sim/careful", temprature=1)),
        (UsageProblem, lambda ws: ws.ask("x", "sim/*")),
        (UsageProblem, lambda ws: ws.ask("x", "sim/careful", over=[{"a": 1}])),
        (UsageProblem, lambda ws: ws.ask("  ", "sim/careful")),
        (UsageProblem, lambda ws: ws.ask("x", "sim/careful", judge="sim/hasty")),
        (UsageProblem, lambda ws: ws.compare("x", "sim/careful", samples=0)),
        (UsageProblem, lambda ws: ws.compare("x", "sim/careful", over=[])),
        (UsageProblem, lambda ws: ws.compare("x", "sim/careful", budget_usd=-1)),
        (UsageProblem, lambda ws: ws.compare("x", "")),
        (UsageProblem, lambda ws: ws.add_llm("odd", 3)),
        (UnknownRun, lambda ws: ws.run_of("nothing")),
    ],
)
def test_wrong_use_is_one_typed_error(ws, expected, call):
    """Whatever is wrong with a call is said by one error of ours, and nothing is stored."""
    with pytest.raises(expected):
        call(ws)

    assert [] == ws.store.calls()


def test_a_missing_key_names_its_variable_and_contacts_nobody(ws):
    """Without OPENAI_API_KEY the error says so, and what works without a key."""
    with pytest.raises(AuthenticationFailed, match=r"OPENAI_API_KEY .* sim/careful"):
        ws.ask("hello", "openai/gpt-x")


def test_a_stored_run_can_be_shown_again(ws, counter):
    """run_of gives the rows of a run by the beginning of its id."""
    result = ws.compare("hello", ["counter", "sim/hasty"])
    again = ws.run_of(result.id[:6])

    assert [row.text for row in result.rows] == [row.text for row in again.rows]
    assert 1 == len(ws.runs())


KILLED = """
import os, signal, sys
from bmad_nb.workspace import Workspace

ws = Workspace(store=sys.argv[1])

def answer(messages):
    if messages[-1].text == "w3":
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"

ws.add_llm("mortal", answer)
ws.compare("{{ word }}", "mortal", over=[{"word": f"w{n}"} for n in range(6)])
"""


def test_a_run_of_a_killed_process_is_shown_as_interrupted_and_goes_on(project: Path):
    """After kill -9 the run is interrupted, its broken call may have been billed, and it goes on."""
    store = project / ".bmad" / "bmad.db"
    config = project / "bmad.toml"
    config.write_text("[engine]\nmax_concurrent_tasks = 1\n")
    script = project / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    done = subprocess.run([sys.executable, script, store], cwd=project, env=os.environ)

    assert -signal.SIGKILL == done.returncode

    space = Workspace(store=store)
    run = space.runs().iloc[0]
    assert "interrupted" == run["status"]
    assert 1 == run["maybe_billed"]
    assert ["answered"] * 3 + ["lost"] == list(space.calls()["state"])
    space.close()


FIRST_TIME = """
import os, signal, sys
from pathlib import Path
from bmad_nb.workspace import Workspace

ws = Workspace(store=sys.argv[1])
mark, log = Path(sys.argv[1]).with_name("mark"), Path(sys.argv[1]).with_name("log")

def answer(messages):
    with log.open("a") as file:
        file.write(messages[-1].text + " ")
    if messages[-1].text == "w3" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"

ws.add_llm("mortal", answer)
r = ws.compare("{{ word }}", "mortal", over=[{"word": f"w{n}"} for n in range(6)])
print(r.id, r.run.status, len(r.rows), [row.state for row in r.earlier], *r.notes)
"""


def test_a_run_of_a_dead_process_is_taken_up_again(project: Path):
    """The same cell after kill -9 goes on in the same run: only what has no answer is asked."""
    store = project / ".bmad" / "bmad.db"
    (project / "bmad.toml").write_text("[engine]\nmax_concurrent_tasks = 1\n")
    script = project / "cell.py"
    script.write_text(FIRST_TIME)
    command = [sys.executable, str(script), str(store)]
    assert -signal.SIGKILL == subprocess.run(command, cwd=project, timeout=60).returncode
    space = Workspace(store=store)
    (stopped,) = space.store.runs()
    second = subprocess.run(command, cwd=project, timeout=60, capture_output=True, text=True)

    assert second.stdout.startswith(f"{stopped.run_id} completed 6 ['lost']"), second.stderr
    assert "1 call was in flight when an earlier process was killed" in second.stdout
    assert ["w0", "w1", "w2", "w3", "w3", "w4", "w5"] == store.with_name("log").read_text().split()
    assert [("completed", 1)] == list(
        space.runs()[["status", "maybe_billed"]].itertuples(index=False, name=None)
    )
    space.close()


def test_the_order_of_a_comparison_is_cases_llms_settings_samples(ws, counter):
    """Rows stand in the order in which they were asked for, whatever the order of the answers."""
    result = ws.compare(
        "{{ word }}",
        ["counter", "sim/hasty"],
        over=[{"word": "a"}, {"word": "b"}],
        vary={"temperature": [0, 1]},
        samples=2,
    )
    places = [(row.case, row.llm, row.variant, row.sample) for row in result.rows]
    cases = list(dict.fromkeys(row.case for row in result.rows))

    assert 2 == len(cases)
    assert places == [
        (case, llm, f"temperature={value}", sample)
        for case in cases
        for llm in ("own/counter", "sim/hasty")
        for value in (0, 1)
        for sample in (0, 1)
    ]
    assert 16 == len(set(places))


def test_a_budget_holds_simulated_money_in_a_purse_of_its_own(project):
    """Simulated LLMs stop at the budget too, and spend nothing of the real one."""
    from bmad_nb.llms.simulated import FLEET, SimulatedLLM

    space = Workspace(store=project / ".bmad" / "b.db", budget_usd="0.0005")
    quick = dataclasses.replace(FLEET["careful"], latency_s=0)
    space.add_llm("sim/quick", SimulatedLLM(quick))
    with pytest.raises(RunPaused):
        for n in range(99):
            space.ask(f"{n} + 1", "sim/quick", max_tokens=64)
    frame = space.calls()

    assert 0 < frame["cost_usd"].sum() <= 0.0005
    assert set(frame["simulated"]) == {True}
    assert Decimal(0) == space.budgets[False].spent_usd
    space.close()


def test_two_comparisons_at_once_keep_their_rows_apart(ws, counter):
    """Two coroutines on one workspace each get their own run with their own rows."""

    async def both():
        return await asyncio.gather(
            ws.acompare("{{ w }}", "counter", over=[{"w": f"a{n}"} for n in range(20)]),
            ws.acompare("{{ w }}", "counter", over=[{"w": f"b{n}"} for n in range(20)]),
        )

    one, two = asyncio.run(both())

    assert [f"A{n}" for n in range(20)] == [row.text for row in one.rows]
    assert [f"B{n}" for n in range(20)] == [row.text for row in two.rows]
    assert one.id != two.id
    assert 40 == len(counter.calls)


def test_many_threads_can_ask_at_once(ws, counter):
    """Blocking calls from eight threads share the workspace and its store."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: str(ws.ask(f"t{n}", "counter")), range(40)))

    assert [f"T{n}" for n in range(40)] == answers
    assert 40 == len(ws.calls())


def test_an_object_of_the_protocol_is_an_llm(ws):
    """An object with card, complete and aclose is added under the name that it is given."""
    from bmad_nb.llms.simulated import FLEET, SimulatedLLM

    name = ws.add_llm("mine/fast", SimulatedLLM(FLEET["hasty"], truths={"colour": "blue"}))

    assert "mine/fast" == name
    assert "mine/fast" == ws.ask("Which colour?", name).rows[0].llm


def test_a_closed_workspace_can_be_used_again(ws, counter):
    """close gives back connections and the store; the next call opens them again."""
    ws.ask("hello", "counter")
    ws.close()
    ws.close()

    assert "HELLO" == str(ws.ask("hello", "counter"))
    assert ["hello"] == counter.calls


@pytest.mark.parametrize("options", [{"temperature": float("nan")}, {"seed": [1]}])
def test_a_parameter_that_is_no_value_is_a_typed_error(ws, counter, options):
    """NaN and lists are refused before anything is sent or stored."""
    with pytest.raises(UsageProblem):
        ws.ask("hello", "counter", **options)

    assert [] == counter.calls


def test_a_function_that_ends_the_process_ends_its_own_call_only(ws, counter):
    """sys.exit() in a function is a failed call, and the engine goes on."""

    async def leave(messages):
        sys.exit(3)

    ws.add_llm("leaver", leave)
    ws.add_llm("thread-leaver", lambda messages: sys.exit(3))
    result = ws.compare("hello", ["leaver", "thread-leaver", "counter"])

    assert ["failed", "failed", "answered"] == [row.state for row in result.rows]
    assert "SystemExit" in result.rows[0].error
    assert "HELLO" == str(ws.ask("hello", "counter"))


def test_usage_that_no_column_takes_is_an_error_and_no_hang(ws):
    """An LLM that reports an absurd number of tokens fails alone, and the engine goes on."""

    async def absurd(messages):
        return Completion("x", Usage(2**70, 1))

    ws.add_llm("absurd", absurd)
    with pytest.raises(BadAnswer, match="counts"):
        ws.ask("hello", "absurd")

    assert "answered" == ws.ask("What is 3 + 3?", "sim/calculator").rows[0].state


def test_wrong_settings_leave_no_trace_at_exit(project):
    """A workspace that could not be made is one error, also when the interpreter ends."""
    script = (
        "import bmad_nb\n"
        "try:\n    bmad_nb.Workspace({'engin': {}})\n"
        "except bmad_nb.BmadError as error:\n    kept = error\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ("refused\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize(
    "junk",
    [
        Completion("x", usage=None),
        Completion("x", Usage("a", "b")),
        Completion("x", Usage(1.5, 2.5)),
        Completion("x", Usage(-1_000_000, -1_000_000)),
        Completion("x", Usage(10**30, 10**30)),
        Completion("x", finish_reason=None),
        Completion(None),
        Completion(5),
        Completion("x", latency_s="x"),
        Completion("x", latency_s=float("nan")),
        None,
        7,
    ],
)
def test_junk_from_one_llm_is_one_failed_row(ws, counter, junk):
    """A return value that is no completion fails alone, costs nothing known, and is not stored."""

    async def junky(messages):
        return junk

    ws.add_llm("junky", junky, price=PRICE)
    result = ws.compare("hello", ["junky", "counter"], budget_usd=10)

    assert ["failed", "answered"] == [row.state for row in result.rows]
    assert "BadAnswer" == result.rows[0].error_kind
    assert "HELLO" in repr(result)


def test_a_cancellation_inside_a_function_stops_nobody_else(ws, counter):
    """A function that raises CancelledError fails alone: nobody has interrupted the run."""

    async def gone(messages):
        raise asyncio.CancelledError

    ws.add_llm("gone", gone)
    result = ws.compare("hello", ["gone", "counter"])

    assert ["failed", "answered"] == [row.state for row in result.rows]


def test_functions_that_carry_other_values_are_other_llms(ws):
    """Two functions of one source with different closures never share a stored answer."""

    def made(word):
        return lambda messages: word

    ws.add_llm("made", made("one"))
    first = str(ws.ask("q", "made"))
    ws.add_llm("made", made("two"))

    assert ("one", "two") == (first, str(ws.ask("q", "made")))


def test_a_passed_budget_is_said(ws):
    """If an LLM counts more tokens than its worst case, the result says that the limit was passed."""

    async def greedy(messages):
        return Completion("x", Usage(1_000_000, 1_000_000))

    ws.add_llm("greedy", greedy, price=Price(Decimal(1), Decimal(1), source="test"))
    result = ws.ask("hello", "greedy", budget_usd="0.01")

    assert any("budget was passed" in note for note in result.notes)


@pytest.mark.parametrize("name", ["bmad.db", "bmad.db.lock", ".gitignore", "owners"])
def test_a_link_that_came_with_a_clone_is_never_followed(project: Path, name):
    """A link in the store's folder leads to an error or is left alone; its target is untouched."""
    victim = project / "victim"
    victim.mkdir() if name == "owners" else victim.write_text("precious")
    folder = project / ".bmad"
    folder.mkdir()
    (folder / name).symlink_to(victim)
    space = Workspace(store=folder / "bmad.db")
    if name == ".gitignore":
        space.ask("What is 2 + 2?", "sim/hasty")
    else:
        with pytest.raises(StoreError):
            space.ask("What is 2 + 2?", "sim/hasty")

    assert [] == list(victim.iterdir()) if name == "owners" else "precious" == victim.read_text()
    space.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux to count descriptors")
def test_workspaces_that_nobody_closes_give_their_files_back(project: Path):
    """Thirty workspaces that were used and dropped leave no descriptors and no owner files."""
    import gc
    import time

    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    Workspace(store=project / "first" / "b.db").ask("What is 2 + 2?", "sim/hasty")
    before = files()
    for _ in range(30):
        Workspace(store=project / "s" / "b.db").ask("What is 2 + 2?", "sim/hasty")
    deadline = time.monotonic() + 20
    owners = project / "s" / "owners"
    while time.monotonic() < deadline and (files() > before or any(owners.iterdir())):
        gc.collect()
        time.sleep(0.02)

    assert files() <= before
    assert [] == list(owners.iterdir())
