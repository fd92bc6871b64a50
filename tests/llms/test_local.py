"""The embedded model: a real child process with real llama.cpp; most tests with a tiny random model."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmad_nb.errors import ContextTooLong, LLMError, LocalModelUnavailable
from bmad_nb.llms import local, local_host, weights
from bmad_nb.llms.base import LLM
from bmad_nb.llms.local import LocalLLM
from bmad_nb.messages import FREE, Completion
from tests.llms.tiny import (
    CONTEXT,
    GUARD_S,
    child_of,
    cpu_used,
    describe,
    events,
    make_tiny_model,
    question,
    run,
    wait_until_gone,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's file."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    make_tiny_model(path)
    return path


@pytest.fixture
def log(tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache with the model `tiny`, and the file in which the child writes what it does."""
    monkeypatch.setenv("BMAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BMAD_LOCAL_LOG", str(tmp_path / "log"))
    describe(tmp_path / "cache", tiny_weights)
    yield tmp_path / "log"
    local._end_all()


def test_it_answers_with_tokens_time_and_name(log: Path) -> None:
    """An answer has its text, token counts, finish reason, the model's name and a latency."""
    found = run(lambda llm: llm.complete(question(ignore_eos=True)))
    assert isinstance(found.text, str)
    assert (found.usage.output_tokens, found.finish_reason, found.model) == (8, "length", "tiny")
    assert (found.usage.input_tokens or 0) >= 3
    assert 0 < found.latency_s < GUARD_S


def test_the_card_says_that_it_is_free_and_runs_here(log: Path) -> None:
    """The card has the weights' hash as identity, no price, and the context of one slot."""
    llm = LocalLLM("smollm2-135m")
    card = llm.card
    assert isinstance(llm, LLM)
    assert (card.id, card.price, card.runs_here) == ("local/smollm2-135m", FREE, True)
    assert (card.context_tokens, card.default_max_tokens) == (2048, 128)
    assert card.identity == "sha256:" + weights.models()["smollm2-135m"].sha256
    assert dict(card.capabilities) == {"general": 0.3}


def test_first_calls_at_once_start_one_child_which_counts_them(log: Path) -> None:
    """Twelve first calls of two LLM objects start one child; it counts twelve, and so does its log."""

    async def work(llm: LocalLLM) -> int | None:
        other = LocalLLM("tiny")
        assert await llm.request_count() is None
        calls = [each.complete(question(sample=i)) for i in range(6) for each in (llm, other)]
        await asyncio.gather(*calls)
        await other.aclose()
        return await llm.request_count()

    assert run(work) == 12
    assert len(events(log, "start")) == 1
    assert [line["count"] for line in events(log, "request")] == list(range(1, 13))


def test_the_same_seed_gives_the_same_text_and_samples_differ(log: Path) -> None:
    """Without a seed three samples differ and come again; sample n of seed s is seed s + n."""

    async def work(llm: LocalLLM) -> list[list[str]]:
        rounds = [
            [question(max_tokens=24, sample=i) for i in range(3)],
            [question(max_tokens=24, sample=i) for i in (2, 1, 0)],
            [question(max_tokens=24, seed=local.DEFAULT_SEED + 2)],
            [question(max_tokens=24, seed=-1), question(max_tokens=24, seed=-1)],
        ]
        return [[a.text for a in await asyncio.gather(*map(llm.complete, r))] for r in rounds]

    first, again, third, negative = run(work)
    assert len(set(first)) == 3
    assert again[::-1] == first
    assert third == [first[2]]
    assert negative[0] == negative[1]


def test_two_event_loops_share_the_child(log: Path) -> None:
    """The same object answers in a second event loop without a second child."""
    llm = LocalLLM("tiny")

    async def once() -> str:
        answer = await llm.complete(question())
        assert llm._asked is not None
        await llm._asked[1].aclose()  # the connections are this loop's, the child is not
        return answer.text

    texts = {asyncio.run(once()) for _ in range(2)}
    asyncio.run(llm.aclose())
    assert len(texts) == 1
    assert len(events(log, "start")) == 1


