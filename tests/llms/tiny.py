"""What the tests of the embedded model share: a tiny random model, questions, a look at the child."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import gguf
import numpy as np

from bmad_nb.llms import local
from bmad_nb.llms.local import LocalLLM
from bmad_nb.messages import Message, Request

T = TypeVar("T")
GUARD_S = 60
CONTEXT = 256


def make_tiny_model(path: Path, width: int = 64, layers: int = 2, seed: int = 1) -> None:
    """Write random weights in the shape of a llama: bytes and letters as tokens, half a megabyte."""
    random = np.random.default_rng(seed)
    tokens = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % i for i in range(256))]
    tokens += [letter.encode() for letter in "\u2581abcdefghijklmnopqrstuvwxyz"]
    kinds = [2, 3, 3, *[6] * 256, *[1] * 27]
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(8192)
    out.add_embedding_length(width)
    out.add_block_count(layers)
    out.add_feed_forward_length(2 * width)
    out.add_head_count(4)
    out.add_head_count_kv(4)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(width // 4)
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens)
    out.add_token_scores([0.0] * len(tokens))
    out.add_token_types(kinds)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_chat_template("{% for m in messages %}{{ m['content'] }}\n{% endfor %}")
    shapes = {"token_embd": (len(tokens), width), "output": (len(tokens), width)}
    ones = ["output_norm"]
    for block in (f"blk.{i}." for i in range(layers)):
        ones += [f"{block}attn_norm", f"{block}ffn_norm"]
        shapes |= {f"{block}attn_{part}": (width, width) for part in ("q", "k", "v", "output")}
        shapes |= {f"{block}ffn_{part}": (2 * width, width) for part in ("gate", "up")}
        shapes[f"{block}ffn_down"] = (width, 2 * width)
    for name in ones:
        out.add_tensor(f"{name}.weight", np.ones(width, np.float32))
    for name, shape in shapes.items():
        values = random.standard_normal(shape) * 0.05
        out.add_tensor(f"{name}.weight", values.astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def describe(cache: Path, file: Path, context_tokens: int = CONTEXT) -> None:
    """Write models.toml of the cache with the model `tiny`."""
    data = file.read_bytes()
    cache.mkdir(exist_ok=True)
    (cache / "models.toml").write_text(
        f'[tiny]\nsha256 = "{hashlib.sha256(data).hexdigest()}"\nsize_bytes = {len(data)}\n'
        f'licence = "CC0-1.0"\ncontext_tokens = {context_tokens}\n'
        f"source = {{ file = {json.dumps(str(file))} }}\n",
        encoding="utf-8",
    )


def question(prompt: str = "why", max_tokens: int = 8, sample: int = 0, **params: Any) -> Request:
    """Return a request for the tiny model."""
    return Request(
        llm="local/tiny",
        identity="sha256:tiny",
        model="tiny",
        messages=(Message("user", prompt),),
        max_tokens=max_tokens,
        params=tuple(sorted(params.items())),
        sample=sample,
    )


def run(work: Callable[[LocalLLM], Awaitable[T]], name: str = "tiny") -> T:
    """Run `work` with a fresh LLM, close it, and guard against hanging."""

    async def whole() -> T:
        llm = LocalLLM(name)
        try:
            async with asyncio.timeout(GUARD_S):
                return await work(llm)
        finally:
            await llm.aclose()

    return asyncio.run(whole())


def events(log: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines of one kind that children have written."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in map(json.loads, lines) if line["event"] == kind]


def child_of(llm: LocalLLM) -> local._Child:
    """Return the running child."""
    child = local._host(llm._model, llm._threads).child
    assert child is not None
    return child


def wait_until_gone(pid: int, within_s: float = 10.0) -> None:
    """Return once no process has this pid, or only a dead one."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there after {within_s} s")


async def cpu_used(pid: int, during_s: float) -> float:
    """Return the seconds of processor time that a process uses while we wait."""

    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    await asyncio.sleep(during_s)
    return used() - before
