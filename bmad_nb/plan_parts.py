"""The parts of a step, as pure data: its LLM, retries, limits, and what modifies its verb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bmad_nb.messages import Scalar


@dataclass(frozen=True, slots=True)
class Retries:
    """When and how often a call is made again."""

    attempts: int = 1
    """In all, the first included."""
    backoff_s: float = 1.0
    """Seconds before the second attempt."""
    factor: float = 2.0
    """Each further wait is longer by this factor."""
    max_backoff_s: float = 30.0
    jitter: bool = True
    """Each wait is drawn from zero up to the reckoned one, so that many do not come at once."""
    causes: tuple[str, ...] = ()
    """Kinds of errors after which it is made again."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The LLM that a task is given, and why."""

    llm: str
    """Id of the LLM."""
    params: tuple[tuple[str, Scalar], ...] = ()
    """Its setting, as in `ID?temperature=1`."""
    router: str = "fixed"
    """Name of the router that chose it."""
    reason: str = ""
    """One sentence."""
    rejected: tuple[tuple[str, str], ...] = ()
    """LLMs that were not taken, each with its reason."""
    simulated: bool = False
    """True where the LLM is simulated."""
    expected: tuple[tuple[str, float], ...] = ()
    """LLMs and the score in [0, 1] that was expected of each, where one was."""
    propensity: float | None = None
    """Probability in (0, 1] with which it was chosen; None: it was certain."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What is tried when all attempts have failed; one of its fields is set."""

    llm: Assignment | None = None
    prompt: str | None = None
    """A simpler prompt for the same LLM."""
    value: Any = None
    """A value that stands in."""
    kind: Literal["llm", "prompt", "value", "stored", "human", "skip"] = "llm"
    """What it is; `stored` is the task's newest result of an earlier run of this workflow."""
    question: str | None = None
    """What a person is asked, as a template."""
    on_limit: bool = False
    """True where it stands in for nothing but a limit that leaves no room."""
    heals: bool = False
    """True where the strategy put it here: another LLM that may do the task."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Hard limits of one task; None is no limit."""

    cost_usd: str | None = None
    """US dollars, as decimal text."""
    calls: int | None = None
    tokens: int | None = None
    time_s: float | None = None
    on_limit: Literal["pause", "degrade", "fail"] = "pause"


@dataclass(frozen=True, slots=True)
class Repeat:
    """A task that is done once for each item of a list."""

    over: str
    """Expression that gives the list."""
    item: str = "item"
    """Name of the item in the task's texts."""
    most: int = 1000
    """Items; a longer list is an error."""
    at_once: int | None = None
    """Most items at a time; None leaves it to the run."""
    min_success: float = 1.0
    """Share of items in [0, 1] that must be done."""
    key: str = ""
    """Expression of an item that names it for good; empty for its number."""


@dataclass(frozen=True, slots=True)
class Reducing:
    """Many results into one."""

    source: str
    """Task that has them."""
    prompt: str = ""
    """Template; reads `items` and `errors`."""
    function: str = ""
    """`module:function` instead; takes `items` and `errors`."""
    batch: int | None = None
    """Most items in one prompt; None is as many as fit the LLM's context."""
    room_tokens: int | None = None
    """Tokens that a prompt may have; None is unknown."""


@dataclass(frozen=True, slots=True)
class Judging:
    """Who scores an answer."""

    that: str = ""
    """Expression; true counts as 1, false as 0."""
    rubric: str = ""
    """Template of what a good answer is; an LLM scores by it."""
    function: str = ""
    """`module:function`; takes `out` and returns a number in [0, 1]."""
    assignment: Assignment | None = None
    """The LLM that judges."""
    panel: tuple[Assignment, ...] = ()
    """All LLMs that judge, where they are several."""
    samples: int = 1
    """Judgements of each of them; the mean of all is taken."""
    note: str = ""
    """What a reader should know of the choice."""


@dataclass(frozen=True, slots=True)
class Refining:
    """A loop of draft, judgement and new draft."""

    until: str
    """Expression over `out` and `score`."""
    judge: Judging | None = None
    prompt: str = ""
    """Template of the next draft's request; empty for the built-in one."""
    most: int = 3
    """Drafts."""
    min_gain: float = 0.0
    """A draft that is not better than the best by more than this has brought nothing."""
    patience: int | None = None
    """Drafts in a row that may bring nothing before it ends; None is no end."""
    keep: Literal["best", "last"] = "best"
    on_exhausted: Literal["accept_best", "fail", "human"] = "accept_best"


