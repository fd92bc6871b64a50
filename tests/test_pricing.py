"""Prices: whose word counts, at which moment, what changed, and that unknown is never free."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices import data_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import SettingsError, UsageProblem
from bmad_nb.messages import FREE, MOST_USD, Price, Usage
from bmad_nb.pricing import Change, PriceBook, Stale, list_age, list_price, utc_now
from bmad_nb.settings import PriceEntries, Settings, find, price_entries

OPENAI = "https://api.openai.com/v1"
DEEPSEEK = "https://api.deepseek.com/v1"
DECLARED = Price(Decimal(1), Decimal(2), source="card")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NIGHT = {"hours": "22:00-06:00"}


class Clock:
    """Virtual time, which a test moves."""

    def __init__(self, now: datetime = NOON) -> None:
        """Stand still at a moment."""
        self.now = now

    def __call__(self) -> datetime:
        """Return the moment that it is."""
        return self.now

    def wait(self, **spans: float) -> None:
        """Let time pass."""
        self.now += timedelta(**spans)


def table(usd: object = 1, **more: Any) -> dict[str, Any]:
    """Return a table of the settings: output costs as much as input."""
    return {"input_usd_per_mtok": usd, "output_usd_per_mtok": usd, **more}


def book(clock: Callable[[], datetime] = utc_now, **prices: Any) -> PriceBook:
    """Return a book of tables by the LLM's name at the endpoint `lab`."""
    return PriceBook(own(**prices), clock=clock)


def own(**prices: Any) -> dict[str, PriceEntries]:
    """Return the price settings of LLMs at the endpoint `lab`."""
    tables = {f"lab/{name}": value for name, value in prices.items()}
    return Settings.model_validate({"prices": tables}).prices


def usd(prices: PriceBook, llm: str = "lab/m", **more: Any) -> Decimal | None:
    """Return what a million tokens of input cost."""
    found = prices.price(llm, **{"declared": None, **more})
    return found and found.input_usd_per_mtok


def moves(changes: list[Change]) -> list[tuple[str, Decimal | None, Decimal | None]]:
    """Return changes with the price of input only."""
    return [
        (each.llm, each.old and each.old.input_usd_per_mtok, each.new and each.new.input_usd_per_mtok)
        for each in changes
    ]  # fmt: skip


def test_your_own_price_goes_first() -> None:
    """A price in the settings goes before the card's and the list's, with its date and amounts."""
    amounts = {
        "input_usd_per_mtok": Decimal("0.15"), "output_usd_per_mtok": Decimal("0.6"),
        "cached_input_usd_per_mtok": Decimal("0.05"), "cache_write_usd_per_mtok": Decimal("0.2"),
        "reasoning_usd_per_mtok": Decimal("0.7"), "request_usd": Decimal("0.001"),
    }  # fmt: skip
    mine = own(m={**{name: str(value) for name, value in amounts.items()}, "as_of": "2026-01-02"})
    found = PriceBook(mine).price("lab/m", declared=DECLARED, url=OPENAI, model="gpt-4o-mini")
    assert Price(**amounts, source="settings", as_of="2026-01-02") == found  # type: ignore[arg-type]


def test_the_card_s_price_goes_before_the_public_list() -> None:
    """What an LLM declares of itself is taken as it is."""
    found = PriceBook().price("a/b", declared=DECLARED, url=OPENAI, model="gpt-4o-mini")
    assert DECLARED is found


def test_the_public_list_knows_an_endpoint_by_its_address() -> None:
    """A model at a known address has a list price with its source and the date of the look-up."""
    found = book(Clock()).price("openai/x", declared=None, url=OPENAI, model="gpt-4o-mini")
    assert found is not None
    assert 0 < found.input_usd_per_mtok < found.output_usd_per_mtok < 100
    assert found.source.startswith("genai-prices ")
    assert "2026-06-01" == found.as_of


@pytest.mark.parametrize(
    ("url", "model"),
    [
        (OPENAI, "no-such-model-at-all"),
        ("https://nobody.example/v1", "gpt-4o-mini"),
        ("http://127.0.0.1:8000/v1", "gpt-4o-mini"),
        ("", ""),
        ("simulated:1:abc", "careful"),
        (OPENAI, ""),
    ],
)
def test_what_nobody_knows_is_unknown_and_not_free(url: str, model: str) -> None:
    """Without a price anywhere the answer is None, never zero."""
    assert PriceBook().price("a/b", declared=None, url=url, model=model) is None