def test_closing_ends_the_child_and_it_can_be_asked_again(log: Path) -> None:
    """After aclose the process is gone; another call starts a new one."""

    async def work(llm: LocalLLM) -> None:
        await llm.complete(question())
        pid = child_of(llm)._process.pid
        await llm.aclose()
        await llm.aclose()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await llm.complete(question())

    run(work)
    assert len(events(log, "start")) == 2


def test_without_the_key_nothing_is_answered(log: Path) -> None:
    """A request with no key or a wrong one gets 401."""

    async def work(llm: LocalLLM) -> list[int]:
        await llm.complete(question())
        url = child_of(llm).url + "/chat/completions"
        return [await asyncio.to_thread(status, url, key) for key in ("", "Bearer wrong")]

    def status(url: str, key: str) -> int:
        headers = {"Content-Type": "application/json"} | ({"Authorization": key} if key else {})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, b"{}", headers))
        caught.value.close()
        return caught.value.code

    assert run(work) == [401, 401]


def test_the_key_is_in_no_command_line_environment_or_representation(log: Path) -> None:
    """Neither `ps` with all environments nor a repr shows the key, and `ps` does show the child."""

    async def work(llm: LocalLLM) -> tuple[str, str, str]:
        await llm.complete(question())
        child = child_of(llm)
        seen = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
        return child.key.reveal(), seen, repr(vars(child))

    key, seen, shown = run(work)
    assert "local_host.py" in seen
    assert key not in seen
    assert key not in shown
    assert key not in log.read_text()


def test_a_killed_child_is_replaced_at_the_next_call(log: Path) -> None:
    """After kill -9 of the child the next call starts another, which gives the same text."""

    async def work(llm: LocalLLM) -> tuple[Completion, Completion]:
        before = await llm.complete(question())
        child = child_of(llm)
        os.kill(child._process.pid, signal.SIGKILL)
        return before, await llm.complete(question())

    before, after = run(work)
    assert before.text == after.text
    assert len(events(log, "start")) == 2


def test_a_call_in_flight_survives_the_kill_of_its_child(log: Path) -> None:
    """A child killed while it works: the call is asked once more, of a new child."""

    async def work(llm: LocalLLM) -> Completion:
        await llm.complete(question())
        pid = child_of(llm)._process.pid
        os.kill(pid, signal.SIGSTOP)  # so that the call is surely in flight when the kill comes
        long = asyncio.ensure_future(llm.complete(question(max_tokens=200, ignore_eos=True)))
        await asyncio.sleep(0.2)
        assert not long.done()
        os.kill(pid, signal.SIGKILL)
        return await long

    assert run(work).usage.output_tokens == 200
    assert len(events(log, "start")) == 2


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), 9)", "sys.exit(0)", "raise KeyboardInterrupt"]
)
def test_the_child_ends_with_its_parent(log: Path, end: str) -> None:
    """However the parent ends, kill -9 included, the child is gone within seconds."""
    script = (
        "import asyncio, os, sys\nfrom tests.llms.tiny import LocalLLM, question\n"
        "asyncio.run(LocalLLM('tiny').complete(question()))\n" + end
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL, timeout=60)
    (started,) = events(log, "start")
    assert len(events(log, "request")) == 1
    wait_until_gone(started["pid"])


def test_cancelling_stops_the_computation(log: Path, tmp_path: Path) -> None:
    """Once eight long calls are cancelled, the child soon uses no more processor time."""
    big = tmp_path / "big.gguf"
    make_tiny_model(big, width=256, layers=4)
    describe(tmp_path / "cache", big, context_tokens=4096)

    async def work(llm: LocalLLM) -> tuple[float, float]:
        calls = [
            asyncio.ensure_future(llm.complete(question("why", 4000, i, ignore_eos=True)))
            for i in range(8)
        ]
        while await llm.request_count() != 8:
            await asyncio.sleep(0.01)
        pid = child_of(llm)._process.pid
        busy = await cpu_used(pid, 1.0)
        assert not any(call.done() for call in calls)
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        await asyncio.sleep(2)  # a guard: llama.cpp looks for a closed connection once a second
        return busy, await cpu_used(pid, 1.0)

    busy, after = run(work)
    assert busy > 0.3
    assert after < 0.1


