"""How sure an LLM was of its choice, by the tokens that say it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.answers.odds import odds
from bmad_nb.messages import Token
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

SURE = math.log(0.9)
DOUBT = math.log(0.1)


@pytest.mark.parametrize(
    ("expected", "tokens"),
    [
        (
            {"A": 0.9, "B": 0.1},
            [("{", 0), ('"choice": "', 0), ("A", SURE, ("B", DOUBT)), ('"}', 0)],
        ),
        ({"A": 0.9, "B": 0.1}, [('{"choice":', 0), (' "A', SURE, (' "B', DOUBT)), ('"}', 0)]),
        ({"A": 0.9, "B": 0.1}, [("A", SURE, ("B", DOUBT), ("The", -1.0)), (".", 0)]),
        ({"A": 1.0, "B": 0.0}, [('"choice": "', 0), ("A", SURE)]),
        ({}, [('{"choice": "', 0), ("Al", SURE, ("A", DOUBT)), ('pha"}', 0)]),
        ({}, [('{"why": "A', 0), ('", "choice": "', 0), ("Zed", 0)]),
        ({}, []),
        ({}, [("A", -math.inf)]),
    ],
)
def test_the_token_of_the_choice_tells(
    expected: dict[str, float], tokens: Sequence[tuple[str, float]]
) -> None:
    """The token that begins the choice gives its odds; where none does there are none."""
    told = [Token(text, at, tuple(others)) for text, at, *others in tokens]  # type: ignore[arg-type]
    assert expected == {name: pytest.approx(each) for name, each in odds(told, ["A", "B"]).items()}


@given(
    st.lists(
        st.tuples(st.sampled_from(["A", " B", '"choice": "', "x", ""]), st.floats(-50, 1)),
        max_size=6,
    )
)
def test_odds_are_probabilities(tokens: list[tuple[str, float]]) -> None:
    """Whatever the tokens are, the odds add up to one, or there are none."""
    found = odds([Token(text, at) for text, at in tokens], ["A", "B"])
    assert not found or pytest.approx(1.0) == sum(found.values())


def test_a_judge_with_log_probabilities_counts_by_them(project: Path) -> None:
    """A judge's choice over HTTP has the weight that its tokens tell, kept with its judgement."""
    with FakeProvider({"models": {"ann": {}, "bob": {}, "jim": {}}}) as fake:
        endpoint = {"base_url": fake.url, "models": ["ann", "bob", "jim"]}
        space = Workspace({"endpoints": {"lab": endpoint}}, store=project / "store.db")
        for name in "ab":
            space.add_llm(name, lambda _, name=name: f"The answer is {name}.")
        judge = {"rubric": "right?", "route": "lab/jim?top_logprobs=5"}
        run = space.collaborate("Which?", "vote", "own/a,own/b", method="judge", judge=judge)
        bodies = [json.loads(each["body"]) for each in fake.requests()]
        space.close()
    assert [5, 5] == [body["top_logprobs"] for body in bodies]
    judged = [row for name, row in run.state.tasks.items() if ".judge" in name]
    assert 2 == len(judged)
    for row in judged:
        assert pytest.approx(1.0) == sum(row.facts["odds"].values())
    assert pytest.approx(1.0) == sum(run.state.tasks["answer"].facts["points"].values(), 0.0)