def test_free_is_a_price() -> None:
    """A model on one's own machine costs nothing, which is not the same as unknown."""
    assert FREE == PriceBook().price("local/x", declared=FREE, url="", model="x")


def test_with_tiers_the_dearest_price_is_taken() -> None:
    """Where long prompts cost more, the dearer price is taken, so that a reservation suffices."""
    found, _ = list_price("https://generativelanguage.googleapis.com", "gemini-2.5-pro", NOON)
    assert found is not None
    assert found.input_usd_per_mtok >= Decimal("2.5")


def test_the_list_s_other_prices_are_taken_over() -> None:
    """Cache writes, reasoning and a fee per request come from the list where it has them."""
    written, _ = list_price("https://api.anthropic.com/v1", "claude-sonnet-4-5", NOON)
    assert written is not None
    assert written.cache_write_usd_per_mtok > written.input_usd_per_mtok  # type: ignore[operator]
    reasoned, _ = list_price("https://api.perplexity.ai", "sonar-deep-research", NOON)
    assert reasoned is not None
    assert Decimal(3) == reasoned.reasoning_usd_per_mtok
    fee, _ = list_price("https://api.perplexity.ai", "sonar", NOON)
    assert fee is not None
    assert Decimal("0.012") == fee.request_usd


@pytest.mark.parametrize(
    ("expected", "hour", "minute"),
    [("0.27", 0, 30), ("0.27", 16, 29), ("0.135", 16, 30), ("0.135", 23, 0), ("0.135", 0, 29)],
)
def test_the_list_s_hours_are_kept(expected: str, hour: int, minute: int) -> None:
    """A listed off-peak price holds from its first minute to before its last, in UTC."""
    at = NOON.replace(hour=hour, minute=minute)
    found, until = list_price(
        DEEPSEEK, "deepseek-chat", at.astimezone(timezone(timedelta(hours=9)))
    )
    assert found is not None
    assert Decimal(expected) == found.input_usd_per_mtok
    assert at < until <= at + timedelta(days=1)
    assert (until.hour, until.minute) in {(0, 30), (16, 30)}


def test_the_list_s_dates_are_kept() -> None:
    """A listed price that starts on a day is not used before; the book sees that day come."""
    before = datetime(2025, 6, 9, 23, 59, tzinfo=UTC)
    clock = Clock(before)
    prices = PriceBook(clock=clock)
    dear = usd(prices, "openai/o3", url=OPENAI, model="o3")
    clock.wait(minutes=1)
    cheap = usd(prices, "openai/o3", url=OPENAI, model="o3")
    assert dear is not None
    assert cheap is not None
    assert dear > cheap
    assert [("openai/o3", dear, cheap)] == moves(prices.changes())


@pytest.mark.parametrize(
    ("expected", "moment"),
    [
        (1, "2026-06-01T21:59:59+00:00"),
        (5, "2026-06-01T22:00:00+00:00"),
        (5, "2026-06-01T23:59:59+00:00"),
        (5, "2026-06-02T00:00:00+00:00"),
        (5, "2026-06-02T05:59:59+00:00"),
        (1, "2026-06-02T06:00:00+00:00"),
        (5, "2026-06-02T07:00:00+02:00"),
        (1, "2026-06-01T23:30:00+02:00"),
    ],
)
def test_an_off_peak_window_crosses_midnight(expected: int, moment: str) -> None:
    """Entries with hours hold inside them, in UTC; the one without holds otherwise."""
    clock = Clock(datetime.fromisoformat(moment))
    entries = [table(1, **{"from": "2026-05-01"}), table(5, **NIGHT)]
    assert expected == usd(book(clock, m=entries))
    assert expected == usd(book(m=entries[::-1]), at=clock.now)


def test_hours_up_to_midnight_may_be_written_as_24() -> None:
    """`18:00-24:00` ends with the day."""
    prices = book(m=[table(1), table(5, hours="18:00-24:00")])
    found = [usd(prices, at=NOON.replace(hour=hour)) for hour in (0, 17, 18, 23)]
    assert [1, 1, 5, 5] == found


def test_the_newest_entry_that_has_begun_holds() -> None:
    """Of several dates the newest that is not in the future counts, from midnight UTC on."""
    dated = [table(usd, **{"from": day}) for usd, day in ((3, "2026-07-01"), (2, "2026-06-01"))]
    prices = book(m=[*dated, table(1)])
    moments = [NOON - timedelta(days=1), NOON.replace(hour=0), datetime(2026, 7, 1, tzinfo=UTC)]
    assert [1, 2, 3] == [usd(prices, at=each) for each in moments]
    assert 2 == usd(prices, at=moments[2] - timedelta(microseconds=1))


