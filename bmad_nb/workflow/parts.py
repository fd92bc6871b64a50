"""The parts of a task: limits, routes, retries, fallbacks, and what modifies a verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from bmad_nb.workflow.values import (
    Cause,
    Duration,
    Expression,
    FunctionName,
    InputType,
    Money,
    Name,
    Part,
    Template,
    Unit,
)
from bmad_nb.workflow.words import given


def short(field: str) -> Callable[[Any], Any]:
    """Return a validator that takes a text for `{field: text}`."""

    def widened(value: Any) -> Any:
        if isinstance(value, str):
            return {field: value}
        if value is None or isinstance(value, Mapping | Part):
            return value
        raise ValueError(f"must be a text or a mapping, not {given(value)}")

    return widened


def listed(value: Any) -> Any:
    """Return a text as a list of one."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return value
    raise ValueError(f"must be a text or a list, not {given(value)}")


def rung(value: Any) -> Any:
    """Return `skip` and `stored` as the mappings that they stand for."""
    if value in ("skip", "stored"):
        return {value: True}
    if isinstance(value, Mapping | Part):
        return value
    raise ValueError("must be a mapping, or one of the words skip and stored")


class Input(Part):
    """A declared input; the short form is its type alone."""

    type: InputType
    default: Any = Field(None, description="used where no value is given; a file has none")
    description: str = ""
    enum: list[Any] | None = Field(None, min_length=1, description="the values that it may have")

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return "default" not in self.model_fields_set


class Limits(Part):
    """Hard limits of a run or of one task."""

    cost: Money | None = None
    tokens: int | None = Field(None, ge=0, description="input and output tokens together")
    calls: int | None = Field(None, ge=0)
    time: Duration | None = None
    concurrency: int | None = Field(None, ge=1)
    on_limit: Literal["pause", "degrade", "fail"] = "pause"


class Params(Part):
    """Parameters of an LLM call."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    extra: dict[str, str | int | float | bool] = Field(
        {}, description="further parameters of a backend"
    )


class Retry(Part):
    """When and how often a task's call is made again."""

    attempts: int | None = Field(None, ge=1, le=100, description="in all, the first included")
    backoff: Duration = 1.0
    factor: float = Field(2.0, ge=1)
    max_backoff: Duration = 30.0
    jitter: bool = True
    causes: list[Cause] = Field(
        ["rate_limit", "server", "network", "timeout"],
        alias="for",
        description="kinds of errors after which it is made again",
    )


class Route(Part):
    """Which LLMs may do a task, and which of them is preferred; the short form is one id."""

    models: Annotated[
        list[str],
        BeforeValidator(listed, json_schema_input_type=str | list[str]),
        Field(description="candidates; globs allowed"),
    ] = []
    exclude: list[str] = []
    capabilities: dict[str, Unit] = Field({}, description="capability and its least score")
    min_quality: Unit | None = None
    max_cost: Money | None = Field(None, description="the most that one call may cost")
    max_latency: Duration | None = None
    context: int | None = Field(None, ge=1, description="tokens that must fit")
    mitigate: Literal["auto", "off"] | None = Field(
        None, description="where nobody meets the capabilities: mend what is weak, or leave it"
    )
    prefer: Literal["cheapest", "fastest", "best", "balanced", "efficient", "lean"] | None = None
    policy: str | None = None
    cascade: list[str] | None = Field(None, min_length=2)
    accept: Expression | None = None


RouteField = Annotated[Route, BeforeValidator(short("models"), json_schema_input_type=str | Route)]


class Rung(Part):
    """One fallback: exactly one key."""

    route: RouteField | None = None
    prompt: Template | None = None
    value: Any = None
    human: Template | None = None
    stored: Literal[True] | None = None
    skip: Literal[True] | None = None

    @model_serializer(mode="wrap")
    def _short(self, spelled: SerializerFunctionWrapHandler) -> Any:
        """Spell `skip` and `stored` as a document does."""
        return "skip" if self.skip else "stored" if self.stored else spelled(self)


