"""A state machine drives runs as users and accidents do, and holds them to a model of the store.

Begin, pause, cancel, kill, approve, resume, raise the budget: after each step the run has the status
that the model says, nothing that was answered is asked again, and no more is spent than allowed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import traceback
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bmad_nb import parse
from bmad_nb.errors import RunCancelled, RunPaused, UsageProblem
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.workspace import Workspace

USD = Decimal("0.002")
BEFORE, BEHIND = 4, 3
TEXT = (
    "workflow: w\ntasks:\n"
    + "".join(
        f'  a{n}: {{prompt: "a{n} of KEY {"{{ a" + str(n - 1) + " }}" if n else ""}", llm: own/x, '
        "params: {max_tokens: 1000}}\n"
        for n in range(BEFORE)
    )
    + f'  ok: {{approve: {{ask: "Go on?", options: [yes, no]}}, needs: [a{BEFORE - 1}]}}\n'
    + "".join(
        f'  b{n}: {{prompt: "b{n} of KEY {"{{ b" + str(n - 1) + " }}" if n else "{{ ok.choice }}"}", '
        "llm: own/x, params: {max_tokens: 1000}}\n"
        for n in range(BEHIND)
    )
)


class Runs(RuleBasedStateMachine):
    """One run at a time, and what should be true of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.asked = self.folder / "asked"
        self.asked.touch()
        self.number = 0

    def teardown(self) -> None:
        self.ws.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def workspace(self) -> Workspace:
        """Return a workspace on the store whose LLM stops the run at a call, if it is to."""
        space = Workspace({}, store=self.folder / "bmad.db")
        price = Price(Decimal(1), Decimal(1), source="test")
        space.add_llm("x", self.answer, price=price)
        return space

    def answer(self, messages: Any) -> Completion:
        """Answer; every call is written down outside of the store."""
        with self.asked.open("a") as file:
            file.write(messages[-1].text.split(" of ")[0] + f" {self.number}\n")
        self.calls += 1
        if self.calls == self.at and self.how == "kill":
            os._exit(9)
        if self.calls == self.at and self.how in {"pause", "cancel"}:
            self.wish()
        return Completion("x", Usage(1000, 1000), "stop")

    def wish(self) -> None:
        """Tell the run from outside to stop, and wait until it has seen that."""
        (run_id,) = [r.run_id for r in self.ws.store.runs() if r.status == "running"]
        number = self.ws.store.wish(run_id, self.how, {"now": False}, "test")
        while not self.ws.store.wish_seen(number):
            pass

    # --- the model ------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.ws = self.workspace()
        self.status, self.done, self.approved, self.waits = "none", 0, False, False
        self.budget, self.in_doubt, self.run_id = Decimal(0), 0, ""
        self.calls, self.at, self.how = 0, 0, ""

    @property
    def allowed(self) -> int:
        """Calls that the budget still lets through; one that was lost counts in full."""
        left = self.budget - USD * self.done - self.worst * self.in_doubt
        return int(left // self.worst) if left >= self.worst else 0

    @property
    def worst(self) -> Decimal:
        """Worst case of a call: 1000 tokens of answer and a few of prompt; less than two calls."""
        return Decimal("0.00115")

    def expected(self, at: int, how: str) -> str:
        """Reckon what comes of going on, and how many tasks are done then."""
        steps = 0
        while True:
            if self.done == BEFORE and not self.approved:
                self.waits = True
                return "paused"
            if self.done == BEFORE + BEHIND:
                return "completed"
            left = self.budget - USD * self.done - self.lost_usd()
            if left < self.worst:
                return "paused"
            steps += 1
            if steps == at and how == "kill":
                self.in_doubt += 1
                return "interrupted"
            if steps == at and how == "cancel":
                return "cancelled"
            self.done += 1
            if steps == at and how == "pause":
                return "paused" if self.done < BEFORE + BEHIND else "completed"

    def lost_usd(self) -> Decimal:
        return self.worst * self.in_doubt

    # --- the rules ------------------------------------------------------------------------------

    @precondition(lambda self: self.status in {"none", "completed", "cancelled"})
    @rule(usd=st.sampled_from(["0.004", "0.008", "1"]), at=st.integers(1, 8),
          how=st.sampled_from(["", "", "pause", "cancel", "kill"]))  # fmt: skip
    def new(self, usd: str, at: int, how: str) -> None:
        self.number += 1
        self.done = self.in_doubt = 0
        self.approved = self.waits = False
        self.budget = Decimal(usd)
        flow = parse.loads(TEXT.replace("KEY", str(self.number)))
        self.go(at, how, lambda ws: ws.run(flow, budget_usd=usd))

    @precondition(lambda self: self.status in {"paused", "interrupted"})
    @rule(more=st.sampled_from([None, "+0.002", "+1"]), at=st.integers(1, 8),
          how=st.sampled_from(["", "", "pause", "cancel", "kill"]))  # fmt: skip
    def resume(self, more: str | None, at: int, how: str) -> None:
        self.budget += Decimal(more) if more else 0
        self.go(at, how, lambda ws: ws.resume(self.run_id, more))

    @precondition(lambda self: self.status in {"paused", "interrupted"} and self.waits)
    @rule(choice=st.sampled_from(["yes", "no"]))
    def approve(self, choice: str) -> None:
        if self.approved:
            return
        self.ws.approve(self.run_id, "ok", choice)
        self.approved = True

    @precondition(lambda self: self.status in {"paused", "interrupted"})
    @rule()
    def cancel(self) -> None:
        self.ws.cancel(self.run_id)
        self.status = "cancelled"

    @precondition(lambda self: self.status in {"completed", "cancelled"})
    @rule()
    def what_is_over_stays_over(self) -> None:
        for act in (self.ws.pause, self.ws.cancel):
            with pytest.raises(UsageProblem):
                act(self.run_id)
        with pytest.raises(UsageProblem):
            self.ws.approve(self.run_id, "ok", "yes")

    def go(self, at: int, how: str, act: Any) -> None:
        """Let a run go on, in a fork of its own where it is to be killed."""
        expected = self.expected(at, how)
        self.calls, self.at, self.how = 0, at, how
        if how == "kill":
            self.ws.close()
            pid = os.fork()
            if not pid:
                try:
                    self.done_by(act, self.workspace())
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert code == (9 if expected == "interrupted" else 0)
            self.ws = self.workspace()
        else:
            self.done_by(act, self.ws)
        self.status = expected
        self.run_id = self.ws.store.runs()[-1].run_id

    @staticmethod
    def done_by(act: Any, space: Workspace) -> None:
        with contextlib.suppress(RunPaused, RunCancelled):
            act(space)

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        if not getattr(self, "run_id", ""):
            return
        run = self.ws.store.run(self.run_id)
        assert self.status == run.status, (self.status, run)
        calls = self.ws.store.calls(self.run_id)
        answered = sum(call.state == "answered" for call in calls)
        assert self.done <= answered <= self.done + 1, (self.done, answered)
        spent = sum((call.cost_usd or Decimal(0) for call in calls), Decimal(0))
        assert spent <= self.budget
        seqs = [each.seq for each in self.ws.store.events(self.run_id)]
        assert list(range(1, len(seqs) + 1)) == seqs

    @invariant()
    def nothing_that_was_answered_is_asked_again(self) -> None:
        lines = self.asked.read_text().split("\n")[:-1]
        mine = [line for line in lines if line.endswith(f" {self.number}")]
        again = len(mine) - len(set(mine))
        assert again <= getattr(self, "in_doubt", 0) + 1, mine


def drive(examples: int, steps: int) -> None:
    """Let the machine run so many times, so many steps each."""
    run_state_machine_as_test(
        Runs,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None,
            suppress_health_check=list(HealthCheck), derandomize=True, database=None,
        ),
    )  # fmt: skip


def test_runs_are_what_the_model_says() -> None:
    """A few hundred steps of begin, pause, cancel, kill, approve, resume and more money."""
    drive(8, 25)


@pytest.mark.long
def test_runs_are_what_the_model_says_for_thousands_of_steps() -> None:
    """Three thousand steps of the same."""
    drive(75, 40)