def test_where_no_entry_holds_the_next_source_is_asked() -> None:
    """Before its day, or outside of its hours, your own price leaves the word to the card."""
    prices = book(Clock(), m=table(9, **{"from": "2026-07-01"}), n=table(9, **NIGHT))
    assert [None, 1] == [usd(prices), usd(prices, declared=DECLARED)]
    assert [None, 1] == [usd(prices, "lab/n"), usd(prices, "lab/n", declared=DECLARED)]


@settings(deadline=None, max_examples=60)
@given(
    st.sets(st.integers(0, 40), max_size=4),
    st.sets(st.integers(0, 23), min_size=2, max_size=2),
    st.lists(st.floats(0, 36), max_size=12),
)
def test_a_book_that_watches_and_one_that_is_asked_agree(
    days: set[int], edges: set[int], waits: list[float]
) -> None:
    """However time passes, what was kept equals what is looked up anew, and flips are recorded."""
    start, end = sorted(edges, reverse=True)
    entries = [
        *(table(n, **{"from": (NOON.date() + timedelta(days=n)).isoformat()}) for n in days),
        table(100, hours=f"{start:02}:00-{end:02}:00"),
    ]
    clock = Clock()
    watching, seen = book(clock, m=entries), [usd(book(clock, m=entries))]
    for hours in waits:
        clock.wait(hours=hours)
        assert len(watching.changes()) == watching.version
        fresh = usd(book(clock, m=entries))
        assert fresh == usd(watching)
        seen += [fresh] if fresh != seen[-1] else []
    assert seen[1:] == [new for _, _, new in moves(watching.changes())]
    assert seen[:-1] == [old for _, old, _ in moves(watching.changes())]


def test_a_price_that_is_set_counts_from_now_on() -> None:
    """One change of price is one record; what was charged keeps its price."""
    clock = Clock()
    prices = book(clock, m=table(1))
    before = prices.price("lab/m", declared=None)
    seen = prices.version
    prices.set("lab/m", {"input_usd_per_mtok": 4, "output_usd_per_mtok": "0.5"})
    after = prices.price("lab/m", declared=None)
    assert Price(Decimal(4), Decimal("0.5"), source="set_price", as_of="2026-06-01") == after
    assert seen + 1 == prices.version
    assert [Change("lab/m", before, after)] == prices.changes(seen)
    assert [] == prices.changes(prices.version)
    assert Decimal(1) == before.cost(Usage(1_000_000, 0))  # type: ignore[union-attr]


def test_a_price_is_set_for_an_llm_that_nobody_asked_for() -> None:
    """The change of a price that was never looked up is recorded too, once."""
    prices = PriceBook(clock=Clock())
    price = Price(Decimal(3), Decimal(3))
    prices.set("lab/m", price)
    assert [Change("lab/m", None, price)] == prices.changes()
    assert price is prices.price("lab/m", declared=DECLARED, url=OPENAI, model="gpt-4o-mini")
    assert 1 == prices.version


def test_a_set_price_can_be_taken_back() -> None:
    """After `set` of None the settings count again."""
    prices = book(Clock(), m=table(1))
    prices.set("lab/m", table(2))
    prices.set("lab/m", None)
    assert [("lab/m", 1, 2), ("lab/m", 2, 1)] == moves(prices.changes())
    assert 1 == usd(prices)


def test_a_set_price_may_have_hours() -> None:
    """A list of tables is set as in the settings, and its hours are watched."""
    clock = Clock()
    prices = PriceBook(clock=clock)
    prices.set("lab/m", [table(1), table(5, **NIGHT)])
    assert [("lab/m", None, 1)] == moves(prices.changes())
    clock.wait(hours=10)
    assert [("lab/m", 1, 5)] == moves(prices.changes(1))


def test_the_same_amounts_are_no_change() -> None:
    """A price that differs in its date or its source only flips no decision."""
    prices = book(Clock(), m=table(1))
    prices.set("lab/m", table("1.00", as_of="2026-05-05"))
    assert [] == prices.changes()
    assert "2026-05-05" == prices.price("lab/m", declared=None).as_of  # type: ignore[union-attr]


