"""Who may spend how much of a sweep's budget: slices, handed out before a notebook begins.

A slice counts as spent in full from the moment at which it is handed out until somebody has read
what was really spent of it. So the sum never passes the limit, whoever dies in the middle. Real and
simulated money have a purse each, with the same limit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from bmad_nb.errors import StoreCorrupt

Money = dict[bool, Decimal]
"""US dollars, by whether they are simulated."""
_KINDS = (False, True)


def nothing() -> Money:
    """Return no money of either kind."""
    return dict.fromkeys(_KINDS, Decimal(0))


class Ledger:
    """What each account has spent, and the slices that are out; kept in a file.

    Args:
        path: the file; what stands in it goes on.
        limit_usd: most that all accounts may spend together; None is no limit.
    """

    def __init__(self, path: Path, limit_usd: Decimal | None) -> None:
        """Read what stands in the file.

        Raises:
            StoreCorrupt: it cannot be read.
        """
        self._path, self.limit_usd = path, limit_usd
        self.spent: dict[str, Money] = {}
        self.out: dict[str, Money] = {}
        """Slices that are handed out, by account; without a limit they are worth nothing."""
        try:
            kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
            for mine, name in ((self.spent, "spent"), (self.out, "out")):
                mine |= {account: {kind: Decimal(usd[str(kind)]) for kind in _KINDS}
                         for account, usd in kept.get(name, {}).items()}  # fmt: skip
        except (OSError, ValueError, ArithmeticError, KeyError, TypeError, AttributeError):
            raise StoreCorrupt(
                f"{path} cannot be read: nobody knows what this sweep has spent.",
                hint="Put a copy back, or name another folder with --out.",
            ) from None

    def left(self, *, simulated: bool) -> Decimal:
        """Return what is neither spent nor handed out, in US dollars; never below 0."""
        gone = [each[simulated] for each in (*self.spent.values(), *self.out.values())]
        return max(Decimal(0), (self.limit_usd or Decimal(0)) - sum(gone, Decimal(0)))

    def lease(self, account: str, among: int = 1) -> dict[str, str] | None:
        """Hand out a slice of what is left, one of `among` equal ones; None without a limit.

        It is written down before it is given.
        """
        mine = {kind: self.left(simulated=kind) / among for kind in _KINDS}
        self.out[account] = mine
        self._keep()
        return None if self.limit_usd is None else {str(k): f"{usd:f}" for k, usd in mine.items()}

    def settle(self, account: str, spent: Mapping[str, Any] | None) -> None:
        """Take a slice back, and write down what its account has spent in all.

        Args:
            account: who had it.
            spent: US dollars by kind, as text; None where nobody can know, so that all of the
                slice counts.
        """
        out = self.out.pop(account, nothing())
        before = self.spent.get(account, nothing())
        self.spent[account] = (
            {kind: before[kind] + out[kind] for kind in _KINDS}
            if spent is None
            else {kind: Decimal(spent[str(kind)]) for kind in _KINDS}
        )
        self._keep()

    def total(self, *, simulated: bool) -> Decimal:
        """Return what is spent, slices that are out among it."""
        both = (*self.spent.values(), *self.out.values())
        return sum((each[simulated] for each in both), Decimal(0))

    def _keep(self) -> None:
        body = {
            name: {account: {str(k): f"{usd:f}" for k, usd in money.items()}
                   for account, money in mine.items()}
            for name, mine in (("spent", self.spent), ("out", self.out))
        }  # fmt: skip
        write(self._path, json.dumps(body))


def write(path: Path, text: str) -> None:
    """Write a file so that at any moment the whole of the old or of the new one is there."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
