"""kill -9 in the middle of workflows: no stored answer is lost, none is asked for again.

Runs are killed at each commit to the store, and at random moments with calls in flight.
`measure(kills, ...)` is also what the benchmark calls, with a higher number. Requests are counted
at a server in a process of its own. Children are forked from a process that has imported
everything and started nothing; what they were told is durable, they write to a file besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import pytest

from bmad_nb.errors import RunBusy, UsageProblem
from bmad_nb.events import CallEnded, TaskEnded
from bmad_nb.runs.run import Run
from bmad_nb.store.journal import Store
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProviderProcess
from tests.kernel import clean_environment

KILLS = int(os.environ.get("BMAD_TEST_KILLS", "40"))
FEW = 10
"""Kills that every run of the tests makes."""
KILLS_PER_ROUND = 3
AT_ONCE = 8
FLOWS = Path(__file__).parent / "data" / "runnable"
NAMES = sorted(
    {path.stem for path in FLOWS.glob("*.yaml")} - {"garnish"}
)  # that is a part of feast
LONG = {"storm", "feast", "panel", "council"}
"""Those with so many commits that all of them take long."""
PLACES = ("before", "committed", "told")
"""Where the n-th transaction is broken off: not begun; durable, but nobody knows; told."""
BROKEN: dict[str, tuple[type, ...]] = {
    "": (),
    "answers": (CallEnded,),
    "outcomes": (CallEnded, TaskEnded),
}
"""Events that a store which is broken on purpose does not write, although it says so."""
Json = dict[str, Any]


def named(model: str, turns: Iterable[tuple[str, str]]) -> str:
    """Return the name of a request: the model and the messages, as the server gets them."""
    return json.dumps([model, [list(turn) for turn in turns]])


def models(median_s: float) -> Json:
    """Return the fake provider's configuration; answers take about `median_s` seconds."""
    latency = {"latency_s": {"median": median_s, "sigma": 0.35}}
    return {
        "models": {
            "clerk": latency,
            "poet": latency,
            "shaky": {**latency, "faults": ["503"]},
            "gone": {"fault_rates": {"503": 1.0}},
        }
    }


# --- in the children ------------------------------------------------------------------------------


def serve() -> None:
    """Fork a child for each line `start`, and say how it ended for each line `wait`."""
    import aiohttp  # noqa: F401  (imported once here, and not by each child)
    import httpx_aiohttp  # noqa: F401

    from bmad_nb import _loop
    from bmad_nb.llms import hosted  # noqa: F401

    for line in sys.stdin:
        verb, job = json.loads(line)
        if verb == "start":
            assert _loop._engine is None
            assert threading.active_count() == 1
            pid = os.fork()
            if not pid:
                _child(job)
            print(pid, flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]), flush=True)