def test_a_cancelled_start_leaves_no_child(log: Path) -> None:
    """When the only call is cancelled while its child starts, no child stays."""

    async def work(llm: LocalLLM) -> None:
        call = asyncio.ensure_future(llm.complete(question()))
        while not events(log, "start"):
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(wait_until_gone, events(log, "start")[0]["pid"])
        await llm.complete(question())  # and the next call is not harmed

    run(work)


def test_an_idle_child_ends_and_the_next_call_starts_another(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that nobody is connected to ends after the idle time."""
    monkeypatch.setattr(local, "IDLE_S", 0.5)

    async def work(llm: LocalLLM) -> None:
        await llm.complete(question())
        assert llm._asked is not None
        await llm._asked[1].aclose()  # closes the connection that is kept open for the next call
        await asyncio.to_thread(wait_until_gone, child_of(llm)._process.pid)
        await llm.complete(question())

    run(work)
    assert len(events(log, "start")) == 2


def test_a_prompt_beyond_the_context_is_a_typed_error(log: Path) -> None:
    """A prompt of more tokens than a slot has is ContextTooLong, not a cut prompt."""

    async def work(llm: LocalLLM) -> None:
        with pytest.raises(ContextTooLong):
            await llm.complete(question("word " * CONTEXT))
        assert (await llm.complete(question())).usage.output_tokens

    run(work)


def test_weights_that_are_no_model_are_a_typed_error(log: Path, tmp_path: Path) -> None:
    """A file with the right hash that is no model makes every waiting call say so, without a crash."""
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"GGUF" + bytes(1000))
    describe(tmp_path / "cache", junk)

    async def work(llm: LocalLLM) -> list[BaseException | Completion]:
        calls = [llm.complete(question(sample=i)) for i in range(3)]
        return await asyncio.gather(*calls, return_exceptions=True)

    for found in run(work):
        assert isinstance(found, LocalModelUnavailable)
        assert "did not start" in found.what
        assert (found.llm, found.billed) == ("local/tiny", "no")


def test_without_xllamacpp_the_reason_and_the_way_out_are_said(log: Path, tmp_path: Path) -> None:
    """In an environment without xllamacpp the card and the error name the extra and the fleet."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    script = (
        "import asyncio\nfrom bmad_nb.llms.local import LocalLLM\nfrom bmad_nb.messages import *\n"
        "llm = LocalLLM('tiny')\nprint(llm.card.missing, llm.card.remedy)\n"
        "asyncio.run(llm.complete(Request('l', 'i', 'm', (Message('user', 'x'),), 8)))"
    )
    done = subprocess.run(
        [str(bare / "bin" / "python"), "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    for text in (done.stdout, done.stderr.splitlines()[-1]):
        assert "xllamacpp" in text
        assert 'pip install "bmad-nb[local]"' in text
        assert "sim/careful" in text
    assert "LocalModelUnavailable" in done.stderr
    assert not log.exists()


def test_naming_the_model_loads_nothing_heavy(log: Path) -> None:
    """A LocalLLM that is not asked imports no httpx, aiohttp or xllamacpp, and starts nothing."""
    script = (
        "import sys\nfrom bmad_nb.llms.local import LocalLLM\nLocalLLM('tiny')\n"
        "print(sorted({'httpx', 'aiohttp', 'xllamacpp', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
    assert not log.exists()


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n", 12),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0),
        (b"POST / HTTP/1.1\r\ncontent-length:1\r\nContent-Length: 2\r\n\r\n", None),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", None),
    ],
)
def test_the_gate_reads_only_plain_lengths(head: bytes, length: int | None) -> None:
    """A request whose length is doubled, chunked or no number is not passed on."""
    assert local_host.body_length(head) == length


@pytest.mark.long
def test_the_real_model_answers_and_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default model says the same sensible word twice at temperature 0, on this machine."""
    missing, _ = local.unavailable()
    assert not missing

    async def work(llm: LocalLLM) -> list[Completion]:
        ask = question("How many days has a week?", 24, temperature=0)
        return [await llm.complete(ask), await llm.complete(ask)]

    try:
        weights.install("smollm2-135m")
    except LLMError as error:
        pytest.skip(f"the weights cannot be had here: {error.what}")
    first, second = run(work, "smollm2-135m")
    assert first.text == second.text
    assert "seven" in first.text.lower() or "7" in first.text
