"""What is said to an LLM and what comes back: plain frozen data.

Money is `Decimal` in US dollars; times are seconds; tokens are counts.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Context, Decimal
from typing import Any, Literal

from bmad_nb.errors import UsageProblem

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
class Image:
    """A picture in a message."""

    media_type: str
    """`image/png`, `image/jpeg`, `image/gif` or `image/webp`."""
    data: bytes = field(repr=False)
    """The file's bytes; empty where only the store's note of it is left."""
    digest: str = ""
    """SHA-256 of the bytes, in hex; reckoned where it is not given."""

    def __post_init__(self) -> None:
        """Reckon the digest."""
        if not self.digest:
            object.__setattr__(self, "digest", hashlib.sha256(self.data).hexdigest())


MOST_IMAGE_TOKENS = 50_000
"""Bound on the tokens of one picture, over all that providers document."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str
    images: tuple[Image, ...] = field(default=(), repr=False)
    """Pictures that belong to the text."""


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
    cache_write_tokens: int | None = None
    """Part of `input_tokens` that the provider put in a cache."""


MOST_USD = 10**9
"""No amount of a price is larger; a larger one is a mistake."""
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?(E[+-]?[0-9]{1,9})?")
_FINEST = Decimal("1e-30")
_EXACT = Context(prec=200)  # more digits than any bounded amount times any bounded count


