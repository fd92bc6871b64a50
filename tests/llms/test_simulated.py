"""The simulated fleet: it repeats itself, and it is as good, as dear and as flaky as planted."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.errors import ServerFailed
from bmad_nb.llms import simulated_code
from bmad_nb.llms.base import LLM
from bmad_nb.llms.simulated import FLEET, Persona, SimulatedLLM, solve
from bmad_nb.messages import Completion, Message, Request
from bmad_nb.scorers.code import passed

SKILLS = (("math", 0.6), ("facts", 0.7), ("classify", 0.8), ("general", 0.5))
HASTY = Persona("hasty", SKILLS, "0.10", "0.40", latency_s=0)
SUMS = [(a, b) for a in range(11, 41) for b in range(50, 60)]


def request(prompt: str, llm: SimulatedLLM, max_tokens: int = 256) -> Request:
    """Return a request to a member of the fleet."""
    card = llm.card
    return Request(card.id, card.identity, card.model, (Message("user", prompt),), max_tokens)


def ask(llm: SimulatedLLM, *prompts: str, **options: int) -> list[Completion | ServerFailed]:
    """Ask all prompts at once; a simulated failure is given back."""

    async def work() -> list[Completion | ServerFailed]:
        asked = (llm.complete(request(prompt, llm, **options)) for prompt in prompts)
        found = await asyncio.gather(*asked, return_exceptions=True)
        for each in found:
            assert isinstance(each, Completion | ServerFailed), each
        return found  # type: ignore[return-value]

    return asyncio.run(work())


def within(share: float, hits: int, count: int) -> bool:
    """Return whether a count lies within four standard errors of a planted share."""
    return abs(hits - share * count) <= 4 * math.sqrt(count * share * (1 - share)) + 1


def test_the_same_request_gets_the_same_answer() -> None:
    """Answer, time and failure repeat, in this process and in another object; a sample differs."""
    prompts = [f"What is {a} * {b}?" for a, b in SUMS]
    persona = dataclasses.replace(HASTY, error_rate=0.2, latency_s=1e-9)
    first, second = ask(SimulatedLLM(persona), *prompts), ask(SimulatedLLM(persona), *prompts)
    assert [str(each) for each in first] == [str(each) for each in second]
    other = dataclasses.replace(request(prompts[0], SimulatedLLM(persona)), sample=1)
    assert other.key != request(prompts[0], SimulatedLLM(persona)).key


@pytest.mark.parametrize("skill", [0.0, 0.3, 0.6, 0.95, 1.0])
def test_the_planted_skill_is_reached(skill: float) -> None:
    """Over 300 sums the share of right answers is the planted skill, within chance."""
    llm = SimulatedLLM(dataclasses.replace(HASTY, skills=(("math", skill),)))
    found = ask(llm, *(f"What is {a} * {b}? Answer with the number only." for a, b in SUMS))
    right = sum(
        isinstance(each, Completion) and str(a * b) == each.text
        for each, (a, b) in zip(found, SUMS, strict=True)
    )
    assert 300 == len(found)
    assert within(skill, right, 300)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_planted_share_fails(rate: float) -> None:
    """Over 300 requests the share of server errors is the planted one; none of them is billed."""
    llm = SimulatedLLM(dataclasses.replace(HASTY, error_rate=rate))
    found = ask(llm, *(f"What is {a} + {b}?" for a, b in SUMS))
    failed = [each for each in found if isinstance(each, ServerFailed)]
    assert within(rate, len(failed), 300)
    assert {("no", 503)} >= {(error.billed, error.status) for error in failed}


@pytest.mark.parametrize("name", FLEET)
def test_the_fleet_is_as_its_card_says(name: str) -> None:
    """Each member is an LLM, is labelled simulated, and has a price, skills and a context."""
    llm = SimulatedLLM(FLEET[name])
    assert isinstance(llm, LLM)
    card = llm.card
    assert (f"sim/{name}", True, False) == (card.id, card.simulated, card.runs_here)
    assert card.price is not None
    assert card.price.output_usd_per_mtok > card.price.input_usd_per_mtok > Decimal(0)
    assert {"math", "facts", "classify", "general"} == {name for name, _ in card.capabilities}
    assert card.context_tokens


def test_another_skill_is_another_identity() -> None:
    """A persona whose planting changed is asked anew: its requests have other keys."""
    changed = dataclasses.replace(HASTY, skills=(("math", 0.9),))
    assert SimulatedLLM(HASTY).card.identity != SimulatedLLM(changed).card.identity


def test_the_fleet_is_not_equally_good() -> None:
    """There is something to route: the best at sums is not the best at facts, nor the cheapest."""
    best = {
        skill: max(FLEET, key=lambda n: dict(FLEET[n].skills)[skill]) for skill in ("math", "facts")
    }
    cheapest = min(FLEET, key=lambda n: float(FLEET[n].output_usd_per_mtok))
    assert {"math": "calculator", "facts": "librarian"} == best
    assert cheapest not in best.values()


@pytest.mark.parametrize(
    ("capability", "truth", "prompt"),
    [
        ("math", "391", "What is 17 * 23? Answer with the number only."),
        ("math", "40", "17 plus 23"),
        ("math", "-6", "What is 17 minus 23?"),
        ("math", "14", "2 + 3 * 4"),
        ("math", "6", "2 x 3"),
        ("math", "6", "2×3"),
        ("math", "0.333333", "1 divided by 3"),
        ("facts", "Paris", "What is the capital of France?"),
        ("facts", "New Delhi", "capital of INDIA"),
        ("classify", "positive", "positive or negative? I love it, great!"),
        ("classify", "negative", "positive or negative? Broken and late, terrible."),
        ("general", "", "Why does ice float?"),
        ("general", "", "1 / 0"),
        ("general", "", "007 + 1"),
        ("general", "", "What is the capital of Atlantis?"),
        ("general", "", "9" * 300 + " + 1"),
        ("facts", "blue", "Which colour has the sky at noon?"),
    ],
)  # fmt: skip
def test_the_fleet_knows_what_is_right(capability: str, truth: str, prompt: str) -> None:
    """Sums, capitals, moods and your own truths are solved; anything else is general."""
    found = solve(prompt, {"colour has the sky": "blue"})
    assert (capability, truth) == found[:2]
    assert truth not in found[2]


@given(st.text(max_size=80) | st.text(alphabet="0123456789+-*/x. ()", max_size=60))
def test_any_prompt_is_answered(prompt: str) -> None:
    """Whatever is asked, there is an answer and no other error."""
    capability, truth, wrong = solve(prompt, {})
    assert capability in {"math", "facts", "classify", "general"}
    assert truth not in wrong


def test_a_summary_is_made_of_the_prompt_s_own_sentences() -> None:
    """Without a language model, a general answer quotes the prompt and invents nothing."""
    prompt = "Ice floats. It is lighter than water! Do you know why? Yes."
    for seed in range(20):
        found = ask(SimulatedLLM(HASTY), f"{prompt} Number{seed}")
        assert isinstance(found[0], Completion)
        assert found[0].text
        assert set(found[0].text.split()) <= set(f"{prompt} Number{seed}".split())


def test_an_answer_is_cut_at_its_limit() -> None:
    """max_tokens cuts the answer, and the finish reason says so."""
    long = " ".join(f"word{n}" for n in range(200)) + "."
    llm = SimulatedLLM(HASTY)
    (cut,), (whole,) = ask(llm, long, max_tokens=3), ask(llm, long, max_tokens=10_000)
    assert isinstance(cut, Completion)
    assert isinstance(whole, Completion)
    assert (12, "length") == (len(cut.text), cut.finish_reason)
    assert "stop" == whole.finish_reason


def test_tokens_are_counted_on_both_sides() -> None:
    """Tokens grow with the text, so that a price makes a cost, never above the worst case."""
    rng = random.Random(1)
    llm = SimulatedLLM(HASTY)
    for _ in range(30):
        prompt = "".join(rng.choices("abc dü🧊.", k=rng.randint(1, 400)))
        asked = request(prompt, llm)
        found = asyncio.run(llm.complete(asked))
        assert llm.card.price is not None
        cost = llm.card.price.cost(found.usage)
        assert cost is not None
        assert Decimal(0) < cost <= llm.card.price.worst_case(asked)


def test_the_planted_time_passes() -> None:
    """A persona with a planted time takes about that long and reports what it took."""
    llm = SimulatedLLM(dataclasses.replace(HASTY, latency_s=0.02))
    found = ask(llm, *(f"{n} + 1" for n in range(30)))
    times = sorted(each.latency_s for each in found if isinstance(each, Completion))
    assert 0.015 < times[15] < 0.027


def form(schema: dict[str, Any], prompt: str, name: str = "steady") -> Any:
    """Return what a fleet member that forgets no form gives in one."""
    sure = tuple((skill, 1.0) for skill, _ in SKILLS)
    llm = SimulatedLLM(dataclasses.replace(HASTY, name=name, skills=sure))
    asked = dataclasses.replace(request(prompt, llm), schema=json.dumps(schema))
    return json.loads(asyncio.run(llm.complete(asked)).text)


def test_a_form_is_filled_from_the_prompt_s_own_sentences() -> None:
    """Items of a list take different sentences, quotes are word for word, facts are their halves."""
    text = {"type": "string"}
    item = {"type": "object", "properties": dict.fromkeys(("id", "quote", "about", "value"), text)}
    schema = {"type": "object", "properties": {"facts": {"type": "array", "items": item}}}
    prompt = "List the facts of this text.\nThe pier is 140 metres long. The boat was red today."
    first, second = form(schema, prompt)["facts"]
    assert ("The pier is 140 metres long.", "The boat was red today.") == (
        first["quote"], second["quote"]
    )  # fmt: skip
    assert ("1", "The pier", "140 metres long") == tuple(first[n] for n in ("id", "about", "value"))
    assert ("2", "The boat", "red today") == tuple(second[n] for n in ("id", "about", "value"))


def test_confidence_is_the_planted_skill() -> None:
    """A member says how sure it is as it was planted: as a number, and as the nearest of some."""
    known = {"type": "number", "minimum": 0, "maximum": 1}
    for form_of, said in ((known, 1.0), ({"enum": [0.1, 0.5, 0.9]}, 0.9)):
        schema = {"type": "object", "properties": {"confidence": form_of}}
        assert said == form(schema, "What is 2 + 2?")["confidence"]


@pytest.mark.parametrize(
    ("claim", "truth"),
    [
        ("The capital of France is Paris.", "true"),
        ("The capital of Australia is Sydney.", "false"),
        ("17 * 3 equals 51.", "true"),
        ("12 * 12 equals 124.", "false"),
        ("The number that I think of is even.", "unknown"),
        ("The capital of Atlantis is Poseidonis.", "unknown"),
    ],
)
def test_claims_are_judged_by_what_the_fleet_knows(claim: str, truth: str) -> None:
    """Capitals and sums are true or false; of all else the fleet says that it does not know."""
    capability, said, wrong = solve(f"Is this claim true, false or unknown?\n{claim}", {})
    assert ("facts", truth) == (capability, said)
    assert {"true", "false", "unknown"} == {truth, *wrong}


def test_the_one_planted_program_is_right_or_wrong_as_its_tests_say() -> None:
    """The right code passes all planted tests and none of the false ones; wrong code fails some."""
    program = simulated_code.FARE
    assert program.right == solve("Write this Python function.\nfare(age) gives …", {})[1]
    for tests, whole in ((program.tests, True), (program.false_tests, False)):
        for test in tests:
            assert (
                passed(program.right, f"def test_it():\n    {_indented(test)}")["score"] == 1
            ) == whole
    for wrong in program.wrong:
        found = [
            passed(wrong, f"def test_it():\n    {_indented(t)}")["score"] for t in program.tests
        ]
        assert min(found) == 0


def _indented(test: str) -> str:
    return test.replace("\n", "\n    ")
