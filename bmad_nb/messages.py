"""What is said to an LLM and what comes back: plain frozen data.

Money is `Decimal` in US dollars; times are seconds; tokens are counts.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Role = Literal["system", "user", "assistant"]
Scalar = str | int | float | bool | None


def canonical_json(value: object) -> bytes:
    r"""Return one ASCII spelling of a JSON value: sorted keys, no spaces, escapes for all else.

    ASCII escapes keep lone surrogates and NUL, which SQLite text would refuse or cut.

    >>> canonical_json({"b": 1, "a": "ü"}).decode()
    '{"a":"\\u00fc","b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def fingerprint(value: object) -> str:
    """Return the SHA-256 of a JSON value's canonical spelling, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; None where the provider did not say."""

    input_tokens: int | None = None
    """Tokens of the prompt, cached ones included."""
    output_tokens: int | None = None
    """Tokens of the answer, reasoning included."""
    cached_input_tokens: int | None = None
    """Part of `input_tokens` that the provider had cached."""
    reasoning_tokens: int | None = None
    """Part of `output_tokens` that was not shown."""


@dataclass(frozen=True, slots=True)
class Price:
    """List price of an LLM."""

    input_usd_per_mtok: Decimal
    """US dollars per million tokens of input."""
    output_usd_per_mtok: Decimal
    """US dollars per million tokens of output."""
    cached_input_usd_per_mtok: Decimal | None = None
    """US dollars per million cached tokens of input; None means the price of input."""
    source: str = ""
    """Where the price comes from, such as `settings` or `genai-prices 0.2.3`."""
    as_of: str = ""
    """ISO date at which the price was looked up or fixed."""

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the cost of `usage` in US dollars, or None if the token counts are unknown.

        A free price costs zero even where nobody counted.
        """
        if not (self.input_usd_per_mtok or self.output_usd_per_mtok):
            return Decimal(0)
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        cached = min(usage.cached_input_tokens or 0, usage.input_tokens)
        cached_price = self.cached_input_usd_per_mtok
        if cached_price is None:
            cached_price = self.input_usd_per_mtok
        total = (
            self.input_usd_per_mtok * (usage.input_tokens - cached)
            + cached_price * cached
            + self.output_usd_per_mtok * usage.output_tokens
        )
        return total / 1_000_000

    def worst_case(self, request: Request) -> Decimal:
        """Return the most that `request` can cost, in US dollars."""
        return (
            self.input_usd_per_mtok * request.most_input_tokens
            + self.output_usd_per_mtok * request.max_tokens
        ) / 1_000_000  # fmt: skip


FREE = Price(Decimal(0), Decimal(0), source="own machine")


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one LLM; equal requests have equal keys and share one stored answer."""

    llm: str
    """Id of the LLM, `endpoint/name`."""
    identity: str
    """What really answers: the endpoint's URL, or the hash of the weights."""
    model: str
    """The model's name at its endpoint."""
    messages: tuple[Message, ...]
    max_tokens: int
    """Most tokens of the answer; always sent, so that the worst case is known."""
    params: tuple[tuple[str, Scalar], ...] = ()
    """Further parameters such as `temperature` and `seed`, sorted by name."""
    sample: int = 0
    """Number of the sample, from 0: two samples are two requests."""
    fresh: str = ""
    """Set where a stored answer is not wanted: no part of the key, but of what a provider sees."""
    schema: str = ""
    """JSON Schema that the answer must match, as canonical JSON; empty for any text."""

    @property
    def key(self) -> str:
        """SHA-256 over all that decides the answer: same key, same stored answer."""
        return fingerprint(
            [
                self.identity,
                self.model,
                [[m.role, m.text] for m in self.messages],
                self.max_tokens,
                [list(pair) for pair in self.params],
                self.sample,
                *([self.schema] if self.schema else []),
            ]
        )

    @property
    def most_input_tokens(self) -> int:
        """Bound on the tokens of the prompt.

        A token stands for at least one byte; 32 tokens per message cover the provider's own frame
        around it.
        """
        return sum(len(m.text.encode("utf-8", "surrogatepass")) + 32 for m in self.messages)

    @property
    def most_tokens(self) -> int:
        """Bound on the tokens of prompt and answer together."""
        return self.most_input_tokens + self.max_tokens

    @property
    def idempotency_key(self) -> str:
        """The same for each attempt at one call; another one where a new answer is wanted."""
        return fingerprint([self.key, self.fresh]) if self.fresh else self.key

    @property
    def prompt(self) -> str:
        """The text of the last message, which is what the user asked."""
        return self.messages[-1].text


@dataclass(frozen=True, slots=True)
class Completion:
    """What an LLM answered."""

    text: str
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = "stop"
    """`stop`, `length` (cut at `max_tokens`), or the provider's own word."""
    model: str = ""
    """The model's name as the provider reports it."""
    latency_s: float = 0.0
    """Seconds from sending the request to the last byte of the answer."""
    first_token_s: float | None = None
    """Seconds to the first token; None where the answer came in one piece."""


MOST_TOKENS = 2**31
"""No call has more tokens; a larger number is a mistake of whoever counted."""


def defect_of(completion: object) -> str:
    """Return what makes an LLM's return value unusable, or an empty text."""
    if not isinstance(completion, Completion):
        return f"it returned {type(completion).__name__}, not a Completion"
    if not isinstance(completion.text, str):
        return f"its text is {type(completion.text).__name__}"
    if not isinstance(completion.usage, Usage):
        return f"its usage is {type(completion.usage).__name__}"
    usage = completion.usage
    counts = (usage.input_tokens, usage.output_tokens)
    for count in (*counts, usage.cached_input_tokens, usage.reasoning_tokens):
        whole = isinstance(count, int) and not isinstance(count, bool)
        if count is not None and not (whole and 0 <= count <= MOST_TOKENS):
            return f"it counts {count!r} tokens"[:80]
    for seconds in (completion.latency_s, completion.first_token_s or 0.0):
        if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            return f"it took {seconds!r} seconds"[:80]
    return "" if isinstance(completion.finish_reason, str) else "its finish_reason is no text"


def variant_name(params: Mapping[str, Scalar]) -> str:
    """Return how a setting is written behind an LLM's id: `temperature=1&top_p=0.9`.

    >>> variant_name({"top_p": 0.9, "temperature": 1})
    'temperature=1&top_p=0.9'
    """
    return "&".join(f"{name}={value}" for name, value in sorted(params.items()))
