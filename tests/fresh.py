"""A copy of this project in an empty folder, and an environment with nothing of this machine in it.

Packages come from where pip gets them here; its cache of them may be used.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.kernel import ROOT, clean_environment


def copy(folder: Path) -> Path:
    """Copy what git has, or would take, into a new folder `repo` and return that."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    target = folder / "repo"
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return variables of a machine on which nobody has used bmad_nb."""
    env = clean_environment(folder / "home", BMAD_CACHE=str(folder / "cache"), **more)
    del env["PYTHONPATH"]
    env.pop("VIRTUAL_ENV", None)
    return env
