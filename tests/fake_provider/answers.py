"""What the fake models say: functions of model, prompt and seed alone, so that runs repeat."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fake_provider.config import ModelConfig
from tests.fake_provider.schemas import example

_ANSWER = re.compile(r"\[answer: ([^\]]*)\]")
_SKILL = re.compile(r"\[skill: ([^\]]*)\]")
IMAGE_TOKENS = 100
"""What each picture counts, whatever its size."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that came with a question."""

    media_type: str
    digest: str
    """First hex digits of the SHA-256 of its bytes."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request in no format's words: what decides its answer, and how it is to be told."""

    model: str
    messages: tuple[tuple[str, str], ...]
    """Role and text of each turn; the roles are `system`, `user` and `assistant`."""
    max_tokens: int | None
    seed: str
    """Of the request; `seeded` adds the provider's, and the request's key if answers vary."""
    temperature: float = 0.0
    stream: bool = False
    images: tuple[Image, ...] = ()
    schema: dict[str, Any] | None = None
    """JSON Schema of the answer."""
    top_logprobs: int | None = None
    """Alternatives per token whose log-probabilities are told; None tells none at all."""
    include_usage: bool = True
    """Whether a stream says its tokens."""
    answer_id: str = ""

    @property
    def prompt(self) -> str:
        """Text of the last message."""
        return self.messages[-1][1] if self.messages else ""

    @property
    def input_tokens(self) -> int:
        """Tokens of all turns, each with 4 for its frame, and of the pictures."""
        return sum(tokens(t) + 4 for _, t in self.messages) + IMAGE_TOKENS * len(self.images)

    def chance(self, *purpose: object) -> random.Random:
        """Return random numbers that depend on nothing but this question and their purpose."""
        return random.Random(repr((self.model, self.messages, self.seed, purpose)))

    def seeded(self, seed: int, request_key: str) -> Question:
        """Return the question with the provider's seed; above temperature 0 its key counts too."""
        varied = request_key if self.temperature > 0 else ""
        return dataclasses.replace(
            self, seed=f"{seed}/{self.seed}/{varied}", answer_id=f"fake-{request_key[:12]}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what is logged of it beside the request's body."""
        return {
            "model": self.model,
            "stream": self.stream,
            "max_tokens": self.max_tokens,
            "images": [each.media_type for each in self.images],
            "schema": self.schema,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said and what it costs in tokens; the formats spell it, faults change it."""

    text: str
    finish_reason: str | None
    """`stop`, `length`, `refusal`, `filter` or `tool`; None tells none."""
    input_tokens: int
    output_tokens: int
    """All that is billed, reasoning among it."""
    cached_tokens: int = 0
    """Those of the input that came from a cache."""
    reasoning_tokens: int = 0
    told: Callable[[int], object] | None = int
    """What a count is told as; None leaves the usage out."""
    role: str = ""
    """Empty is the format's own."""
    odd: bool = False
    """Whether the content is of a type that nobody expects."""
    piece_length: int = 8
    """Characters in an event of a stream."""

    @property
    def half(self) -> str:
        """First half of the text, and at least one character of it."""
        return self.text[: math.ceil(len(self.text) / 2)]

    @property
    def pieces(self) -> list[str]:
        """The text as a stream brings it: two pieces at least, wherever it can be cut."""
        length = max(1, min(self.piece_length, math.ceil(len(self.text) / 2)))
        return [self.text[i : i + length] for i in range(0, len(self.text), length)]


def tokens(text: str) -> int:
    """Return how many tokens a text has here: one for each four bytes begun."""
    return math.ceil(len(text.encode("utf-8", "replace")) / 4)


def answer(question: Question, model: ModelConfig) -> Answer:
    """Return what a model answers.

    `[answer: X]` in the prompt is answered by X with the model's skill as probability, else by
    something wrong; `[skill: math]` names the skill. A schema is answered by an example of it, and
    any other prompt by an echo.
    """
    text = _text(question, model)
    most = question.max_tokens
    room = None if most is None else max(0, most - model.reasoning_tokens)
    finish_reason = "stop"
    if room is not None and tokens(text) > room:
        text = text.encode("utf-8", "replace")[: 4 * room].decode("utf-8", "ignore")
        finish_reason = "length"
    reasoning_tokens = model.reasoning_tokens if most is None else min(model.reasoning_tokens, most)
    # a limit that cut the text was used up, even where the cut went through a character
    said = room if room is not None and finish_reason == "length" else tokens(text)
    return Answer(
        text,
        finish_reason,
        question.input_tokens,
        said + reasoning_tokens,
        min(model.cached_tokens, question.input_tokens),
        reasoning_tokens,
    )


def _text(question: Question, model: ModelConfig) -> str:
    planted = _ANSWER.search(question.prompt)
    if planted is None and question.schema is not None:
        return json.dumps(example(question.schema))
    if planted is None:
        seen = (question.messages, question.seed, *question.images)
        digest = hashlib.sha256(repr(seen).encode()).hexdigest()
        return f"answer of {question.model} to {digest[:8]}"
    right = planted.group(1)
    named = _SKILL.search(question.prompt)
    skill = model.skill.get(named.group(1) if named else "default", model.skill.get("default", 1.0))
    chance = question.chance("answer")
    if chance.random() < skill:
        return right
    try:
        return str(int(right) + chance.randint(1, 9))
    except ValueError:
        return f"wrong-{chance.randrange(16**4):04x}"


def latency_s(question: Question, model: ModelConfig, attempt: int) -> float:
    """Return the seconds that the model thinks about a question, at its nth request."""
    if not isinstance(model.latency_s, tuple):
        return model.latency_s
    median_s, sigma = model.latency_s
    return median_s * math.exp(sigma * question.chance("latency", attempt).gauss(0, 1))


def fault(question: Question, model: ModelConfig, number: int, attempt: int) -> str:
    """Return the fault of a request: `ok`, or one of the names in `config.FAULTS`, or a status.

    Args:
        question: what is asked.
        model: whom.
        number: how many requests this model had before.
        attempt: how many requests this request's key had before; a retry draws anew.
    """
    if number < len(model.faults):
        return model.faults[number]
    draw = question.chance("fault", attempt).random()
    for name, rate in model.fault_rates.items():
        draw -= rate
        if draw < 0:
            return name
    return "ok"
