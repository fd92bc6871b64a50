"""The run monitor in a real kernel: what a front end is sent, and what its messages do."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest

from bmad_nb.live.board import merged
from tests.kernel import MIME, Kernel

WIDGET = "application/vnd.jupyter.widget-view+json"
SETUP = """
%load_ext bmad_nb
from bmad_nb.llms.simulated import Persona, SimulatedLLM
from bmad_nb.workspace import default_workspace
ws = default_workspace()
skills = (("math", 0.9), ("facts", 0.9), ("classify", 0.9), ("general", 0.9))
ws.add_llm("own/slow", SimulatedLLM(Persona("slow", skills, "1.00", "4.00", 0.8)));
"""
FLOW = """%%bmad workflow steps
inputs: {n: {type: integer, default: 1}}
tasks:
  one: {prompt: "Shorten. Ice floats for {{ n }} days because it is light. Nobody knows why.", llm: own/slow}
  two: {prompt: "Shorten. {{ one.text }} It melts in spring. It is cold.", llm: own/slow}
  ok: {approve: {ask: "Go on?", options: [accept, stop], show: two.text}}
  three: {prompt: "Say {{ ok.choice }} to {{ two.text }}", llm: own/slow}
outputs: {end: three.text};
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Give a kernel in which a workflow is defined whose LLM takes its time."""
    with Kernel(tmp_path_factory.mktemp("monitor"), tmp_path_factory.mktemp("home")) as kernel:
        assert kernel.execute(SETUP).status == "ok"
        reply = kernel.execute(FLOW.rstrip().removesuffix(";"))
        assert reply.status == "ok", reply.text
        yield kernel


class FrontEnd:
    """What JupyterLab does with a widget: takes frames, and sends messages on a subshell."""

    def __init__(self, kernel: Kernel) -> None:
        """Open a subshell, as a front end does for a widget's messages."""
        self.kernel = kernel
        self.comm = ""
        self.state: dict[str, Any] = {}
        self.live: dict[str, Any] = {}
        self.heard = False
        self.frames: list[tuple[float, dict[str, Any]]] = []
        self.bundles: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.said: list[str] = []
        self.number = -1
        session, channel = kernel.client.session, kernel.client.control_channel
        channel.send(session.msg("create_subshell_request", {}))
        self.subshell = kernel.client.get_control_msg(timeout=20)["content"]["subshell_id"]

    def send(self, **content: Any) -> None:
        """Send what a button sends, on the subshell."""
        data = {"method": "custom", "content": content}
        message = self.kernel.client.session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        message["header"]["subshell_id"] = self.subshell
        self.kernel.client.shell_channel.send(message)

    def hello(self) -> None:
        """Say hello until it is heard, as the view does."""
        for _ in range(20):
            self.send(kind="hello")
            with contextlib.suppress(AssertionError):
                self.until(lambda: self.heard, timeout_s=0.5)
            if self.heard:
                return
        raise AssertionError(f"Nothing was heard on subshell {self.subshell}.")

    def until(self, holds: Callable[[], Any], timeout_s: float = 30) -> None:
        """Take messages until something holds."""
        until_s = time.monotonic() + timeout_s
        while not holds():
            assert [] == self.errors, "The cell failed."
            self._take(self.kernel._next(self.kernel.client.get_iopub_msg, until_s))

    def _take(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_open" and "snapshot" in content["data"].get("state", {}):
            self.comm = content["comm_id"]
            self.number = -1
            self._frame(content["data"]["state"]["snapshot"])
        elif kind == "comm_msg" and content["comm_id"] == self.comm:
            said = content["data"].get("content", {})
            if said.get("kind") == "frame":
                self._frame(said["frame"])
            self.heard = self.heard or said.get("kind") == "heard"
            if said.get("kind") == "trouble":
                self.said.append(said["text"])
        elif kind in {"display_data", "update_display_data", "execute_result"}:
            self.bundles.append(content["data"])
        elif kind == "error":
            self.errors.append(content["evalue"])

    def _frame(self, frame: dict[str, Any]) -> None:
        self.frames.append((time.monotonic(), frame))
        if "whole" in frame:
            self.state, self.live = frame["whole"], frame["live"]
        elif frame["n"] != self.number + 1:  # it was read past while a cell was waited for
            self.send(kind="again")
            return
        else:
            merged(self.state, frame["change"])
            merged(self.live, frame["live"])
        self.number = frame["n"]

    @property
    def status(self) -> str:
        """How the run stands, as the monitor says it."""
        return str(self.state.get("run", {}).get("status", ""))


def test_messages_act_while_the_cell_blocks(kernel: Kernel) -> None:
    """Pause, Resume and an answer that come on a subshell act while the cell that runs it blocks.

    The cell goes on after Resume, ends with its run, and leaves one static output.
    """
    front = FrontEnd(kernel)
    cell = kernel.start("%bmad run steps --new -o r")
    front.until(lambda: front.comm)
    front.hello()
    front.send(kind="pause")
    front.until(lambda: front.status == "paused")
    done = [name for name, task in front.state["tasks"].items() if task["state"] == "done"]
    assert set(done) in ({"one"}, {"one", "two"})
    made = front.state["sums"]["made"]
    with pytest.raises(AssertionError):  # it is paused: nothing comes
        front.until(lambda: front.state["sums"]["made"] > made, timeout_s=1.5)
    front.send(kind="resume")
    front.until(lambda: front.status == "running")
    front.until(lambda: front.state["questions"].get("ok"))
    front.send(kind="answer", task="ok", choice="accept", comment="Good.", fields={})
    front.until(lambda: front.status == "completed")
    reply = kernel.finish(cell)
    assert ("ok", None) == (reply.status, reply.value), reply.text
    shown = [*front.bundles, *reply.bundles]
    assert WIDGET in shown[0]
    assert {"text/plain", "text/html", MIME} == shown[-1].keys()
    assert "accept" in shown[-1]["text/html"]
    assert kernel.value("r.status, r.state.answers['ok']['comment'], len(r.calls)") == (
        "('completed', 'Good.', 3)"
    )
    again = kernel.execute("r")  # in a later cell it shows itself as ever
    assert again.value is not None
    assert MIME in again.value
    assert version("ipykernel") >= "7"


def test_what_has_no_card_leaves_no_view_that_runs(kernel: Kernel) -> None:
    """Above a table that a cell gives stands what was asked, not that something still runs."""
    kernel.execute("asked = [{'q': f'Say {n}', 'right': str(n)} for n in range(12)]")
    record = "%%bmad record --over asked -m sim/careful,sim/hasty --reference right\n{{ q }}"
    reply = kernel.execute(record)
    assert reply.status == "ok", reply.text
    assert "sim/careful (simulated): running" in reply.bundles[0]["text/plain"]
    shown = [bundle for bundle in reply.bundles if "answers" in bundle["text/plain"]]
    for kind in ("text/plain", "text/html"):
        assert "24/24 answers" in shown[-2][kind]
        assert "running" not in shown[-2][kind]
        assert "Interrupt" not in shown[-2][kind]
    assert reply.value is not None
    assert "12 queries x 2 LLMs" in reply.value["text/plain"]


def test_frames_come_at_most_ten_times_a_second(kernel: Kernel) -> None:
    """However much happens, frames are a tenth of a second apart, and none is missing.

    Cancel, pressed while the cell blocks, ends run and cell with a typed error.
    """
    front = FrontEnd(kernel)
    cell = kernel.start("%bmad run steps -p n=2 --budget 0.5")
    front.until(lambda: front.comm)
    front.until(lambda: len([f for _, f in front.frames if f["runs"]]) > 6)
    gaps = [b - a for (a, _), (b, _) in zip(front.frames[1:], front.frames[2:], strict=False)]
    assert sum(gaps) / len(gaps) > 0.085, gaps
    assert 0.5 == front.state["run"]["budget_usd"]
    assert any(frame["live"].get("texts") for _, frame in front.frames)
    front.send(kind="cancel")
    with contextlib.suppress(AssertionError):  # the cell's error may come first
        front.until(lambda: front.status == "cancelled")
    reply = kernel.finish(cell)
    assert ("error", "RunCancelled") == (reply.status, reply.ename)
    assert all(WIDGET not in bundle for bundle in [*front.bundles, *reply.bundles][-1:])


def test_a_run_in_the_background_outlives_its_cell(kernel: Kernel) -> None:
    """`--background` returns at once; the run goes on, can be watched again, told and waited for."""
    front = FrontEnd(kernel)
    cell = kernel.start("%bmad run steps -p n=3 --background -o b")
    began_s = time.monotonic()
    front.until(lambda: front.comm)
    assert "ok" == kernel.finish(cell).status
    assert time.monotonic() - began_s < 10
    first = front.comm
    assert kernel.value("b.status") == "'running'"
    front.until(lambda: front.state["questions"].get("ok"))
    state = json.loads(json.dumps(front.state))
    again = FrontEnd(kernel)
    kernel.execute("run_id = b.id")
    opened = kernel.start("%bmad show {{ run_id }} --live")
    again.until(lambda: again.comm and again.comm != first)
    again.until(lambda: again.bundles)
    kernel.finish(opened)
    assert WIDGET in again.bundles[-1]
    assert MIME in again.bundles[-1]
    again.until(lambda: again.state["questions"].get("ok"))
    assert state == again.state
    again.send(kind="answer", task="ok", choice="maybe", fields={})
    again.until(lambda: again.said)
    assert "not an option" in again.said[-1]
    again.send(kind="answer", task="ok", choice="stop", fields={})
    again.until(lambda: again.status == "completed")
    assert kernel.value("b.wait(20).status, (await b).state.answers['ok']['choice']") == (
        "('completed', 'stop')"
    )


@pytest.mark.parametrize(
    ("line", "stdin"),
    [
        ("%bmad run fast", True),
        ("%bmad run steps -p n=5;", True),
        ("%bmad run steps -p n=6", False),
    ],
    ids=["quick", "silenced", "papermill"],
)
def test_nothing_live_is_shown_where_it_does_not_belong(
    kernel: Kernel, line: str, stdin: bool
) -> None:
    """A quick run, a silenced cell and one without a person show no view, not even for a moment."""
    kernel.execute('%%bmad workflow fast\ntasks: {a: {set: {x: "1 + 1"}}}')
    reply = (
        kernel.execute(line, allow_stdin=stdin) if "fast" in line else _stopped(kernel, line, stdin)
    )
    assert [] == [bundle for bundle in reply.bundles if WIDGET in bundle]
    if "fast" in line:
        assert reply.value is not None


def _stopped(kernel: Kernel, line: str, stdin: bool) -> Any:
    """Run a cell that stops at its question: by an interrupt where somebody could answer it."""
    cell = kernel.start(line, allow_stdin=stdin)
    if stdin:
        time.sleep(1.2)
        kernel.interrupt()
    reply = kernel.finish(cell)
    assert "RunPaused" == reply.ename, reply.text
    return reply


def test_the_words_of_a_comparison_come_in_columns(kernel: Kernel) -> None:
    """While LLMs answer, one output shows what they say, escaped; then the comparison is there."""
    cell = kernel.start(
        "%%bmad compare -m own/slow,sim/hasty -n 20 --fresh -o c\n"
        "Shorten: Ice <b>floats</b> because it is light. Nobody knows when it melts. It is cold."
    )
    front = FrontEnd(kernel)
    front.until(lambda: any("own/slow" in b.get("text/html", "") for b in front.bundles))
    reply = kernel.finish(cell)
    found = [*front.bundles, *reply.bundles]  # a run of an earlier test may still say something
    shown = [each for each in found if each.get(MIME, {}).get("verb", "compare") == "compare"]
    assert "ok" == reply.status, reply.text
    live = [bundle for bundle in shown if MIME not in bundle]
    assert any("running" in bundle["text/html"] for bundle in live)
    assert all("<b>floats" not in bundle["text/html"] for bundle in shown)
    assert MIME in shown[-1]
    assert 1 == sum(MIME in bundle for bundle in shown)
    assert kernel.value("c.calls_made") == "40"
