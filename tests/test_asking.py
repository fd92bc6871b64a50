"""Asking over each wire format, plain and streaming: pictures, structured output, parameters."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.errors import LLMError, OutputInvalid, UsageProblem
from bmad_nb.messages import Image
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 50
PATHS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}
WAYS = [(kind, stream) for kind in PATHS for stream in (False, True)]
FORM = {"n": "integer", "label": {"enum": ["x", "y"]}}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that speaks all formats."""
    with FakeProvider({"models": {"small": {}}}) as fake:
        yield fake


@pytest.fixture
def space(project: Path, provider: FakeProvider) -> Iterator[Workspace]:
    """Give a workspace with an endpoint for each format, plain and streaming."""
    provider.wait_until(in_flight=0)
    provider.reset()
    root = provider.url.removesuffix("/v1")
    endpoints = {
        f"my-{kind}{'-stream' * stream}": {
            "kind": kind,
            "base_url": root + PATHS[kind],
            "stream": stream,
        }
        for kind, stream in WAYS
    }
    made = Workspace({"endpoints": endpoints}, store=project / "store.db")
    yield made
    made.close()


def llm(kind: str, stream: bool) -> str:
    """Return the id of the model at an endpoint."""
    return f"my-{kind}{'-stream' * stream}/small"


def body(provider: FakeProvider) -> dict[str, Any]:
    """Return the body of the newest request."""
    found: dict[str, Any] = json.loads(provider.requests()[-1]["body"])
    return found


@pytest.mark.parametrize(("kind", "stream"), WAYS)
def test_every_format_answers(
    space: Workspace, provider: FakeProvider, kind: str, *, stream: bool
) -> None:
    """Text, tokens and end come back; a stream says when its first token came."""
    result = space.ask("[answer: 42] How much?", llm(kind, stream), system="Be brief.")

    (row,) = result.rows
    assert ("42", "stop") == (result.text, row.finish_reason)
    assert (stream, True) == (row.first_token_s is not None, (row.input_tokens or 0) > 0)
    counts = provider.counts()
    assert (row.input_tokens, row.output_tokens) == (
        counts["input_tokens"],
        counts["output_tokens"],
    )


@pytest.mark.parametrize(("kind", "stream"), WAYS)
def test_structured_output_is_asked_for_in_each_providers_way(
    space: Workspace, provider: FakeProvider, kind: str, *, stream: bool
) -> None:
    """The schema travels in the format's own field, and the value comes back checked."""
    result = space.ask("Which is it?", llm(kind, stream), output=FORM)

    assert {"n": 1, "label": "x"} == result.output
    sent = body(provider)
    schema = {
        "openai": lambda: sent["response_format"]["json_schema"]["schema"],
        "anthropic": lambda: sent["output_config"]["format"]["schema"],
        "gemini": lambda: sent["generationConfig"]["responseJsonSchema"],
        "ollama": lambda: sent["format"],
    }[kind]()
    assert {"n", "label"} == set(schema["properties"])
    again = space.ask("Which is it?", llm(kind, stream), output=FORM)
    assert (True, result.output) == (again.rows[0].from_store, again.output)


@pytest.mark.parametrize("kind", PATHS)
def test_a_picture_travels_in_each_providers_way(
    space: Workspace, provider: FakeProvider, kind: str
) -> None:
    """Its bytes arrive; the store keeps what tells it from others, and another one is asked anew."""
    first = space.ask("What is this?", llm(kind, stream=False), images=[PNG])
    assert base64.b64encode(PNG).decode() in provider.requests()[-1]["body"]
    stored = space.store.calls()[0].messages[-1].images
    assert (Image("image/png", b"", Image("image/png", PNG).digest),) == stored
    same = space.ask("What is this?", llm(kind, stream=False), images=PNG)
    other = space.ask("What is this?", llm(kind, stream=False), images=[PNG + b"1"])
    assert [False, True, False] == [r.rows[0].from_store for r in (first, same, other)]


def test_pictures_come_from_files_too(space: Workspace, project: Path) -> None:
    """A path is read; what is no picture, is missing, too large or a number is one typed error."""
    path = project / "a.png"
    path.write_bytes(PNG)
    assert space.ask("What?", "my-openai/small", images=[path, str(path)]).text
    (project / "no.png").write_text("<svg/>")
    for wrong in ("no.png", "missing.png", b"GIF8", 5, [None], project):
        with pytest.raises(UsageProblem, match="images"):
            space.ask("What?", "my-openai/small", images=wrong)
    with pytest.raises(UsageProblem, match="takes no pictures"):
        space.ask("What?", "sim/careful", images=[PNG])


def test_an_answer_of_another_form_says_so(space: Workspace) -> None:
    """`output` raises where the answer does not match, and where none was asked for."""
    result = space.ask("[answer: none] Which?", "sim/careful", output={"n": "integer"})
    if result.text.startswith("{"):
        assert isinstance(result.output["n"], int)
    plain = space.ask("Hello", "sim/careful")
    with pytest.raises(UsageProblem, match="No output was asked for"):
        _ = plain.output
    space.add_llm("odd", lambda messages: "no JSON here")
    with pytest.raises(OutputInvalid, match="no JSON"):
        _ = space.ask("Which?", "own/odd", output={"n": "integer"}).output


@pytest.mark.parametrize("wrong", [{"n": "intger"}, {}, "text", {"n": 5}])
def test_a_wrong_form_is_refused_before_anybody_is_asked(
    space: Workspace, provider: FakeProvider, wrong: Any
) -> None:
    """What is no form of output is a typed error, and nothing is sent."""
    with pytest.raises(UsageProblem, match="output"):
        space.ask("Which?", "my-openai/small", output=wrong)
    assert 0 == provider.counts()["received"]


def test_values_of_a_comparison(space: Workspace) -> None:
    """`outputs` has a value for each answer that matches."""
    result = space.compare("Which?", ["my-openai/small", "my-ollama/small"], output=FORM)
    assert [{"n": 1, "label": "x"}] * 2 == list(result.outputs.values())


@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
def test_a_parameter_that_a_format_lacks_is_refused(
    space: Workspace, provider: FakeProvider, kind: str
) -> None:
    """It is a typed error that names what there is, before anything is sent."""
    with pytest.raises(LLMError, match="'min_p'"):
        space.ask("Hi", llm(kind, stream=False), min_p=0.1)
    assert 0 == provider.counts()["received"]


def test_log_probabilities_are_kept(space: Workspace) -> None:
    """Where they are asked for and given, the stored answer has them too."""
    first = space.ask("[answer: yes] So?", "my-openai/small", top_logprobs=2)
    tokens = first.rows[0].tokens
    assert tokens
    assert all(token.logprob <= 0 for token in tokens)
    again = space.ask("[answer: yes] So?", "my-openai/small", top_logprobs=2)
    assert (True, tokens) == (again.rows[0].from_store, again.rows[0].tokens)
