"""The simulated fleet: LLMs with planted skills, prices, times and error rates.

They exist so that budgets, comparisons, routing and failures can be tried without a key. Nothing
that they say is a language model's answer, and everything that shows them says `simulated`. The
same request always gets the same answer.
"""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import json
import operator
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from bmad_nb.errors import ServerFailed
from bmad_nb.llms import simulated_code
from bmad_nb.llms import simulated_forms as forms
from bmad_nb.llms.base import Card
from bmad_nb.messages import Completion, Price, Request, Usage, fingerprint

CAPITALS = {
    "argentina": "Buenos Aires", "australia": "Canberra", "austria": "Vienna", "brazil": "Brasília",
    "canada": "Ottawa", "chile": "Santiago", "denmark": "Copenhagen", "egypt": "Cairo",
    "finland": "Helsinki", "france": "Paris", "germany": "Berlin", "greece": "Athens",
    "hungary": "Budapest", "iceland": "Reykjavik", "india": "New Delhi", "ireland": "Dublin",
    "italy": "Rome", "japan": "Tokyo", "kenya": "Nairobi", "mexico": "Mexico City",
    "morocco": "Rabat", "norway": "Oslo", "peru": "Lima", "poland": "Warsaw",
    "portugal": "Lisbon", "spain": "Madrid", "sweden": "Stockholm", "switzerland": "Bern",
    "thailand": "Bangkok", "turkey": "Ankara", "vietnam": "Hanoi",
}  # fmt: skip

_GLAD = set("good great love loved excellent fast happy helpful thanks perfect pleased".split())  # noqa: SIM905
_SAD = set("bad late broken slow angry hate hated terrible refund damaged crash never".split())  # noqa: SIM905
_SUM = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:\s*(?:[-+*/x×])\s*-?\d+(?:\.\d+)?)+")  # noqa: RUF001
_INSTRUCTION = re.compile(
    r"(please\s+)?(answer|choose|compare|copy|correct|describe|explain|find|give|list|name|propose"
    r"|quote|rewrite|say|score|shorten|summari[sz]e"
    r"|tell|translate|use|write|in one|what|why|how|which|who)\b",
    re.IGNORECASE,
)
_FENCES = re.compile(r"^(?:</?[0-9a-f]{12}>|Candidate [A-Z]:|The task was:)$\n?", re.MULTILINE)
"""What stands around texts of others in a prompt: no words of the question."""
_VERDICTS = "true, false or unknown"
"""What a prompt says that asks for a verdict on a claim."""
_WORD_OPERATORS = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


Skills = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Persona:
    """What is planted in one simulated LLM."""

    name: str
    skills: Skills
    """Probability in [0, 1] of a right answer, by capability."""
    input_usd_per_mtok: str
    output_usd_per_mtok: str
    latency_s: float
    """Median seconds of a call."""
    error_rate: float = 0.0
    """Share of requests that fail with a server error."""

    def card(self) -> Card:
        """Return what the catalogue shows."""
        planted = [self.name, list(self.skills), self.latency_s, self.error_rate]
        return Card(
            id=f"sim/{self.name}",
            identity=f"simulated:1:{fingerprint(planted)}",
            model=self.name,
            price=Price(
                Decimal(self.input_usd_per_mtok),
                Decimal(self.output_usd_per_mtok),
                source="simulated",
            ),
            context_tokens=32_768,
            default_max_tokens=256,
            capabilities=self.skills,
            sees_images=False,
            simulated=True,
            tags=("simulated",),
        )


def _skills(
    math: float, facts: float, classify: float, general: float
) -> tuple[tuple[str, float], ...]:
    return (("math", math), ("facts", facts), ("classify", classify), ("general", general))


