"""The errors of bmad_nb, drawn by whose fault they are.

BmadError
├── UsageProblem             the words of a command, an option or a setting
│   ├── UnknownName          a name that nothing here has; carries the nearest right one
│   └── SettingsError        a settings file or variable that cannot be used
├── TaskFailed               the code of a task, or what it was given
│   ├── NoQuorum · NoAgreement   several LLMs on one task, without a result
│   └── CheckFailed          an answer; UngroundedQuote, TestsFailed among them
├── AnswerNeeded             a task that waits for a person
├── WorkflowError            the author of a prompt or a definition
│   ├── DefinitionError      a workflow's text or fields; carries every problem with its place
│   ├── TemplateError        a {{ }} hole that cannot be filled
│   │   └── MissingInput     a name that a prompt needs and nobody gave
│   ├── Unroutable           no LLM passes what a task demands
│   └── NotRunnable          a sound definition that lacks something here
├── LLMError                 the other end of a call
│   ├── AuthenticationFailed · PermissionRefused · ModelNotFound
│   ├── BadRequest           the request; ContextTooLong among them
│   ├── RateLimited          too much at once; QuotaExhausted where waiting does not help
│   ├── ServerFailed · ConnectionFailed (StreamCut) · TimedOut · CircuitOpen
│   ├── BadAnswer            the answer; Refused, Truncated, OutputInvalid among them
│   ├── NotRecorded          no answer is stored, and nobody may be asked
│   └── LocalModelUnavailable   the embedded model cannot run on this machine
├── BudgetExceeded           the limit
│   └── PriceUnknown         no price, so that no worst case can be reserved
├── RunStopped               a run that was stopped and can go on
│   ├── RunPaused · RunCancelled
│   └── RunFailed            no call of it got an answer
└── StoreError               the disk
    ├── StoreLocked · StoreTooNew · StoreCorrupt
    └── UnknownRun · RunBusy

Every message says what happened, where, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from bmad_nb._nearest import nearest

Billed = Literal["no", "maybe", "yes"]
"""Whether a call that failed was charged for: `maybe` once the request has left this machine."""


class BmadError(Exception):
    """Base of all errors that bmad_nb raises on purpose.

    Args:
        what: what happened, one sentence.
        hint: what to do next; empty if the sentence already says it.
    """

    def __init__(self, what: str, *, hint: str = "") -> None:
        """Keep the sentence and the advice apart."""
        super().__init__(f"{what} {hint}".strip())
        self.what = what
        self.hint = hint

    def _render_traceback_(self) -> list[str]:
        """Return the short form that IPython shows; papermill and `%tb` show the whole one."""
        said = f"{type(self).__name__}: {self.what}\n{self.hint}".rstrip("\n")
        shown = (c if c.isprintable() or c in "\n\t\u200d" else "\ufffd" for c in said)
        return "".join(shown).split("\n")


class UsageProblem(BmadError):
    """A command, an option or an argument cannot be used as it was given."""


class UnknownName(UsageProblem):
    """A name is not among those that exist here.

    Args:
        kind: what the name should have been, such as "LLM".
        name: the name as it was given.
        known: the names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Find the nearest known name and say it."""
        names = sorted(set(known))
        self.nearest = nearest(name, names)
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        guess = f"Did you mean {self.nearest!r}? " if self.nearest else ""
        known = f"Known: {shown or 'none yet'}."
        super().__init__(f"There is no {kind} {name!r}.", hint=guess + known)
        self.kind, self.name = kind, name


class SettingsError(UsageProblem):
    """A settings file or an environment variable cannot be used."""


class WorkflowError(BmadError):
    """A prompt or a workflow definition is wrong."""


class Problem(NamedTuple):
    """One thing that is wrong with a definition."""

    line: int
    """Line in the document, from 1; 0 where there is no document."""
    column: int
    """Column in the line, from 1."""
    what: str
    """One sentence."""
    hint: str = ""
    """What to do about it."""
    path: tuple[Any, ...] = ()
    """Keys and indexes from the root down."""


class DefinitionError(WorkflowError):
    """A definition is wrong, in the file `name` if it came from one; all `problems` are said."""

    def __init__(self, problems: Sequence[Problem], name: str = "") -> None:
        """Say the problem if it is one, else list at most twenty."""
        self.problems, self.name = tuple(problems), name
        if len(self.problems) == 1:
            only = self.problems[0]
            super().__init__(_at(only, name) + only.what, hint=only.hint)
            return
        lines = [f"  {_at(p, name)}{p.what} {p.hint}".rstrip() for p in self.problems[:20]]
        more = len(self.problems) - 20
        lines += [f"  … and {more} more: .problems, or bmad workflow validate --all."] * (more > 0)
        where = f" in {name}" if name else ""
        super().__init__("\n".join([f"{len(self.problems)} problems{where}:", *lines]))


def _at(problem: Problem, name: str) -> str:
    """Return the place of a problem, as compilers write it."""
    if problem.line:
        return f"{name or 'line '}{':' if name else ''}{problem.line}:{problem.column}: "
    path = ".".join(map(str, problem.path))
    return f"{path}: " if path else ""


class TemplateError(WorkflowError):
    """A `{{ }}` hole of a template cannot be read or filled."""


class MissingInput(TemplateError):
    """A template names something that nobody has given."""


class Unroutable(WorkflowError):
    """No LLM passes the hard filters of a task; each is named with the one that it fails."""


class NotRunnable(WorkflowError):
    """A workflow is sound, but cannot be run here before `missing`, a sentence each, is there."""

    def __init__(self, workflow: str, missing: Sequence[str]) -> None:
        """Name everything that is missing at once."""
        shown = "\n".join(f"  {each}" for each in missing[:20])
        more = f"\n  … and {len(missing) - 20} more." if len(missing) > 20 else ""
        said = f"{workflow!r} cannot run yet; nothing was sent:\n{shown}{more}"
        super().__init__(said, hint="--dry-run shows the plan as it stands.")
        self.missing = tuple(missing)


class TaskFailed(BmadError):
    """A task of a workflow could not be done, for another reason than its LLM."""


class NoQuorum(TaskFailed):
    """Too few members of a collaboration gave an answer."""


class NoAgreement(TaskFailed):
    """The members of a collaboration do not agree, and that is a failure of the task."""


class CheckFailed(TaskFailed):
    """An answer does not pass a check of its task."""


class UngroundedQuote(CheckFailed):
    """An answer quotes what does not stand in its source."""


class TestsFailed(CheckFailed):
    """An answer's code does not pass its tests."""

    __test__ = False  # its name is no test's