def test_settings_are_reloaded_while_it_runs() -> None:
    """New, other and vanished prices are recorded each once; what was set stays."""
    prices = book(Clock(), same=table(1), other=table(1), gone=table(1), mine=table(1))
    prices.set("lab/mine", table(7))
    seen = prices.version
    prices.reload(own(same=table(1), other=table(2), new=table(3), mine=table(4)))
    expected = [("lab/gone", 1, None), ("lab/new", None, 3), ("lab/other", 1, 2)]
    assert expected == sorted(moves(prices.changes(seen)))
    assert 7 == usd(prices, "lab/mine")
    assert usd(prices, "lab/gone") is None


def test_a_wrong_reload_changes_nothing() -> None:
    """Where the new settings are wrong, the old ones stay whole."""
    prices = book(Clock(), m=table(1))
    with pytest.raises(SettingsError, match="lab/n hold at the same time"):
        prices.reload(own(m=table(2), n=[table(1), table(2)]))
    assert (1, 0) == (usd(prices), prices.version)


def test_a_window_grows_the_version_without_a_look_up() -> None:
    """A router that only watches the version sees that the night has come."""
    clock = Clock()
    prices = book(clock, m=[table(1), table(5, **NIGHT)])
    assert 0 == prices.version
    clock.wait(hours=9, minutes=59)
    assert 0 == prices.version
    clock.wait(minutes=1)
    assert 1 == prices.version
    clock.wait(hours=8)
    assert [("lab/m", 1, 5), ("lab/m", 5, 1)] == moves(prices.changes())


def test_another_card_is_no_change_of_price() -> None:
    """The first look-up on other terms finds another price, but nothing has changed."""
    prices = PriceBook(clock=Clock())
    assert [None, 1] == [usd(prices, "a/b"), usd(prices, "a/b", declared=DECLARED)]
    assert 0 == prices.version


def test_another_moment_leaves_the_present_alone() -> None:
    """To look at a coming price is no change."""
    prices = book(Clock(), m=[table(1), table(5, **NIGHT)])
    assert [5, 1] == [usd(prices, at=NOON + timedelta(hours=12)), usd(prices)]
    assert 0 == prices.version


def test_a_moment_without_a_time_zone_is_refused() -> None:
    """Prices by the hour need to know which hour it is."""
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(UsageProblem, match="no time zone"):
        usd(PriceBook(), at=naive)
    with pytest.raises(UsageProblem, match="no time zone"):
        usd(PriceBook(clock=Clock(naive)))


def test_a_repeated_look_up_does_not_ask_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is asked once up to the next moment at which its price may turn."""
    asked: list[datetime] = []

    def counting(url: str, model: str, at: datetime) -> tuple[Price | None, datetime]:
        asked.append(at)
        return list_price(url, model, at)

    monkeypatch.setattr("bmad_nb.pricing.list_price", counting)
    clock = Clock()
    prices = PriceBook(clock=clock)
    for _ in range(5):
        usd(prices, "deepseek/x", url=DEEPSEEK, model="deepseek-chat")
        usd(prices, "openai/x", url=OPENAI, model="no-such-model-at-all")
    assert [NOON, NOON] == asked
    clock.now = NOON.replace(hour=16, minute=30)
    assert 1 == prices.version
    assert 3 == len(asked)


LOOK_UPS = """
import sys
from bmad_nb.messages import FREE
from bmad_nb.pricing import PriceBook

book = PriceBook()
book.set("openai/x", FREE)
def ask(llm, url, card):
    book.price(llm, declared=card, url=url, model="o3")