def _child(job: Json) -> NoReturn:
    """Do a job in a fork; its result is a file, and so is what went wrong."""
    code = 1
    signal.alarm(60)  # so that none outlives its test
    try:
        os.chdir(job["folder"])
        nowhere, errors = os.open(os.devnull, os.O_RDWR), os.open("err", os.O_WRONLY | os.O_CREAT)
        for old, new in ((nowhere, 0), (nowhere, 1), (errors, 2)):
            os.dup2(old, new)
        Path(job["out"]).write_text(json.dumps(_work(job)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _work(job: Json) -> Json:
    """Run a workflow or go on with it, and return what the workspace then says of the run."""
    commits = _watched(job)
    began_s = time.monotonic()
    ws = Workspace(config=job["config"])
    said: Json = {"error": "", "shown": ""}
    try:
        if job["how"] == "run":
            run_id = ws.run(FLOWS / f"{job['flow']}.yaml", allow_python=True).id
        else:
            found = ws.store.runs()[-1]
            run_id, said["shown"] = found.run_id, found.status
            _resume(ws, run_id, job)
    except (RunBusy, UsageProblem) as error:
        said["error"] = type(error).__name__
        run_id = ws.store.runs()[-1].run_id
    said["reopen_s"] = commits[0] - began_s if commits else None
    said |= _said_of(Run(ws.store, run_id), ws.store)
    ws.close()
    return said


def _resume(ws: Workspace, run_id: str, job: Json) -> None:
    """Go on with a run; one of two racers looks at it before the common start, or after it."""
    execution = ws.resumption(run_id) if job.get("early") else None
    time.sleep(max(0.0, job.get("at_s", 0) - time.time()))
    if execution is None:
        ws.resume(run_id)
    else:
        ws.go(execution)


def _said_of(run: Run, store: Store) -> Json:
    tasks = {
        name: [
            t.state,
            t.value,
            t.llm,
            t.rung,
            t.degraded,
            t.skipped_because,
            run._texts().get(name),
        ]
        for name, t in sorted(run.state.tasks.items())
    }
    seqs = [stamped.seq for stamped in store.events(run.id)]
    return {"run_id": run.id, "status": run.status, "outputs": dict(run.outputs), "tasks": tasks, "seqs": seqs}  # fmt: skip


def _watched(job: Json) -> list[float]:
    """Wrap the store: it kills at a commit, and writes down what it promised; return its times."""
    commit, write, transact, apply = Store.commit, Store._write, Store._transact, Store._apply
    at, place, dropped = job.get("at", 0), job.get("place"), BROKEN[job.get("broken", "")]
    promises = os.open(job["out"] + ".promised", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    times: list[float] = []
    begun = 0

    async def promising(self: Store, *events: Any) -> None:
        await commit(self, *events)
        for event in events:
            if isinstance(event, CallEnded) and event.call.state == "answered":
                call = event.call
                name = named(call.model, ((m.role, m.text) for m in call.messages))
                line = json.dumps([call.call_id, name, call.text]) + "\n"
                os.write(promises, line.encode())

    def transacting(self: Store, *args: Any) -> None:
        nonlocal begun
        begun += 1
        _die_if(begun == at and place == "before")
        transact(self, *args)
        times.append(time.monotonic())
        _die_if(begun == at and place == "committed")

    def writing(self: Store, batch: Any) -> None:
        write(self, batch)
        if begun == at and place == "told":  # behind the waiters, which are on the loop by now
            asyncio.get_running_loop().call_soon(_die_if, True)

    def applying(self: Store, writer: Any, event: Any, touched: Any, when: str) -> None:
        if not isinstance(event, dropped):
            apply(self, writer, event, touched, when)

    Store.commit, Store._transact = promising, transacting
    Store._write, Store._apply = writing, applying
    return times


def _die_if(due: bool) -> None:
    if due:
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()


# --- what is seen from outside --------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class Seen:
    """The store's file with its one run, as a process left it."""

    run_id: str = ""
    status: str = ""
    """As it is written: a killed run says running."""
    fence: int = 0
    events: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    answers: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    """Name of the request, and text, by call."""
    sent: Counter[str] = dataclasses.field(default_factory=Counter)
    """Calls by the name of the request, those that were answered from the store left out."""
    made: Counter[str] = dataclasses.field(default_factory=Counter)
    """Those of them that were answered."""
    in_flight: dict[str, str] = dataclasses.field(default_factory=dict)
    """Name of the request by call."""
    lost: dict[str, str] = dataclasses.field(default_factory=dict)
    sound: bool = True


def look(folder: Path) -> Seen:
    """Read a copy of the store, so that the next process finds it just as it was left."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in (folder / ".bmad").glob("bmad.db*"):
        if path.suffix != ".lock":
            shutil.copy(path, copy / path.name)
    with contextlib.closing(sqlite3.connect(copy / "bmad.db")) as connection:
        if not connection.execute("PRAGMA table_info(runs)").fetchall():
            return Seen()
        return _seen(connection)


def _seen(connection: sqlite3.Connection) -> Seen:
    seen = Seen(sound=connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    runs = connection.execute("SELECT run_id, status, fence FROM runs").fetchall()
    assert len(runs) < 2, "An interrupted run goes on; nobody begins a second one."
    if runs:
        seen.run_id, seen.status, seen.fence = runs[0]
    seen.events = connection.execute("SELECT * FROM events ORDER BY id").fetchall()
    calls = connection.execute(
        "SELECT call_id, state, from_store, model, asked.body, said.body FROM calls "
        "JOIN texts AS asked ON asked.hash = messages LEFT JOIN texts AS said ON said.hash = text"
    )
    for call_id, state, from_store, model, asked, text in calls:
        name = named(model, json.loads(asked[1:]))
        seen.sent[name] += not from_store
        if state == "answered":
            seen.answers[call_id] = (name, json.loads(text[1:]))
            seen.made[name] += not from_store
        elif state == "in_flight":
            seen.in_flight[call_id] = name
        elif state == "lost":
            seen.lost[call_id] = name
    return seen


@dataclasses.dataclass(slots=True)
class Measured:
    """What was counted over all kills."""

    kills: int = 0
    """Kills with calls in flight; others do not count."""
    rounds: int = 0
    """Runs, each of them killed and then finished."""
    stored: int = 0
    """Answers that were in the store, or said to be, at a kill; summed over the kills."""
    lost: int = 0
    """Of these, the ones that were not there later, or had another text."""
    sent_again: int = 0
    """Requests that came although they had been answered before."""
    in_flight: int = 0
    """Calls that were in flight at a kill, summed."""
    resent: int = 0
    """Requests beyond the calls whose outcome is known."""
    rewritten: int = 0
    """Kills after which an event that was stored before was changed or gone."""
    damaged: int = 0
    """Stores that failed SQLite's integrity check."""
    places: list[float] = dataclasses.field(default_factory=list)
    """Share of a run's calls that was answered at each kill."""
    reopen_s: list[float] = dataclasses.field(default_factory=list)
    """Seconds from opening the workspace until the run was taken up durably."""
    seconds: float = 0.0

    @property
    def faults(self) -> tuple[int, ...]:
        """The counts that must be zero."""
        return (self.lost, self.sent_again, self.rewritten, self.damaged)


@dataclasses.dataclass(slots=True)
class Killed:
    """A kill: the store that it left, what had been promised, and what the server had received."""

    seen: Seen
    promised: dict[str, tuple[str, str]]
    received: Counter[str]


def compare(total: Measured, killed: Killed, later: Seen, received: Counter[str]) -> None:
    """Count what was lost, changed, or asked for again since a kill."""
    kept = {**killed.promised, **killed.seen.answers}
    total.stored += len(kept)
    total.lost += sum(later.answers.get(call_id) != answer for call_id, answer in kept.items())
    names = {name for name, _ in kept.values()}
    total.sent_again += sum(received[name] - killed.received[name] for name in names)
    total.in_flight += len(killed.seen.in_flight)
    before = killed.seen.events
    total.rewritten += later.events[: len(before)] != before
    total.damaged += not later.sound


def defects(
    unkilled: Json, final: Json, kills: Sequence[Killed], end: Seen, received: Counter[str]
) -> list[str]:
    """Return what is wrong with a run that was killed and then finished."""
    last = kills[-1].seen
    was_over = last.status == "completed"
    known = {call: name for each in kills for call, name in each.seen.in_flight.items()}
    started = sum(kind == "run_started" for _, _, kind, _ in end.events)
    rows = (json.loads(payload) for _, _, kind, payload in end.events if kind == "task_ended")
    done = Counter(row["task"] for row in rows if row["state"] == "done")
    holds = {
        "status": final["status"] == "completed" == end.status,
        "shown": final["shown"] in ({"completed"} if was_over else {"", "interrupted"}),
        "error": final["error"] == ("UsageProblem" if was_over else ""),
        "same run": end.run_id == final["run_id"] and last.run_id in {"", end.run_id},
        "outputs": final["outputs"] == unkilled["outputs"],
        "tasks": final["tasks"] == unkilled["tasks"],
        "no gap": final["seqs"] == list(range(1, len(end.events) + 1)),
        "fence": end.fence == started == last.fence + (not was_over),
        "written down before it is sent": received <= end.sent,
        "answered once": all(count == 1 for count in end.made.values()),
        "done once": all(count == 1 for count in done.values()),
        "lost is what was in flight": end.lost == known,
        "few in flight": all(len(each.seen.in_flight) <= AT_ONCE for each in kills),
        "nothing in flight": not end.in_flight,
    }
    return [name for name, held in holds.items() if not held]


# --- the stage ------------------------------------------------------------------------------------


class Stage:
    """A fake provider, a process that forks children, and folders for their stores.

    Args:
        folder: where all files go.
        median_s: seconds that an answer takes.
    """

    def __init__(self, folder: Path, median_s: float) -> None:
        """Start nothing yet."""
        self._folder, self._stack = folder, contextlib.ExitStack()
        self.provider = FakeProviderProcess(models(median_s))
        self._folders = 0
        self._unkilled: dict[str, tuple[Json, int]] = {}

    def __enter__(self) -> Self:
        """Start both processes."""
        self._stack.enter_context(self.provider)
        self._server = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", "from tests.test_workflow_kill import serve; serve()"],
                env=clean_environment(self._folder / "home"),
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop both: each ends when its standard input closes."""
        self._stack.close()

    def folder(self) -> Path:
        """Return a new folder for a store, and set the server's counters to zero."""
        self.provider.reset()
        self._folders += 1
        folder = self._folder / str(self._folders)
        folder.mkdir()
        return folder

    def start(self, folder: Path, flow: str, how: str, **more: Any) -> tuple[int, Path]:
        """Start a child; return its pid, and where its result will be."""
        out = folder / f"out{len(list(folder.glob('*.promised')))}"
        endpoint = {"base_url": self.provider.url, "models": ["clerk", "poet", "shaky", "gone"]}
        config = {"endpoints": {"fake": endpoint}, "engine": {"max_concurrent_tasks": AT_ONCE}}
        job = {"folder": str(folder), "flow": flow, "how": how, "out": str(out), "config": config}
        Path(f"{out}.promised").touch()
        return self._ask("start", {**job, **more}), out

    def wait(self, pid: int) -> int:
        """Return the exit code of a child once it has ended; negative is a signal."""
        return self._ask("wait", pid)

    def finished(self, pid: int, out: Path) -> Json:
        """Return what a child says, which must not have been killed."""
        found = self.ended(pid, out)
        assert isinstance(found, dict), "The child was killed."
        return found

    def ended(self, pid: int, out: Path) -> Json | Killed:
        """Return what a child says, or what it left if it was killed."""
        code = self.wait(pid)
        if code == 0:
            said: Json = json.loads(out.read_text())
            return said
        assert code == -signal.SIGKILL, (out.parent / "err").read_text()
        self.provider.wait_until(in_flight=0)
        lines = Path(f"{out}.promised").read_text().splitlines()
        promised = {call_id: (name, text) for call_id, name, text in map(json.loads, lines)}
        return Killed(look(out.parent), promised, self.received())

    def go_on(self, folder: Path, flow: str, how: str) -> Json:
        """Finish a run in a new process."""
        return self.finished(*self.start(folder, flow, how))

    def unkilled(self, flow: str) -> tuple[Json, int]:
        """Return what a run says that nobody kills, and how many calls it makes."""
        if flow not in self._unkilled:
            said = self.go_on(self.folder(), flow, "run")
            self._unkilled[flow] = said, self.received().total()
        return self._unkilled[flow]

    def received(self) -> Counter[str]:
        """Count the requests that came, by their bodies."""
        bodies = [json.loads(each["body"]) for each in self.provider.requests()]
        return Counter(
            named(body["model"], ((m["role"], m["content"]) for m in body["messages"]))
            for body in bodies
        )

    def _ask(self, verb: str, job: Any) -> int:
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps([verb, job]) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


def how_to_go_on(seen: Seen, turn: int) -> str:
    """Return the verb of the next process: both by turns, where there is a choice."""
    if not seen.run_id:
        return "run"
    return "resume" if seen.status == "completed" or turn % 2 else "run"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Give a stage whose provider answers within milliseconds."""
    with Stage(tmp_path_factory.mktemp("stage"), median_s=0.004) as stage:
        yield stage


def finish(
    total: Measured,
    stage: Stage,
    folder: Path,
    flow: str,
    *,
    kills: Sequence[Killed],
    final: Json | None,
) -> None:
    """Let a run end that was killed, add to the counts, and assert that all is as it should be."""
    last = kills[-1].seen
    final = final or stage.go_on(folder, flow, how_to_go_on(last, total.rounds))
    end, received = look(folder), stage.received()
    for killed, later in itertools.pairwise(kills):
        compare(total, killed, later.seen, later.received)
    compare(total, kills[-1], end, received)
    ended = end.sent - Counter(end.lost.values())
    total.resent += (received - ended).total()
    flying = [each.seen for each in kills if each.seen.in_flight]
    total.kills += len(flying)
    total.places += [len(seen.made) / len(end.made) for seen in flying]
    total.reopen_s += [final["reopen_s"]] if final["reopen_s"] is not None else []
    total.rounds += 1
    unkilled, _ = stage.unkilled(flow)
    found = defects(unkilled, final, kills, end, received)
    assert [] == found, f"{flow}, killed behind {[len(each.seen.events) for each in kills]} events"
    shutil.rmtree(folder)


# --- at each commit -------------------------------------------------------------------------------


def kill_at(
    stage: Stage, flow: str, at: int, place: str, broken: str = ""
) -> tuple[Path, Json | Killed]:
    """Run a workflow that kills itself at a commit; it ends well if it has fewer commits."""
    folder = stage.folder()
    child = stage.start(folder, flow, "run", at=at, place=place, broken=broken)
    return folder, stage.ended(*child)


def sweep(stage: Stage, flow: str, every: int) -> Measured:
    """Kill a workflow at each commit, in every so-manieth of the three places; finish and check.

    Every other time the process that goes on is killed too, at its first commit.
    """
    stage.unkilled(flow)
    total = Measured()
    for turn in itertools.count():
        at, place = turn // 3 + 1, PLACES[turn % 3]
        if (at + turn) % every:
            continue
        folder, found = kill_at(stage, flow, at, place)
        if isinstance(found, dict):
            break
        kills, final = [found], None
        if total.rounds % 2:
            how, place = how_to_go_on(found.seen, turn), PLACES[total.rounds // 2 % 3]
            again = stage.ended(*stage.start(folder, flow, how, at=1, place=place))
            if isinstance(again, Killed):
                kills.append(again)
            else:
                final = again
        finish(total, stage, folder, flow, kills=kills, final=final)
    return total


def _check_sweep(stage: Stage, flow: str, every: int) -> None:
    found = sweep(stage, flow, every)
    print(flow, found)
    assert found.rounds >= 24 // every
    assert found.stored > 0 < found.in_flight
    assert found.faults == (0, 0, 0, 0)
    assert found.resent <= found.in_flight


@pytest.mark.parametrize(
    "flow", [pytest.param(n, marks=[pytest.mark.long] * (n in LONG)) for n in NAMES]
)
def test_a_kill_at_any_commit_loses_and_repeats_nothing(stage: Stage, flow: str) -> None:
    """Killed at each commit, in one place of three, a run ends as if nobody had killed it."""
    _check_sweep(stage, flow, every=3)


@pytest.mark.long
@pytest.mark.parametrize("flow", NAMES)
def test_a_kill_before_within_and_behind_any_commit(stage: Stage, flow: str) -> None:
    """Killed at each commit, in each of three places, a run ends as if nobody had killed it."""
    _check_sweep(stage, flow, every=1)


# --- at random moments ----------------------------------------------------------------------------


def measure(kills: int, folder: Path, *, seed: int = 0) -> Measured:
    """Kill runs until so many kills have counted; each run is finished in the end."""
    chance = random.Random(seed)
    total = Measured()
    began_s = time.monotonic()
    with Stage(folder, median_s=0.04) as stage:
        while total.kills < kills:
            flow = NAMES[total.rounds % len(NAMES)]
            _round(total, stage, flow, chance, min(KILLS_PER_ROUND, kills - total.kills))
    total.seconds = time.monotonic() - began_s
    return total


def _round(total: Measured, stage: Stage, flow: str, chance: random.Random, kills: int) -> None:
    """Start one run, kill it at points spread over it, let it finish, and count."""
    _, calls = stage.unkilled(flow)
    folder = stage.folder()
    points = [int((part + chance.random()) / kills * calls) for part in range(kills)]
    left: list[Killed] = []
    how, final = "run", None
    for point in points:
        child = stage.start(folder, flow, how)
        _kill(stage, *child, point, delay_s=chance.random() * 0.05)
        found = stage.ended(*child)
        if isinstance(found, dict):
            final = found
            break
        left.append(found)
        how = how_to_go_on(found.seen, chance.randrange(2))
    if left:
        finish(total, stage, folder, flow, kills=left, final=final)
    else:
        total.rounds += 1


def _kill(stage: Stage, pid: int, out: Path, point: int, delay_s: float) -> None:
    """Kill a child with calls in flight, once the server has replied so often; it may end first."""
    due_s: float | None = None
    until_s = time.monotonic() + 60
    while not out.exists() and time.monotonic() < until_s:
        counts = stage.provider.counts()
        if due_s is None and counts["sent"] + counts["failed"] >= point and counts["in_flight"]:
            due_s = time.monotonic() + delay_s
        if due_s is not None and time.monotonic() >= due_s and counts["in_flight"]:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.002)


@pytest.mark.parametrize("kills", [FEW, pytest.param(KILLS, marks=pytest.mark.long)])
def test_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path, kills: int) -> None:
    """After kills with calls in flight, no stored answer is lost or asked for again, ever."""
    found = measure(kills, tmp_path)
    print(dataclasses.replace(found, places=[], reopen_s=[]))
    print("answered at the kills:", " ".join(f"{place:.2f}" for place in sorted(found.places)))
    assert found.kills >= kills
    assert found.stored > 0
    assert found.faults == (0, 0, 0, 0)
    assert found.resent <= found.in_flight
    assert kills == FEW or min(found.places) < 0.2
    assert kills == FEW or max(found.places) > 0.8


# --- two processes --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(10))
def test_of_two_resumers_one_wins(stage: Stage, number: int) -> None:
    """Two processes resume one run at the same moment: one does it, and no call is made twice."""
    unkilled, _ = stage.unkilled("trees")
    folder, killed = kill_at(stage, "trees", at=2 + number // 2, place="told")
    assert isinstance(killed, Killed)
    stage.provider.reset()
    start = {"at_s": time.time() + 0.15, "early": number % 2 == 0}
    racers = [stage.start(folder, "trees", "resume", **start) for _ in range(2)]
    said = sorted((stage.finished(*racer) for racer in racers), key=lambda each: each["error"])
    end, received = look(folder), stage.received()
    assert said[0]["error"] == ""
    assert said[1]["error"] in ({"RunBusy"} if start["early"] else {"RunBusy", "UsageProblem"})
    assert (unkilled["outputs"], unkilled["tasks"]) == (said[0]["outputs"], said[0]["tasks"])
    assert max(received.values()) == 1
    assert ("completed", killed.seen.fence + 1) == (end.status, end.fence)
    assert 2 == sum(kind == "run_started" for _, _, kind, _ in end.events)


def test_a_process_whose_run_was_taken_over_stops(tmp_path: Path) -> None:
    """A process that slept while another took its run up raises RunBusy, sends and writes nothing."""
    with Stage(tmp_path, median_s=0.15) as stage:
        unkilled, _ = stage.unkilled("parcel")
        folder = stage.folder()
        pid, out = stage.start(folder, "parcel", "run")
        try:
            _stop_in_flight(stage, pid, folder)
            before = look(folder)
            for owner in (folder / ".bmad" / "owners").iterdir():
                owner.unlink()
            final = stage.go_on(folder, "parcel", "resume")
            after, received = look(folder), stage.received()
            os.kill(pid, signal.SIGCONT)
            late = stage.finished(pid, out)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert ("interrupted", "", "completed") == (final["shown"], final["error"], final["status"])
        assert (unkilled["outputs"], unkilled["tasks"]) == (final["outputs"], final["tasks"])
        assert "RunBusy" == late["error"]
        assert after == look(folder)
        assert received == stage.received()
        assert 1 == len(before.in_flight) == (received - after.made).total()
        assert before.fence + 1 == after.fence


def _stop_in_flight(stage: Stage, pid: int, folder: Path) -> None:
    """Stop a child that waits for its second answer, and that does not hold the store's lock."""
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        counts = stage.provider.counts()
        if counts["sent"] == 1 and counts["in_flight"]:
            os.kill(pid, signal.SIGSTOP)
            with (folder / ".bmad" / "bmad.db.lock").open() as lock, contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.002)
    raise AssertionError("The child was never seen waiting for an answer.")


# --- that the harness finds what it looks for -----------------------------------------------------


@pytest.mark.parametrize(("broken", "fault"), [("answers", "lost"), ("outcomes", "sent_again")])
def test_broken_durability_is_found(stage: Stage, broken: str, fault: str) -> None:
    """Planted: a store that drops answers, or whole outcomes, loses them or sends them again."""
    folder, killed = kill_at(stage, "parcel", at=8, place="told", broken=broken)
    assert isinstance(killed, Killed)
    stage.go_on(folder, "parcel", "run")
    total = Measured()
    compare(total, killed, look(folder), stage.received())
    assert 3 == total.stored
    assert 3 == getattr(total, fault)


def _tampered(final: Mapping[str, Any], end: Seen, received: Counter[str]) -> Iterator[tuple[str, Any, Any, Any]]:  # fmt: skip
    """Yield the name of each defect with a run that has it."""
    first = next(iter(received))
    rows = [dict(zip(("name", "final", "end", "received"), each, strict=True)) for each in (
        ("status", {"status": "failed"}, {}, ()),
        ("shown", {"shown": "running"}, {}, ()),
        ("error", {"error": "RunBusy"}, {}, ()),
        ("same run", {"run_id": "other"}, {}, ()),
        ("outputs", {"outputs": {}}, {}, ()),
        ("tasks", {"tasks": {**final["tasks"], "bill": ["failed"]}}, {}, ()),
        ("no gap", {"seqs": [*final["seqs"][:-1], 99]}, {}, ()),
        ("fence", {}, {"fence": end.fence - 1}, ()),
        ("written down before it is sent", {}, {}, [first] * 9),
        ("answered once", {}, {"made": end.made + Counter([first])}, ()),
        ("done once", {}, {"events": [*end.events[:-1], _done_of(end)]}, ()),
        ("lost is what was in flight", {}, {"lost": {"x": "y"}}, ()),
        ("nothing in flight", {}, {"in_flight": {"x": "y"}}, ()),
    )]  # fmt: skip
    for row in rows:
        yield row["name"], {**final, **row["final"]}, dataclasses.replace(end, **row["end"]), received + Counter(row["received"])  # fmt: skip


def _done_of(end: Seen) -> tuple[Any, ...]:
    return next(event for event in end.events if b'"state":"done"' in event[3])


def test_each_defect_of_a_run_is_found(stage: Stage) -> None:
    """Planted: a run with another status, output, task, event or call is not taken for a good one."""
    unkilled, _ = stage.unkilled("parcel")
    folder, killed = kill_at(stage, "parcel", at=6, place="committed")
    assert isinstance(killed, Killed)
    final = stage.go_on(folder, "parcel", "resume")
    end, received = look(folder), stage.received()
    assert [] == defects(unkilled, final, [killed], end, received)
    for name, *changed in _tampered(final, end, received):
        assert [name] == defects(unkilled, changed[0], [killed], changed[1], changed[2])
    crowd = dataclasses.replace(
        killed.seen, in_flight=dict.fromkeys(map(str, range(AT_ONCE + 1)), "k")
    )
    crowded = dataclasses.replace(killed, seen=crowd)
    assert "few in flight" in defects(unkilled, final, [crowded], end, received)
    total = Measured()
    compare(total, killed, dataclasses.replace(end, events=end.events[1:], sound=False), received)
    assert (0, 0, 1, 1) == total.faults
