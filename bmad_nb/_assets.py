"""Finds the files that lie beside the code in a checkout and inside the package in a wheel."""

from __future__ import annotations

from pathlib import Path

from bmad_nb.errors import UsageProblem

_PACKAGE = Path(__file__).parent


def notebook(name: str) -> Path:
    """Return the path of one of our notebooks.

    Raises:
        UsageProblem: this installation does not have it.
    """
    # in an editable install the packaged folder does not exist beside the imported code
    for folder in (_PACKAGE / "_shared" / "notebooks", _PACKAGE.parent / "notebooks"):
        if (folder / name).is_file():
            return folder / name
    raise UsageProblem(
        f"The notebook {name} is not part of this installation.",
        hint="Install bmad-nb again, or run from a checkout.",
    )