ask("openai/x", "https://api.openai.com/v1", None)
ask("local/x", "", FREE)
ask("sim/x", "simulated:1", FREE)
ask("own/f", "", None)
book.version, book.changes()
print("genai_prices" in sys.modules)
ask("openai/y", "https://api.openai.com/v1", None)
print("genai_prices" in sys.modules)
"""


def test_own_and_local_prices_do_not_load_the_list() -> None:
    """Where the settings or the card know the price, genai-prices is not imported; else it is."""
    command = [sys.executable, "-c", LOOK_UPS]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert ["False", "True"] == said.stdout.split()


def test_prices_are_set_while_others_look_them_up() -> None:
    """From several threads no price is lost and no change is recorded twice."""
    prices = book(Clock(), m=table(0))

    def work(first: int) -> None:
        for n in range(first, first + 50):
            prices.set(f"lab/{n}", Price(Decimal(n), Decimal(1)))
            assert n == usd(prices, f"lab/{n}")
            assert prices.version

    threads = [threading.Thread(target=work, args=(1 + 50 * n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert list(range(1, 201)) == sorted(int(new or 0) for _, _, new in moves(prices.changes()))


def test_old_prices_are_named() -> None:
    """Own prices in force whose date is longer ago than the limit are listed with their age."""
    prices = book(
        Clock(), old=table(as_of="2026-02-28"), edge=table(as_of="2026-03-03"), undated=table(),
        first=table(**{"from": "2025-06-01"}),
        replaced=[table(as_of="2020-01-01"), table(**{"from": "2026-05-31"})],
    )  # fmt: skip
    prices.set("lab/mine", table(as_of="2026-01-01"))
    prices.set("lab/now", table())
    expected = (("lab/first", 365), ("lab/mine", 151), ("lab/old", 93))
    assert expected == prices.stale(90).own
    assert ("lab/edge", 90) in prices.stale(89).own


def test_an_old_list_is_named() -> None:
    """The age of the list is told where it is over the limit: years after its last price it is."""
    late = Clock(datetime(2050, 1, 1, tzinfo=UTC))
    age = list_age(late.now)
    assert age is not None
    assert 6000 < age < 9100
    assert Stale(age, ()) == book(late).stale()
    assert Stale(None, ()) == book(late).stale(days=age)
    assert list_age(datetime(2000, 1, 1, tzinfo=UTC)) is None


def test_a_fetched_list_has_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where genai-prices fetched its list, its age is counted from then."""
    fetched = data_snapshot.DataSnapshot(providers=[], from_auto_update=True)
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", fetched)
    assert 12 == list_age(utc_now() + timedelta(days=12, hours=1))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("table:", 5),
        ("table:", None),
        ("table:", []),
        ("list.0.input_usd_per_mtok:", [{}]),
        ("list.1.hours:", [table(), table(hours="night")]),
        ("list.1: ", [table(), 7]),
        ("table.input_usd_per_mtok:", table(-1)),
        ("table.input_usd_per_mtok:", table(True)),
        ("table.input_usd_per_mtok:", table("nan")),
        ("table.input_usd_per_mtok:", table("Infinity")),
        ("table.input_usd_per_mtok:", table("1e-31")),
        ("table.input_usd_per_mtok:", table(MOST_USD + 1)),
        ("table.input_usd_per_mtok:", table("1e999999999")),
        ("table.input_usd_per_mtok:", table([1])),
        ("table.request_usd:", table(request_usd="free")),
        ("table.reasoning_usd_per_mtok:", table(reasoning_usd_per_mtok=-1)),
        ("table.cache_write_usd_per_mtok:", table(cache_write_usd_per_mtok="x")),
        *(("table.from:", table(**{"from": each})) for each in (
            0, 20260101, 1.5, True, "", "2026-1-1", "2026-02-30", "20260101", "2026-W01-1",
            "٢٠٢٦-٠١-٠١", "2026-01-01\n", NOON, None,
        )),
        ("table.as_of:", table(as_of="yesterday")),
        *(("table.hours:", table(hours=each)) for each in (
            "22-06", "22:00", "22:00-22:00", "00:00-24:00", "24:00-06:00", "22:00-25:00",
            "22:60-06:00", "22:00 - 06:00", "22:00-06:00\n", "٢٢:00-06:00", "-", 22, None,
        )),
        ("table.since is not a setting", table(since="2026-01-01")),
        ("table.form is not a setting (did you mean from?)", table(form="2026-01-01")),
        ("table.hour is not a setting (did you mean hours?)", table(hour="22:00-06:00")),
    ],
    ids=repr,
)  # fmt: skip
def test_a_mistake_in_a_price_is_said_with_its_place(place: str, value: object) -> None:
    """What is wrong with a price is a SettingsError that names the LLM, the entry and the field."""
    with pytest.raises(SettingsError) as caught:
        find({"prices": {"lab/m": value}})
    assert f"prices.lab/m.{place}" in str(caught.value)
    prices = PriceBook()
    with pytest.raises(SettingsError):
        prices.set("lab/m", 1.5 if value is None else value)
    assert 0 == prices.version