@dataclass(frozen=True, slots=True)
class Price:
    """List price of an LLM: amounts from 0 to `MOST_USD`, with at most 30 decimal places."""

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
    cache_write_usd_per_mtok: Decimal | None = None
    """US dollars per million tokens of input put in a cache; None means the price of input."""
    reasoning_usd_per_mtok: Decimal | None = None
    """US dollars per million tokens of reasoning; None means the price of output."""
    request_usd: Decimal = Decimal(0)
    """US dollars per request, whatever its tokens."""

    def __post_init__(self) -> None:
        """Refuse an amount that would let a budget be overrun.

        Raises:
            UsageProblem: an amount is no Decimal, not finite, negative, too large or too fine.
        """
        for each in fields(self):
            amount = getattr(self, each.name)
            if "_usd" in each.name and amount is not each.default and not _is_amount(amount):
                raise UsageProblem(
                    f"{each.name} is {amount!r:.50}, which cannot be an amount.",
                    hint=f"Use a Decimal from 0 to {MOST_USD:,} with at most 30 decimal places.",
                )

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the cost of `usage` in US dollars, or None if the token counts are unknown.

        Where tokens are free, the cost is known even where nobody counted.
        """
        asked, answered = usage.input_tokens, usage.output_tokens
        if not any(self._by_token):
            return self.request_usd
        if asked is None or answered is None:
            return None
        cached = min(usage.cached_input_tokens or 0, asked)
        written = min(usage.cache_write_tokens or 0, asked - cached)
        reasoned = min(usage.reasoning_tokens or 0, answered)
        counts = (asked - cached - written, cached, written, answered - reasoned, reasoned)
        return self._total(zip(self._by_token, counts, strict=True))

    def worst_case(self, request: Request) -> Decimal:
        """Return the most that `request` can cost, in US dollars."""
        dearest = max(self._by_token[:3]), max(self._by_token[3:])
        return self._total(
            zip(dearest, (request.most_input_tokens, request.max_tokens), strict=True)
        )

    @property
    def _by_token(self) -> tuple[Decimal, ...]:
        """US dollars per million plain, cached and written tokens, then shown and reasoned ones."""
        given, answered = self.input_usd_per_mtok, self.output_usd_per_mtok
        cached, written = self.cached_input_usd_per_mtok, self.cache_write_usd_per_mtok
        reasoned = self.reasoning_usd_per_mtok
        return (
            given,
            given if cached is None else cached,
            given if written is None else written,
            answered,
            answered if reasoned is None else reasoned,
        )

    def _total(self, parts: Iterable[tuple[Decimal, int]]) -> Decimal:
        """Return the fee of a request and the cost of its tokens, exactly."""
        total = Decimal(0)
        for usd_per_mtok, tokens in parts:
            total = _EXACT.fma(usd_per_mtok, tokens, total)
        return _EXACT.add(self.request_usd, _EXACT.divide(total, 1_000_000))

    def to_json(self) -> dict[str, str]:
        """Return the fields that differ from their defaults, amounts as decimal text."""
        values = ((each, getattr(self, each.name)) for each in fields(self))
        return {each.name: str(value) for each, value in values if value != each.default}

    @classmethod
    def from_json(cls, value: object) -> Price:
        """Return the price that `to_json` wrote as `value`.

        Raises:
            UsageProblem: `value` is not what `to_json` writes.
        """
        names = {each.name for each in fields(cls)}
        needed = {each.name for each in fields(cls) if each.default is MISSING}
        if not isinstance(value, dict) or not needed <= value.keys() <= names:
            raise UsageProblem(f"{value!r:.200} is not a price.", hint=_PRICE_HINT)
        return cls(**{name: _read(name, text) for name, text in value.items()})


_PRICE_HINT = "Give what Price.to_json writes: amounts in US dollars as decimal text."


def _is_amount(value: object) -> bool:
    """Tell whether a value is a Decimal within the bounds of a price."""
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= MOST_USD:
        return False
    return value == value.quantize(_FINEST, context=_EXACT)


def _read(name: str, text: object) -> Any:
    """Return a field of a price from its JSON value."""
    if isinstance(text, str) and "_usd" not in name:
        return text
    if isinstance(text, str) and _AMOUNT.fullmatch(text):
        return Decimal(text)
    raise UsageProblem(f"{name} of a price is {text!r:.50}.", hint=_PRICE_HINT)


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
                [[m.role, m.text, *(i.digest for i in m.images)] for m in self.messages],
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
        around it. A schema is read as input too.
        """
        texts = sum(len(m.text.encode("utf-8", "surrogatepass")) + 32 for m in self.messages)
        images = sum(len(m.images) for m in self.messages)
        return texts + images * MOST_IMAGE_TOKENS + 2 * len(self.schema)

    @property
    def most_tokens(self) -> int:
        """Bound on the tokens of prompt and answer together."""
        return self.most_input_tokens + self.max_tokens

    @property
    def likely_tokens(self) -> int:
        """Tokens of prompt and answer together, guessed: a token is about four bytes."""
        images = sum(len(m.images) for m in self.messages)
        prompt = self.most_input_tokens - images * MOST_IMAGE_TOKENS
        return prompt // 4 + images * 1500 + self.max_tokens

    @property
    def idempotency_key(self) -> str:
        """The same for each attempt at one call; another one where a new answer is wanted."""
        return fingerprint([self.key, self.fresh]) if self.fresh else self.key

    @property
    def prompt(self) -> str:
        """The text of the last message, which is what the user asked."""
        return self.messages[-1].text


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an answer with its natural log-probability."""

    text: str
    logprob: float
    others: tuple[tuple[str, float], ...] = ()
    """Tokens that could have stood here and their log-probabilities, the likeliest first."""


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
    tokens: tuple[Token, ...] = ()
    """Tokens with their log-probabilities, where they were asked for and given."""
    original_cost_usd: Decimal | None = None
    """US dollars that a recorded answer cost when it was made; None for a new answer."""


MOST_TOKENS = 2**31
"""No call has more tokens; a larger number is a mistake of whoever counted."""


def defect_of(completion: object) -> str:
    """Return what makes an LLM's return value unusable, or an empty text."""
    if not isinstance(completion, Completion):
        return f"it returned {type(completion).__name__}, not a Completion"
    for name, kind in (("text", str), ("finish_reason", str), ("usage", Usage)):
        value = getattr(completion, name)
        if not isinstance(value, kind):
            return f"its {name} is {type(value).__name__}"
    usage = completion.usage
    counts = (usage.input_tokens, usage.output_tokens)
    parts = (usage.cached_input_tokens, usage.cache_write_tokens, usage.reasoning_tokens)
    for count in (*counts, *parts):
        whole = isinstance(count, int) and not isinstance(count, bool)
        if count is not None and not (whole and 0 <= count <= MOST_TOKENS):
            return f"it counts {count!r} tokens"[:80]
    for seconds in (completion.latency_s, completion.first_token_s or 0.0):
        if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            return f"it took {seconds!r} seconds"[:80]
    cost = completion.original_cost_usd
    is_amount = cost is None or _is_amount(cost)
    return "" if is_amount else f"it cost {cost!r} US dollars"[:80]


def variant_name(params: Mapping[str, Scalar]) -> str:
    """Return how a setting is written behind an LLM's id: `temperature=1&top_p=0.9`.

    >>> variant_name({"top_p": 0.9, "temperature": 1})
    'temperature=1&top_p=0.9'
    """
    return "&".join(f"{name}={value}" for name, value in sorted(params.items()))
