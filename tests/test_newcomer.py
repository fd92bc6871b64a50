"""The newcomer's path: install, a first prompt of one's own over two LLMs, the answers as a table."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

import pytest

from tests import fresh
from tests.kernel import ROOT
from tests.test_docs import blocks

FIRST = ROOT / "docs" / "tutorial" / "first.md"
README = ROOT / "README.md"


def commands() -> list[str]:
    """Return the commands of the tutorial, as they are typed."""
    (block,) = blocks(FIRST, "sh")
    return block.body.splitlines()


def test_the_path_is_at_most_five_steps() -> None:
    """Three commands in a shell; or two commands, of which one is in the text, and three cells."""
    assert 3 == len(commands())
    cells = blocks(FIRST, "", "python")
    assert 5 >= len(cells) + 2
    assert "bmad lab" in FIRST.read_text("utf-8")
    readme = README.read_text("utf-8")
    for line in commands()[1:]:
        assert line.partition("   #")[0] in readme, "README has the same commands."
    assert "docs/tutorial/first.md" in readme


@pytest.mark.long
def test_the_path_leads_to_a_table_on_a_fresh_machine_without_a_key(tmp_path: Path) -> None:
    """The commands, typed as they stand in a fresh copy, leave the answers of two LLMs in a file."""
    repo = fresh.copy(tmp_path)
    env = fresh.environment(tmp_path)
    assert not [name for name in env if name.endswith("_API_KEY")]
    run = ""
    for line in commands():
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", line.replace(" RUN ", f" {run} ")],
                              cwd=repo, env=env, capture_output=True, text=True, timeout=900)  # fmt: skip
        assert 0 == done.returncode, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        if "bmad compare" in line:
            (run,) = re.findall(r"^compare +run ([0-9a-f]{8})", done.stdout, re.MULTILINE)
    with (repo / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert ["local/smollm2-135m", "sim/careful"] == [row["llm"] for row in rows]
    assert all(row["answer"] for row in rows)
    assert ["False", "True"] == [row["simulated"] for row in rows]
    assert {"cost_usd", "latency_s", "input_tokens", "output_tokens"} <= rows[0].keys()
