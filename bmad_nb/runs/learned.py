"""What scores have taught of LLMs, with every version of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmad_nb import learning
from bmad_nb.errors import UsageProblem
from bmad_nb.store import scores
from bmad_nb.store.journal import Store

if TYPE_CHECKING:
    import pandas as pd


class Learned:
    """What scores have taught of LLMs; every version of it can be had again.

    Args:
        store: where scores are kept.
        version: number of the last score that counts; None is the newest.
    """

    def __init__(self, store: Store, version: int | None = None) -> None:
        """Read nothing yet."""
        self._store, self._at = store, version

    @property
    def version(self) -> int:
        """Number of the newest score that it can have learned from."""
        return scores.newest(self._store) if self._at is None else self._at

    @property
    def entries(self) -> list[learning.Entry]:
        """An entry per LLM, setting and kind of task."""
        return learning.record(scores.to_learn(self._store, self._at))

    @property
    def df(self) -> pd.DataFrame:
        """The same as a DataFrame; columns as in `bmad_nb.columns.LEARNED`."""
        from bmad_nb import frames

        return frames.learned(self.entries)

    def at(self, version: int) -> Learned:
        """Return what was known at a version: the same numbers that were read then.

        Raises:
            UsageProblem: there is no such version.
        """
        self._check(version)
        return Learned(self._store, version)

    def rollback(self, version: int) -> Learned:
        """Forget what was learned behind a version; the scores stay, and later ones count.

        Raises:
            UsageProblem: there is no such version.
        """
        self._check(version)
        scores.roll_back(self._store, version)
        return Learned(self._store)

    def _check(self, version: int) -> None:
        newest = scores.newest(self._store)
        if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version <= newest:
            raise UsageProblem(
                f"There is no version {version!r} of what is learned.", hint=f"Give 0 to {newest}."
            )

    def __repr__(self) -> str:
        """Return the table."""
        said = f"version {self.version} of what scores have taught"
        return f"{said}\n{self.df.round(3).to_string(index=False)}" if self.entries else said