class AnswerNeeded(BmadError):
    """A task, `task`, waits for a person's answer, and the run is paused."""

    task = ""


class LLMError(BmadError):
    """A call to an LLM did not bring a usable answer.

    Attributes:
        llm: id of the LLM, `endpoint/name`.
        status: HTTP status, if the provider answered.
        billed: whether the call may have cost money.
        retryable: whether the same call may succeed later.
        retry_after_s: seconds that the provider asks to wait, if it said so.
        usage: tokens that the provider counted, if it did.
        text: what came of the answer before it failed.
    """

    billed: Billed = "maybe"
    retryable = False

    def __init__(self, what: str, *, llm: str = "", hint: str = "", status: int | None = None,
                 billed: Billed | None = None,
                 retry_after_s: float | None = None) -> None:  # fmt: skip
        """Keep the facts of the failed call beside its message."""
        super().__init__(what, hint=hint)
        self.llm, self.status, self.retry_after_s = llm, status, retry_after_s
        self.usage: Any = None
        self.text = ""
        if billed is not None:
            self.billed = billed


class AuthenticationFailed(LLMError):
    """The key is missing, unknown or expired (HTTP 401)."""

    billed = "no"


class PermissionRefused(LLMError):
    """The key may not use this model (HTTP 403)."""

    billed = "no"