FLEET = {
    persona.name: persona
    for persona in (
        Persona(
            "careful",
            _skills(math=0.95, facts=0.95, classify=0.95, general=0.9),
            "1.00",
            "4.00",
            0.40,
        ),
        Persona(
            "hasty",
            _skills(math=0.60, facts=0.70, classify=0.80, general=0.5),
            "0.10",
            "0.40",
            0.08,
        ),
        Persona(
            "calculator",
            _skills(math=0.99, facts=0.40, classify=0.50, general=0.4),
            "0.20",
            "0.80",
            0.15,
        ),
        Persona(
            "librarian",
            _skills(math=0.40, facts=0.99, classify=0.85, general=0.7),
            "0.40",
            "1.60",
            0.25,
        ),
        Persona(
            "flaky",
            _skills(math=0.70, facts=0.70, classify=0.70, general=0.7),
            "0.20",
            "0.80",
            0.20,
            error_rate=0.3,
        ),
    )
}


class SimulatedLLM:
    """A member of the fleet, or one of your own with skills that you plant.

    Args:
        persona: what is planted.
        truths: right answers by a part of the prompt, for questions that the fleet cannot solve.
    """

    def __init__(self, persona: Persona, truths: Mapping[str, str] | None = None) -> None:
        """Build the card; nothing runs until a request comes."""
        self.persona = persona
        self.truths = dict(truths or {})
        self.card = persona.card()
        self._attempts: Counter[str] = Counter()

    async def complete(self, request: Request) -> Completion:
        """Answer from the planted skills after the planted time.

        Raises:
            ServerFailed: for the planted share of requests.
        """
        chance = random.Random(request.key)  # noqa: S311  (a simulation, and it must repeat)
        latency_s = self.persona.latency_s * chance.lognormvariate(0.0, 0.25)
        await asyncio.sleep(latency_s)
        return self._completion(request, chance, latency_s)

    async def stream(self, request: Request, on_text: Callable[[str], None]) -> Completion:
        """Answer as `complete` does, in pieces over the planted time, a third of it before.

        Raises:
            ServerFailed: for the planted share of requests.
        """
        chance = random.Random(request.key)  # noqa: S311  (as above)
        latency_s = self.persona.latency_s * chance.lognormvariate(0.0, 0.25)
        await asyncio.sleep(latency_s / 3)
        made = self._completion(request, chance, latency_s)
        steps = max(1, min(20, len(made.text) // 4))
        size = -(-len(made.text) // steps)
        for step in range(steps):
            on_text(made.text[step * size : (step + 1) * size])
            await asyncio.sleep(latency_s * 2 / 3 / steps)
        return dataclasses.replace(made, first_token_s=latency_s / 3)

    def _completion(self, request: Request, chance: random.Random, latency_s: float) -> Completion:
        if self._fails(request, chance.random()):
            raise ServerFailed(
                f"{self.card.id} failed, as simulated (HTTP 503).",
                llm=self.card.id,
                status=503,
                billed="no",
                hint="Its planted error rate does this; other LLMs of the fleet do not fail.",
            )
        text, cut = _cut(self._answer(request, chance), request.max_tokens)
        return Completion(
            text=text,
            usage=Usage(
                input_tokens=sum(_tokens(m.text) + 4 for m in request.messages),
                output_tokens=_tokens(text),
            ),
            finish_reason="length" if cut else "stop",
            model=self.persona.name,
            latency_s=latency_s,
        )

    async def aclose(self) -> None:
        """Do nothing: a simulated LLM holds nothing."""

    def _fails(self, request: Request, first: float) -> bool:
        """Return whether this attempt meets a planted error; the next one may not."""
        self._attempts[request.key] += 1
        number = self._attempts[request.key]
        again = random.Random(f"{request.key} {number}")  # noqa: S311  (as above)
        return (first if number == 1 else again.random()) < self.persona.error_rate

    def _answer(self, request: Request, chance: random.Random) -> str:
        asked = next(m.text for m in request.messages if m.role == "user")
        question = asked.partition(forms.MARK)[0].strip() if request.schema else request.prompt
        question = _FENCES.sub("", question)
        capability, truth, wrong = solve(question, self.truths)
        skills = dict(self.persona.skills)
        sure = skills.get(capability, 0.5)
        right = chance.random() < sure
        if truth:
            said = truth if right else chance.choice(wrong)
        else:
            said = _summary(question, keep=3 if right else 1)
        if not request.schema or chance.random() > (1 + skills.get("general", 0.5)) / 2:
            return said  # now and then the demanded form is forgotten
        tests = simulated_code.tests_for(question, right=right)
        material = forms.Material(said, tuple(_sentences(question)), sure, tests)
        return forms.filled(json.loads(request.schema), material, question, chance)


def _tokens(text: str) -> int:
    return max(1, (len(text) + 3) // 4)


def _cut(text: str, max_tokens: int) -> tuple[str, bool]:
    limit = max_tokens * 4
    return (text[:limit], True) if len(text) > limit else (text, False)


def solve(prompt: str, truths: Mapping[str, str]) -> tuple[str, str, list[str]]:
    """Return the capability that a prompt asks for, the right answer, and wrong ones."""
    lowered = prompt.lower()
    for part, truth in truths.items():
        if part.lower() in lowered:
            return "facts", truth, ["I do not know.", "It depends."]
    if (program := simulated_code.asked_for(prompt)) is not None:
        return "general", program.right, list(program.wrong)
    return _solved(lowered)


def _solved(lowered: str) -> tuple[str, str, list[str]]:
    """Return the same as `solve`, for a prompt in small letters."""
    if _VERDICTS in lowered:
        truth = _verdict(lowered)
        return "facts", truth, [each for each in ("true", "false", "unknown") if each != truth]
    if (value := _arithmetic(lowered)) is not None:
        truth = _number(value)
        near = map(_number, (value + 1, value - 1, value * 10, value + 9))
        return "math", truth, [wrong for wrong in near if wrong != truth]
    if "capital" in lowered:
        for country, capital in CAPITALS.items():
            if re.search(rf"\b{country}\b", lowered):
                return "facts", capital, [c for c in CAPITALS.values() if c != capital]
    if "positive" in lowered and "negative" in lowered:
        words = set(re.findall(r"[a-z]+", lowered))
        glad, sad = len(words & _GLAD), len(words & _SAD)
        truth = "positive" if glad >= sad else "negative"
        return "classify", truth, ["negative" if truth == "positive" else "positive"]
    return "general", "", []


def _verdict(claim: str) -> str:
    """Return whether a claim about a capital or a sum is true; unknown for any other."""
    said = re.search(r"capital of ([a-z ]+?) is ([^\W\d_][^.\n]*)", claim)
    if said is not None and said[1] in CAPITALS:
        return "true" if CAPITALS[said[1]].lower() == said[2].strip() else "false"
    sum_ = re.search(r"([\d.+*/x× -]+?) (?:is|equals) (-?\d+(?:\.\d+)?)\b", claim)  # noqa: RUF001
    value = _arithmetic(sum_[1]) if sum_ else None
    if sum_ is None or value is None:
        return "unknown"
    return "true" if value == float(sum_[2]) else "false"


def _arithmetic(text: str) -> float | None:
    for word, sign in _WORD_OPERATORS.items():
        text = text.replace(f" {word} ", f" {sign} ")
    found = _SUM.search(text)
    if found is None or len(found.group()) > 200:
        return None
    spelled = re.sub(r"[x×]", "*", found.group())  # noqa: RUF001
    try:
        value = _reckon(ast.parse(spelled, mode="eval").body)
    except (SyntaxError, ZeroDivisionError, OverflowError, ValueError, KeyError):
        return None
    return value if abs(value) < 1e15 else None


def _reckon(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_reckon(inner)
        case ast.BinOp(left=left, op=sign, right=right):
            return _OPERATORS[type(sign)](_reckon(left), _reckon(right))
    raise ValueError("not arithmetic")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6g}"


def _summary(prompt: str, keep: int) -> str:
    """Return sentences of the prompt itself: there is no language model behind this.

    What reads like an instruction is left out where anything else is there.
    """
    sentences = _sentences(prompt)
    longest = sorted(sentences, key=len, reverse=True)[:keep]
    return " ".join(s for s in sentences if s in longest)


def _sentences(prompt: str) -> list[str]:
    """Return the sentences of a prompt, without those that read like an instruction."""
    found = [s.strip() for s in re.split(r"(?<=[.!?:])\s+|\n+", prompt) if s.strip()]
    return list(dict.fromkeys(s for s in found if not _INSTRUCTION.match(s))) or found