@dataclass(frozen=True, slots=True)
class Checking:
    """Something that must hold for an answer."""

    that: str = ""
    judge: Judging | None = None
    least: float | None = None
    """Least score of the judge in [0, 1]; None is 0.5."""
    on_fail: Literal["retry", "repair", "escalate", "fail", "warn", "human"] = "fail"
    grounded: str = ""
    """Expression of the text in which all that is quoted must stand."""
    tests: str = ""
    """Template of the tests that the answer's code must pass."""


@dataclass(frozen=True, slots=True)
class Mitigation:
    """What is done about a skill in which the LLMs of a task are below need."""

    skill: str
    need: float
    have: float
    measure: Literal["avoid", "scaffold", "verify", "off"]
    said: str
    """What is done, in words."""
    by: Assignment | None = None
    """Who checks, and takes over."""
    llm: str = ""
    """The LLM that is taken although it is weak."""
    examples: tuple[tuple[str, str], ...] = ()
    """Worked examples that stand before its question."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of several that work on a task together."""

    name: str
    """What it is called in results: its LLM's id, `#2` behind a second sample, or an expert's."""
    assignment: Assignment
    sample: int = 0
    """Number of the sample, where one LLM is asked several times."""
    weight: float = 1.0
    """What its vote counts."""
    role: str = ""
    """Who it is asked to be."""
    when: str = ""
    """Condition of its being asked; empty for always."""


@dataclass(frozen=True, slots=True)
class Collaborating:
    """Several LLMs on one task."""

    type: Literal[
        "consensus", "best_of_n", "ensemble", "peer_review", "expert", "debate", "vote", "cascade"
    ]
    members: tuple[Member, ...]
    """Who answers; the author comes first."""
    method: Literal["majority", "weighted", "rank", "medoid", "judge", "synthesis"] = "majority"
    """How several answers become one."""
    field: str = ""
    """Field of the output that is voted on; empty for the whole."""
    answers: str = "auto"
    """What answers are; see `bmad_nb.answers.canonical.KINDS`."""
    threshold: float | None = None
    """Share in [0, 1] of the vote that is wanted, or score of `best_of_n` that is enough."""
    quorum: int = 1
    """Least answers; with fewer there is no result."""
    rounds: int = 1
    """Most rounds."""
    stop_early: bool = False
    """Ask no more than can change the result."""
    judge: Judging | None = None
    combiner: Assignment | None = None
    """The LLM that merges answers."""
    strong: Assignment | None = None
    """The LLM that is asked where cheap ones do not agree."""
    on_disagree: Literal["", "best", "judge", "human", "fail"] = ""
    """What happens without agreement; empty takes the answer with the most weight and says so."""
    note: str = ""
    """What a reader should know of the choice of members."""

    @property
    def is_self_consistency(self) -> bool:
        """Whether all members are one LLM, asked several times."""
        return len(self.members) > 1 and len({m.assignment.llm for m in self.members}) == 1


@dataclass(frozen=True, slots=True)
class Cascading:
    """LLMs that are asked one after another, until one's answer is accepted."""

    assignments: tuple[Assignment, ...]
    accept: str = ""
    """Expression over `out`; empty accepts every answer."""


@dataclass(frozen=True, slots=True)
class Asserting:
    """An assertion about the run, and what happens where it does not hold."""

    that: str
    at: Literal["start", "end", "each_item"] = "end"
    action: Literal["continue", "warn", "pause", "replan", "fail"] = "warn"


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked."""

    ask: str
    """Template."""
    show: str = ""
    """Expression of what is shown beside it."""
    options: tuple[str, ...] = ("yes", "no")
    form: tuple[str, ...] = ()
    """Names of further fields that the answer has."""
    timeout_s: float | None = None
    on_timeout: str = ""
    """Option that is taken after it; empty fails the task."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Hard limits of a run; None is no limit."""

    cost_usd: str | None = None
    """US dollars, as decimal text."""
    calls: int | None = None
    tokens: int | None = None
    time_s: float | None = None
    concurrency: int | None = None
    on_limit: Literal["pause", "degrade", "fail"] = "pause"


ONCE = Retries()
"""No attempt after the first."""
NO_LIMITS = RunLimits()