class Judge(Part):
    """Who scores an answer; the short form is an expression."""

    that: Expression | None = None
    rubric: Template | None = None
    python: FunctionName | None = None
    route: RouteField | None = None
    samples: int | None = Field(None, ge=1, le=100)
    panel: int | None = Field(None, ge=2, le=20, description="different LLMs that judge")
    different_model: bool = True


JudgeField = Annotated[Judge, BeforeValidator(short("that"), json_schema_input_type=str | Judge)]


class Check(Part):
    """Something that must hold for an answer."""

    that: Expression | None = None
    judge: JudgeField | None = None
    min: Unit | None = None
    grounded: Expression | None = Field(None, description="text in which all quotes must stand")
    tests: Template | None = Field(None, description="Python that the answer's code must pass")
    on_fail: Literal["retry", "repair", "escalate", "fail", "warn", "human"] = "fail"


class Refine(Part):
    """A loop of draft, judgement and new draft."""

    until: Expression
    judge: JudgeField | None = None
    prompt: Template | None = None
    max: int = Field(3, ge=1)
    min_gain: float = Field(0.0, ge=0)
    patience: int | None = Field(None, ge=1)
    keep: Literal["best", "last"] = "best"
    on_exhausted: Literal["accept_best", "fail", "human"] = "accept_best"


class Map(Part):
    """The task is done once for each item of a list."""

    over: Expression
    item: Name = Field("item", alias="as")
    max_items: int = Field(1000, ge=1)
    concurrency: int | None = Field(None, ge=1)
    min_success: Unit = 1.0
    key: Expression | None = None


Method = Literal["majority", "weighted", "rank", "medoid", "judge", "synthesis"]


class Expert(Part):
    """One member of an expert consultation."""

    route: RouteField | None = None
    when: Expression | None = None
    role: str = ""


class Collaborate(Part):
    """Several LLMs on one task."""

    type: Literal[
        "consensus", "best_of_n", "ensemble", "peer_review", "expert", "debate", "vote", "cascade"
    ]  # fmt: skip
    models: list[str] = Field([], description="members; of a glob the preferred one")
    n: int | None = Field(None, ge=1, le=100, description="members; 3 where none are named")
    diverse: Literal["model", "family", "none"] | None = Field(
        None, description="what must differ; without it one LLM may be asked several times"
    )
    method: Method | None = None
    field: str | None = Field(None, description="field of the output that is voted on")
    answers: Literal["auto", "number", "choice", "text", "literal", "json"] = Field(
        "auto", description="what answers are, so that equal ones are counted as equal"
    )
    threshold: Unit | None = Field(None, description="share of the vote, or score, that is enough")
    quorum: int | None = Field(None, ge=1, description="least answers; fewer give no result")
    rounds: int | None = Field(None, ge=1, le=20)
    stop_early: bool = Field(False, description="ask no more than can change the result")
    judge: JudgeField | None = None
    anonymous: Literal[True] = Field(True, description="judges and peers never see names")
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field({}, description="by LLM")
    synthesizer: RouteField | None = None
    strong: RouteField | None = Field(None, description="who is asked where cheap ones disagree")
    experts: dict[str, Expert] = {}
    on_disagree: Literal["best", "judge", "human", "fail"] | None = None


class Approve(Part):
    """A question to a person."""

    ask: Template
    show: Expression | None = None
    options: list[str] = Field(["yes", "no"], min_length=1)
    form: dict[str, Any] | None = None
    timeout: Duration | None = None
    on_timeout: str | None = None


class Reduce(Part):
    """Many results into one."""

    source: Name = Field(alias="from")
    prompt: Template | None = None
    python: FunctionName | None = None
    batch: int | None = Field(None, ge=2)


class Checkpoint(Part):
    """An assertion about the run, and what happens where it does not hold."""

    that: Expression
    at: Literal["start", "end", "each_item"] = "end"
    action: Literal["continue", "warn", "pause", "replan", "fail"] = "warn"


class Turn(Part):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Template
