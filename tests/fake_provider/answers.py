"""What the fake models say: functions of model, prompt and seed alone, so that runs repeat."""

from __future__ import annotations

import hashlib
import math
import random
import re
from dataclasses import dataclass
from typing import Any

from tests.fake_provider.config import ModelConfig

_ANSWER = re.compile(r"\[answer: ([^\]]*)\]")
_SKILL = re.compile(r"\[skill: ([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Question:
    """The part of a request that decides its answer."""

    model: str
    messages: tuple[tuple[str, str], ...]
    """Role and text of each turn."""
    max_tokens: int | None
    seed: str
    """Of the provider and of the request; of the request's key too at a temperature above 0."""

    @property
    def prompt(self) -> str:
        """Text of the last message."""
        return self.messages[-1][1] if self.messages else ""

    def chance(self, *purpose: object) -> random.Random:
        """Return random numbers that depend on nothing but this question and their purpose."""
        return random.Random(repr((self.model, self.messages, self.seed, purpose)))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said, and what it costs in tokens."""

    text: str
    finish_reason: str
    input_tokens: int
    output_tokens: int


def read_question(body: dict[str, Any], seed: int, request_key: str) -> Question:
    """Return the question in the body of a chat completion.

    Raises:
        ValueError: the body lacks what OpenAI's format requires.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("'messages' must be a list with at least one message.")
    turns = []
    for each in messages:
        if not isinstance(each, dict) or not isinstance(each.get("content"), str):
            raise ValueError("Each message needs a 'role' and a 'content' of text.")
        turns.append((str(each.get("role")), each["content"]))
    if body.get("stream"):
        raise ValueError("'stream' is not spoken here yet.")
    varied = request_key if float(body.get("temperature") or 0) > 0 else ""
    most = body.get("max_tokens", body.get("max_completion_tokens"))
    return Question(
        model=str(body.get("model")),
        messages=tuple(turns),
        max_tokens=most,
        seed=f"{seed}/{body.get('seed')}/{varied}",
    )


def tokens(text: str) -> int:
    """Return how many tokens a text has here: one for each four bytes begun."""
    return math.ceil(len(text.encode("utf-8", "replace")) / 4)


def answer(question: Question, model: ModelConfig) -> Answer:
    """Return what a model answers.

    `[answer: X]` in the prompt is answered by X with the model's skill as probability, else by
    something wrong; `[skill: math]` names the skill. Any other prompt is answered by an echo.
    """
    text = _text(question, model)
    input_tokens = sum(tokens(each) + 4 for _, each in question.messages)
    output_tokens = tokens(text)
    if question.max_tokens is not None and output_tokens > question.max_tokens:
        text = text.encode()[: 4 * question.max_tokens].decode("utf-8", "ignore")
        return Answer(text, "length", input_tokens, question.max_tokens)
    return Answer(text, "stop", input_tokens, output_tokens)


def _text(question: Question, model: ModelConfig) -> str:
    planted = _ANSWER.search(question.prompt)
    if planted is None:
        digest = hashlib.sha256(repr((question.messages, question.seed)).encode()).hexdigest()
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
