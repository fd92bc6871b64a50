"""Slices of a budget: their sum, and what of them counts while nobody knows better."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest

from bmad_nb.errors import StoreCorrupt
from bmad_nb.sweeps.ledger import Ledger


def spent(usd: str, simulated: str = "0") -> dict[str, str]:
    return {"False": usd, "True": simulated}


def test_slices_never_sum_up_to_more_than_the_limit(tmp_path: Path) -> None:
    """Whatever is lent, settled, lost and read again, spent and lent together stay in the limit."""
    chance = random.Random(0)
    for _ in range(40):
        path = tmp_path / f"{chance.random()}.json"
        ledger, out = Ledger(path, Decimal(1)), {}
        for number in range(60):
            if out and chance.random() < 0.5:
                account = chance.choice(sorted(out))
                mine = {
                    kind: Decimal(usd) * chance.randint(0, 4) / 4
                    for kind, usd in out.pop(account).items()
                }
                lost = chance.random() < 0.2
                ledger.settle(account, None if lost else {k: str(usd) for k, usd in mine.items()})
            else:
                out[str(number)] = ledger.lease(str(number), chance.randint(1, 4)) or {}
            if chance.random() < 0.1:
                ledger = Ledger(path, Decimal(1))  # the driver was killed
            assert ledger.total(simulated=False) <= 1
            assert ledger.total(simulated=True) <= 1
            assert set(ledger.out) == set(out)


def test_a_slice_counts_in_full_until_it_is_read(tmp_path: Path) -> None:
    """Lent money is gone; what was really spent takes its place; unknown stays the worst case."""
    ledger = Ledger(tmp_path / "l.json", Decimal(1))
    assert spent("0.5", "0.5") == ledger.lease("a", 2)
    assert Decimal("0.5") == ledger.left(simulated=False)
    assert spent("0.5", "0.5") == ledger.lease("b")
    assert (0, 1) == (ledger.left(simulated=False), ledger.total(simulated=False))
    ledger.settle("a", spent("0.125"))
    ledger.settle("b", None)
    assert Decimal("0.375") == ledger.left(simulated=False)
    assert Decimal("0.5") == ledger.left(simulated=True)
    ledger.lease("a", 1)  # goes on: what it spent stays, and is said as a sum
    ledger.settle("a", spent("0.25"))
    assert Decimal("0.25") == Ledger(tmp_path / "l.json", Decimal(1)).left(simulated=False)
    assert 0 == Ledger(tmp_path / "l.json", Decimal("0.1")).left(simulated=False)


def test_without_a_limit_nothing_is_lent(tmp_path: Path) -> None:
    """What is spent is written down all the same."""
    ledger = Ledger(tmp_path / "l.json", None)
    assert ledger.lease("a") is None
    ledger.settle("a", spent("2"))
    assert 2 == Ledger(tmp_path / "l.json", None).total(simulated=False)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"spent": {"a": {}}}', '{"out": {"a": {"False": "x", "True": "0"}}}']
)
def test_a_damaged_ledger_is_an_error(tmp_path: Path, text: str) -> None:
    """Money is not forgotten: a file that cannot be read is no empty one."""
    (tmp_path / "l.json").write_text(text)
    with pytest.raises(StoreCorrupt, match="nobody knows"):
        Ledger(tmp_path / "l.json", Decimal(1))