@pytest.mark.parametrize(
    "usd", ["0", "-0", 0.1, "1e-30", "0." + "1" + "0" * 300, "0e-400", MOST_USD, f"{MOST_USD}.000"]
)
def test_what_the_settings_take_is_a_price(usd: object) -> None:
    """No amount passes the settings that a price would refuse afterwards."""
    found = book(m=table(usd)).price("lab/m", declared=None)
    assert found is not None
    assert Decimal(str(usd)) == found.input_usd_per_mtok
    assert found == Price.from_json(found.to_json())


@pytest.mark.parametrize(
    "more",
    [
        ({}, {}),
        ({"from": "2026-01-01"}, {"from": date(2026, 1, 1)}),
        (NIGHT, NIGHT),
        ({"hours": "22:00-02:00"}, {"hours": "01:00-06:00"}),
        ({"hours": "01:00-06:00"}, {"hours": "22:00-02:00"}),
        ({"hours": "10:00-20:00"}, {"hours": "12:00-13:00"}),
    ],
)
def test_two_entries_for_the_same_time_are_refused(more: tuple[dict[str, Any], ...]) -> None:
    """Where two entries with one date hold at one time, nobody could say which one counts."""
    with pytest.raises(SettingsError, match=r"Entries 2 and 3 of prices\.lab/m hold"):
        book(m=[table(1, **{"from": "2020-01-01"}), *(table(2, **each) for each in more)])


def test_hours_that_touch_do_not_overlap() -> None:
    """A window ends where the next one begins; other dates may repeat the hours."""
    windows = [table(1, hours="22:00-06:00"), table(2, hours="06:00-22:00")]
    later = table(3, **NIGHT, **{"from": "2026-06-02"})
    prices = book(m=[*windows, later])
    night = NOON + timedelta(hours=11)
    assert [2, 1, 3] == [usd(prices, at=each) for each in (NOON, night, night + timedelta(days=1))]


def test_both_forms_are_read_from_a_file(tmp_path: Path) -> None:
    """A table and a list of tables, with TOML dates or ISO text, are the settings of a price."""
    file = tmp_path / "prices.toml"
    file.write_text(
        '[prices."lab/old"]\ninput_usd_per_mtok = 0.15\noutput_usd_per_mtok = 1\n'
        '[[prices."lab/m"]]\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 1\nfrom = 2026-06-01\n'
        '[[prices."lab/m"]]\ninput_usd_per_mtok = 2\noutput_usd_per_mtok = 1\nfrom = "2026-06-02"\n'
    )
    prices = PriceBook(find(file).settings.prices)
    assert Decimal("0.15") == usd(prices, "lab/old")
    assert [1, 2] == [usd(prices, at=NOON), usd(prices, at=NOON + timedelta(days=1))]
    assert price_entries("lab/m", [table(1)]) == (price_entries("lab/m", table(1)),)


ENDPOINT = '[endpoints.lab]\nbase_url = "https://lab.example/v1"\n'
FREE_HERE = "input_usd_per_mtok = 0\noutput_usd_per_mtok = 0\n"


@pytest.mark.parametrize(
    "llm", ["openai/m", "own/f", "sim/careful", "local/x", "other/m", "openai"]
)
@pytest.mark.parametrize("brackets", [("[", "]"), ("[[", "]]")])
def test_a_project_prices_its_own_endpoints_only(
    project: Path, llm: str, brackets: tuple[str, str]
) -> None:
    """A clone cannot make free what it does not define, your functions and add-ons included."""
    left, right = brackets
    (project / "bmad.toml").write_text(f'{ENDPOINT}{left}prices."{llm}"{right}\n{FREE_HERE}')
    with pytest.raises(SettingsError, match=f"sets the price of {llm}"):
        find(folder=project)
    (project / "bmad.toml").write_text(f'{ENDPOINT}{left}prices."lab/m"{right}\n{FREE_HERE}')
    assert ["lab/m"] == list(find(folder=project).settings.prices)


def test_a_price_is_never_a_mixture(project: Path) -> None:
    """Your price replaces a project's whole: none of its hours, dates or amounts stay."""
    (project / "bmad.toml").write_text(
        f'{ENDPOINT}[prices."lab/m"]\n{FREE_HERE}hours = "22:00-06:00"\n'
        'cached_input_usd_per_mtok = 0\nfrom = "2099-01-01"\n[prices."lab/n"]\n' + FREE_HERE
    )
    found = find({"prices": {"lab/m": table(2)}}, folder=project).settings.prices
    assert price_entries("lab/m", table(2)) == found["lab/m"]
    assert {"lab/m", "lab/n"} == set(found)