class ModelNotFound(LLMError):
    """The endpoint has no model of this name (HTTP 404)."""

    billed = "no"


class BadRequest(LLMError):
    """The provider refused the request as it stands (HTTP 400, 422, a redirect)."""

    billed = "no"


class ContextTooLong(BadRequest):
    """The prompt does not fit the context window."""


class RateLimited(LLMError):
    """Too many requests at once (HTTP 429)."""

    billed = "no"
    retryable = True


class QuotaExhausted(RateLimited):
    """The account has no quota or no money left (HTTP 402, 429)."""

    retryable = False


class ServerFailed(LLMError):
    """The provider failed (HTTP 5xx)."""

    retryable = True


class ConnectionFailed(LLMError):
    """The endpoint could not be reached, or the connection broke."""

    retryable = True


class StreamCut(ConnectionFailed):
    """A streamed answer ended before it was whole; `text` is what came."""


class CircuitOpen(LLMError):
    """An endpoint failed so often that it is left alone for a while; nothing was sent."""

    billed = "no"
    retryable = True


class TimedOut(LLMError):
    """No answer within the time that was allowed."""

    retryable = True


class BadAnswer(LLMError):
    """The provider answered with something that is not a completion."""

    billed = "yes"


class Refused(BadAnswer):
    """The model, or a filter around it, refused to answer."""


class Truncated(BadAnswer):
    """The answer's tokens were used up before it said anything."""


class OutputInvalid(BadAnswer):
    """An answer is not of the form that its task declares."""


class NotRecorded(LLMError):
    """No stored answer fits the request, and nobody may be asked."""

    billed = "no"


class LocalModelUnavailable(LLMError):
    """The embedded model cannot run here: a part is missing or the machine lacks something."""

    billed = "no"


class BudgetExceeded(BmadError):
    """The next call could cost more than is left; it was not made.

    Attributes:
        limit_usd: the limit, in US dollars; `spent_usd` is gone of it for certain.
        needed_usd: worst case of the next call, in US dollars.
        on_limit: `pause` stops the run, so that it can go on; `fail` fails the task alone;
            `degrade` tries the task's fallbacks, and then pauses.
    """

    on_limit: Literal["pause", "degrade", "fail"] = "pause"

    def __init__(self, what: str, *, hint: str = "", limit_usd: Any = None, spent_usd: Any = None,
                 needed_usd: Any = None) -> None:  # fmt: skip
        """Keep the three amounts."""
        super().__init__(what, hint=hint)
        self.limit_usd, self.spent_usd, self.needed_usd = limit_usd, spent_usd, needed_usd


class PriceUnknown(BudgetExceeded):
    """Under a budget, an LLM without a known price is not asked."""


class RunStopped(BmadError):
    """A run ended before all of its work was done; what is finished is stored.

    Attributes:
        run_id: the run.
        result: what is finished, as the object that the call would have returned.
        reason: why, in a word.
    """

    reason = "user"

    def __init__(self, what: str, *, hint: str = "", run_id: str = "", result: Any = None) -> None:
        """Keep the partial result for whoever catches this."""
        super().__init__(what, hint=hint)
        self.run_id = run_id
        self.result = result


class RunPaused(RunStopped):
    """The run is stored as paused and goes on from where it stands."""


class RunCancelled(RunStopped):
    """The run is stored as cancelled."""


class RunFailed(RunStopped):
    """No call of the run brought an answer."""


class StoreError(BmadError):
    """The store cannot be read or written."""


class StoreLocked(StoreError):
    """Another process holds the store's lock for too long."""


class StoreTooNew(StoreError):
    """The store was written by a newer bmad_nb."""


class StoreCorrupt(StoreError):
    """The file is not a store, or it is damaged. It is never overwritten."""


class UnknownRun(StoreError):
    """No run has this id."""


class RunBusy(StoreError):
    """Another process has taken the run up at this moment."""
