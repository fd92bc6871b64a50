"""The driver of a sweep: gives out notebooks and money, and is the only one who writes the store.

What lies in the sweep's folder is enough to go on after any end: for each notebook its row once it
is over, its own store until then, and the ledger.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import json
import shutil
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bmad_nb.errors import RunPaused, StoreLocked, UsageProblem
from bmad_nb.export.bundle import bring_in, bundle, know_keys
from bmad_nb.render.base import plain, seconds, usd
from bmad_nb.store import keeping
from bmad_nb.sweeps import clusters, work
from bmad_nb.sweeps.executors import Attempt, Executor, WorkerLostError
from bmad_nb.sweeps.grids import Case
from bmad_nb.sweeps.ledger import Ledger, write
from bmad_nb.sweeps.outcome import INDEX, Sweep, row_of
from bmad_nb.workspace import Workspace

PRIVATE = ".sweep"
"""Folder inside of the sweep's own for what is not to be looked at."""
MOST_DEATHS = 3
"""Workers that a notebook may lose before it counts as failed."""
REDRAW_S = 5.0
"""Seconds between two pages while it runs."""
STOP_S = 45.0
"""Seconds that an interrupted sweep waits for its notebooks."""


class Driver:
    """One sweep, from where its folder stands to its end."""

    def __init__(
        self, notebook: Path, source: str, cases: Sequence[Case], folder: Path, *,
        limit_usd: Decimal | None, space: Workspace, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Read what the folder has."""
        self._notebook, self._source, self._cases, self._folder = notebook, source, cases, folder
        self._space, self._say = space, say
        self._private = (folder / PRIVATE).resolve()
        self.ledger = Ledger(self._private / "ledger.json", limit_usd)
        self._rows = {case.key: self._row(case) for case in cases}
        self._deaths: collections.Counter[str] = collections.Counter()
        self._running: dict[Attempt, tuple[Case, str, bool]] = {}
        self._short: list[Case] = []
        self._ended, self._drawn = 0, 0.0
        know_keys(space.settings)

    def run(self, start: Callable[[], Executor]) -> Sweep:
        """Execute what is not completed.

        Raises:
            RunPaused: interrupted.
        """
        waiting = collections.deque(c for c in self._cases if not self._is_over(c))
        self._ended = len(self._cases) - len(waiting)
        if self._ended:
            self._say(f"{self._ended} of {len(self._cases)} notebooks are completed already.")
        if waiting or self.ledger.out:
            executor = start()
            try:
                self._reconcile(executor)
                self._execute(executor, waiting)
            except KeyboardInterrupt:
                self._interrupt(executor)
                done = sum(map(self._is_over, self._cases))
                result = self._result()
                result.reason = "user"
                raise RunPaused(
                    f"Interrupted: {done} of {len(self._cases)} notebooks are completed.",
                    hint="Run it again to go on; nothing that is stored is asked again.",
                    result=result,
                ) from None
            finally:
                executor.close()
        return self._result()

    def _execute(
        self, executor: Executor, waiting: collections.deque[Case]
    ) -> None:  # fmt: skip
        """Keep as many notebooks on their way as the executor takes, until all are over."""
        while waiting or self._running or self._short:
            while waiting and len(self._running) < executor.parallel:
                free = executor.parallel - len(self._running)
                self._begin(executor, waiting.popleft(), min(free, len(waiting) + 1))
            if not waiting and not self._running and self._short:
                self._begin(executor, self._short.pop(0), 1)  # with all that is left
            over = [attempt for attempt in self._running if attempt.done()]
            for attempt in over:
                again = self._end(executor, attempt)
                if again is not None:
                    waiting.appendleft(again)
            if not over:
                time.sleep(0.05)

    def _begin(self, executor: Executor, case: Case, among: int) -> None:
        """Hand out a slice of the money, and then the notebook; without any it waits."""
        limited = self.ledger.limit_usd is not None
        empty = limited and not any(self.ledger.left(simulated=kind) for kind in (False, True))
        if empty and self._running:
            self._short.append(case)
            return
        alone = among == 1 and not self._running
        if executor.apart:  # what an earlier sweep did here is in the user's store by now
            shutil.rmtree(self._private / case.key, ignore_errors=True)
        account = self._account(case)
        job: dict[str, Any] = {
            "folder": str(self._private / case.key), "notebook": self._source,
            "parameters": dict(case.parameters), "cwd": str(Path.cwd()),
            "answers": str(self._space.store.path), "slice_usd": self.ledger.lease(account, among),
            "name": self._name(account), "apart": executor.apart,
        }  # fmt: skip
        if executor.apart:
            there = {run.run_id for run in self._space.store.runs()}
            known = [each for each in self._rows[case.key].get("run_ids", ()) if each in there]
            job["earlier"] = [bundle(self._space.store, run_id) for run_id in known]
            job["lent"], job["project"] = self._parcel
        self._running[executor.submit(job)] = (case, account, alone)

    def _account(self, case: Case) -> str:
        """Return the account of a notebook's store: a new store has a new one."""
        mine = [name for name in self.ledger.spent if name.partition("#")[0] == case.key]
        if mine and (self._private / case.key / work.STORE).exists():
            return mine[-1]
        return f"{case.key}#{len(mine)}"

    def _end(self, executor: Executor, attempt: Attempt) -> Case | None:
        """Keep what came of an attempt; return the notebook if it is to be executed once more."""
        case, account, alone = self._running.pop(attempt)
        try:
            answer = attempt.result()
        except Exception as error:  # noqa: BLE001  (whatever a cluster raises, the rest goes on)
            answer = self._salvaged(executor, case, account)
            said = getattr(error, "what", str(error)[:2000])
            kind = type(error).__name__
            if isinstance(error, WorkerLostError):
                self._deaths[case.key] += 1
                if self._deaths[case.key] < MOST_DEATHS:
                    self._keep(executor, case, account, answer, "interrupted")
                    self._say(f"The worker {error} is gone; its notebook goes on elsewhere.")
                    return case
                kind, said = "WorkerLost", f"Its worker died, {MOST_DEATHS} times."
            answer |= {"error_kind": kind, "error": said}
        self._keep(executor, case, account, answer, answer.get("status", "failed"))
        if answer["refused_usd"] is not None and not alone and self._may_help(answer):
            self._short.append(case)
            return None
        self._ended += 1
        self._tell(case)
        return None

    def _may_help(self, answer: Mapping[str, Any]) -> bool:
        """Return whether a notebook that ran out of its slice could get what it needs."""
        needed = Decimal(json.loads(answer["refused_usd"])["needed_usd"])
        mine = [each for _, each, _ in self._running.values()]
        back = [self.ledger.out[each] for each in mine]
        return any(
            self.ledger.left(simulated=kind) + sum((each[kind] for each in back), Decimal(0))
            >= needed
            for kind in (False, True)
        )

    def _salvaged(self, executor: Executor, case: Case, account: str) -> dict[str, Any]:
        """Return what is left of a lost attempt; what it spent only where nobody can be wrong."""
        folder = self._private / case.key
        found: dict[str, Any] | None
        try:
            if (folder / work.STORE).exists():
                found, whole = work.collected(folder), True
            else:
                found, whole = executor.salvage(self._name(account), folder)
        except StoreLocked:  # its kernel cannot be ended: nobody knows what it will have spent
            found, whole = None, False
        return {**(found or work.NOTHING), **({} if whole else {"spent_usd": None})}

    def _name(self, account: str) -> str:
        """Return the name of an attempt: no other sweep has one like it."""
        return f"{(self._private / clusters.TOKEN).read_text('utf-8')[:12]}-{account}"

    @functools.cached_property
    def _parcel(self) -> tuple[bytes, str]:
        """What goes to workers that see nothing of this machine: stored answers, and settings."""
        copy = self._private / "answers.db"
        try:
            keeping.backup(self._space.store, copy, force=True)
            lent = zlib.compress(copy.read_bytes(), 1)
        except UsageProblem:  # there is no store yet
            lent = b""
        copy.unlink(missing_ok=True)
        files = [file for file in self._space.found.files if file.name == "bmad.toml"]
        return lent, files[-1].read_text("utf-8") if files else ""

    def _keep(
        self, executor: Executor, case: Case, account: str, answer: Mapping[str, Any], status: str
    ) -> None:  # fmt: skip
        """Take an attempt over: its runs, what it spent, its notebook, and last its row."""
        for each in answer["bundles"]:
            bring_in(self._space.store, each, again=True)
        self.ledger.settle(account, answer["spent_usd"])
        executor.forget(self._name(account))
        row = row_of(case.number, case.parameters, status, answer)
        runs = [each["run"]["run_id"] for each in answer["bundles"]]
        row["run_ids"] = list(dict.fromkeys([*self._rows[case.key].get("run_ids", ()), *runs]))
        if answer["notebook"] is not None:
            write(self._folder / case.file, self._labelled(case, answer["notebook"]))
        write(self._private / f"{case.key}.json", json.dumps(row))
        self._rows[case.key] = self._placed(case, row)
        if status == "completed":
            shutil.rmtree(self._private / case.key, ignore_errors=True)
        if time.monotonic() - self._drawn > REDRAW_S:
            self._result()

    def _labelled(self, case: Case, text: str) -> str:
        """Return an executed notebook that says where it comes from, instead of our own folder."""
        body = json.loads(text)
        told = body["metadata"].get("papermill", {})
        told |= {"input_path": str(self._notebook), "output_path": str(self._folder / case.file)}
        return json.dumps(body, indent=1, ensure_ascii=False) + "\n"

    def _reconcile(self, executor: Executor) -> None:
        """Read what attempts of an earlier driver really did, and take it over."""
        known = {case.key: case for case in self._cases}
        for account in list(self.ledger.out):
            key = account.partition("#")[0]
            case = known.get(key) or Case(0, {}, key)
            answer = self._salvaged(executor, case, account)
            if key in known:
                self._keep(executor, case, account, answer, "interrupted")
            else:
                self.ledger.settle(account, answer["spent_usd"])

    def _interrupt(self, executor: Executor) -> None:
        """Stop what runs, and keep what it has done; a second interrupt leaves it for later."""
        executor.stop()
        self._say("Stopping; what is finished is kept.")
        with contextlib.suppress(KeyboardInterrupt):
            until = time.monotonic() + STOP_S
            while self._running and time.monotonic() < until:
                for attempt in [each for each in self._running if each.done()]:
                    case, account, _ = self._running.pop(attempt)
                    try:
                        answer = attempt.result()
                    except Exception:  # noqa: BLE001  (it was cancelled: what it did is elsewhere)
                        answer = self._salvaged(executor, case, account)
                    self._keep(executor, case, account, answer, answer.get("status", "interrupted"))
                time.sleep(0.05)

    def _row(self, case: Case) -> dict[str, Any]:
        """Return a notebook's row as the folder has it."""
        try:
            row = json.loads((self._private / f"{case.key}.json").read_text("utf-8"))
            return self._placed(case, dict(row))
        except (OSError, ValueError, TypeError):
            return row_of(case.number, case.parameters, "waiting", {})

    def _placed(self, case: Case, row: dict[str, Any]) -> dict[str, Any]:
        path = self._folder / case.file
        there = path.exists()
        return row | {"number": case.number, "file": case.file if there else "",
                      "path": str(path) if there else None}  # fmt: skip

    def _is_over(self, case: Case) -> bool:
        row = self._rows[case.key]
        return row["status"] == "completed" and bool(row["file"])

    def _tell(self, case: Case) -> None:
        row = self._rows[case.key]
        given = ", ".join(f"{name}={value}" for name, value in case.parameters.items())
        money = usd(Decimal(repr(row["cost_usd"])))
        if row["simulated_cost_usd"]:
            money += f" and {usd(Decimal(repr(row['simulated_cost_usd'])))} simulated"
        why = f" · {row['error_kind']}: {row['error']}"[:160] if row["error"] else ""
        took = seconds(row["duration_s"])
        self._say(plain(f"[{self._ended}/{len(self._cases)}] {row['status']} · "
                        f"{given[:120]} · {took} · {money}{why}"))  # fmt: skip

    def _result(self) -> Sweep:
        """Return the sweep as far as it is, and draw its page."""
        rows = [self._rows[case.key] for case in self._cases]
        made = Sweep(
            self._notebook.name, self._folder, rows, limit_usd=self.ledger.limit_usd,
            spent_usd={kind: self.ledger.total(simulated=kind) for kind in (False, True)},
        )  # fmt: skip
        write(self._folder / INDEX, made.page())
        self._drawn = time.monotonic()
        return made
