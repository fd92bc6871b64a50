"""`%bmad` in a real `ipython` on a terminal: the same as in a notebook, as far as a terminal goes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.kernel import clean_environment

CODE = """%load_ext bmad_nb
%bmad
r = %bmad compare -m sim/careful,sim/hasty --reference 4 "What is 2 + 2?"
r
%bmad compare -m sim/careful "What is 3 + 3?";
%bmad nosuchverb
%bmad --traceback
%config BmadMagics.budget = "0.05"
%config BmadMagics.default_llm = "sim/hasty"
q = %bmad ask "Where is it?"
print(q.run.budget_usd, q.rows[0].llm)
%config BmadMagics.short_errors = False
%bmad nosuchverb
%config BmadMagics.budget = "lots"
%bmad compare -m sim/careful "What is 2 + 2?" --cli
get_ipython().run_cell_magic("bmad", "ask -m sim/careful", "What is 20 + 22?")
%bmad cost --by llm
%unload_ext bmad_nb
%config BmadMagics
"""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def test_a_terminal_session(project: Path) -> None:
    """Status, values, errors, settings and cells work in `ipython`; nothing is drawn as markup."""
    env = clean_environment(project / "home", NO_COLOR="1")
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"],
        input=CODE, capture_output=True, text=True, timeout=120, cwd=project, env=env,
    )  # fmt: skip
    text = _ANSI.sub("", done.stdout)
    assert 0 == done.returncode, done.stderr
    parts = re.split(r"In \[\d+\]: ", text)
    cell = dict(enumerate(parts))
    assert "Ready:" in cell[2]
    assert "sim/careful" in cell[2]
    assert "What is 2 + 2" not in cell[3].partition("Out")[0]
    assert "of 2 LLMs answered" in cell[4]
    assert "Out" not in cell[5]
    assert "There is no verb 'nosuchverb'" in cell[6]
    assert "Traceback" not in cell[6]
    assert "Traceback (most recent call last)" in cell[7]
    assert "verbs/tree.py" in cell[7]
    assert "0.05 sim/hasty" in cell[11]
    assert "tree.py" in cell[13]
    assert "'lots' is not a budget" in cell[14] + done.stderr
    assert "bmad compare --model sim/careful --budget 0.05 'What is 2 + 2?'" in cell[15]
    assert "42" in cell[16]
    assert "sim/hasty" in cell[17]
    assert "Invalid config statement" in cell[19] + done.stderr
    assert "<section" not in text
