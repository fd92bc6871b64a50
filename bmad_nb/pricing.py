"""What an LLM costs at a moment: your own prices, then the card's, then the list's; else unknown.

The current price is for what is yet to be decided. What a call did cost is in its own ledger row.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from bmad_nb.errors import SettingsError, UsageProblem
from bmad_nb.messages import Price
from bmad_nb.settings import PriceEntries, PriceSettings, price_entries

Clock = Callable[[], datetime]
"""Returns the moment that it is, with its time zone."""
_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)
_Terms = tuple[Price | None, str, str]
"""What a card says of an LLM: its declared price, its address and the model's name there."""
_UNSAID: _Terms = (None, "", "")


class Change(NamedTuple):
    """One change of a price."""

    llm: str
    """Id of the LLM, `endpoint/name`."""
    old: Price | None
    """None where it was unknown."""
    new: Price | None
    """None where it is unknown now."""


class Stale(NamedTuple):
    """What of the price book is too old to be relied on."""

    list_days: int | None
    """Age of the public list in days; None if it is young enough, or its age is unknown."""
    own: tuple[tuple[str, int], ...]
    """Your own prices that are too old: id of the LLM and age in days."""


class _Entry(NamedTuple):
    """One of your own prices."""

    price: Price
    first: datetime
    window: tuple[time, time] | None

    def covers(self, moment: time) -> bool:
        """Tell whether a time of day lies in the window; its end does not."""
        if self.window is None:
            return True
        start, end = self.window
        return start <= moment < end if start < end else moment >= start or moment < end

    @property
    def rank(self) -> tuple[bool, datetime]:
        """Among entries that hold, one for these hours goes first, then the newest one."""
        return self.window is not None, self.first


class _Found(NamedTuple):
    """A price that was looked up, and for how long that need not be done again."""

    terms: _Terms
    price: Price | None
    since: datetime
    until: datetime


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class PriceBook:
    """Prices by LLM and moment, and what changed among them.

    Of several own prices of one LLM, those with hours hold inside their hours and the others for
    the rest of the day; among equals the one with the newest `from` counts. Where none holds, the
    LLM's card is asked, then the public list.

    Args:
        overrides: the `[prices]` tables of the settings, by LLM id.
        clock: returns the present moment with its time zone.

    Raises:
        SettingsError: two entries of one LLM hold at the same time.
    """

    def __init__(
        self, overrides: Mapping[str, PriceEntries] | None = None, *, clock: Clock = utc_now
    ) -> None:
        """Take the prices of the settings; the public list is not read yet."""
        self._clock = clock
        self._lock = threading.Lock()  # a notebook sets prices while its calls look them up
        self._settings = _entries_by_llm(overrides or {})
        self._set: dict[str, tuple[_Entry, ...]] = {}
        self._found: dict[str, _Found] = {}
        self._next = _NEVER
        self._changes: list[Change] = []
        for llm in self._settings:
            self._watch(llm)

    def price(
        self,
        llm: str,
        *,
        declared: Price | None,
        url: str = "",
        model: str = "",
        at: datetime | None = None,
    ) -> Price | None:
        """Return the price of `llm`, or None where nobody knows it.

        Args:
            llm: id, `endpoint/name`.
            declared: price on the LLM's own card, if it has one.
            url: address of the endpoint, by which the public list knows the provider.
            model: the model's name there.
            at: another moment than the present one, with its time zone.
        """
        moment = self._now() if at is None else _aware(at)
        terms = (declared, url, model)
        found = self._found.get(llm)
        if found is not None and found.since <= moment < found.until and found.terms == terms:
            return found.price
        if at is not None:
            return self._look(llm, terms, moment).price
        with self._lock:
            return self._renew(llm, terms)

    def set(self, llm: str, price: object) -> None:
        """Replace the price of an LLM from now on, whatever the settings say.

        Args:
            llm: id, `endpoint/name`.
            price: a `Price`; a table or a list of tables as in the settings; or None, by which the
                settings count again.

        Raises:
            SettingsError: the table is wrong, or two of a list hold at the same time.
        """
        entries: tuple[_Entry, ...] = ()
        if isinstance(price, Price):
            entries = (_Entry(price, _EVER, None),)
        elif price is not None:
            today = self._now().astimezone(UTC).date()
            entries = _entries(llm, price_entries(llm, price), "set_price", today)
        with self._lock:
            self._watch(llm)
            self._set[llm] = entries
            self._renew(llm, self._found[llm].terms)

    def reload(self, overrides: Mapping[str, PriceEntries]) -> None:
        """Take the `[prices]` tables of the settings anew; what was `set` stays.

        Raises:
            SettingsError: two entries of one LLM hold at the same time; nothing is changed.
        """
        settings = _entries_by_llm(overrides)
        with self._lock:
            for llm in settings:
                self._watch(llm)
            self._settings = settings
            for llm, found in self._found.items():
                self._renew(llm, found.terms)

    @property
    def version(self) -> int:
        """Number of changes until now; where it grew, decisions must be made anew.

        Changes by `set` and `reload` count, and so do dates and hours that have come since.
        """
        if self._now() >= self._next:
            with self._lock:
                now = self._now()
                for llm, found in self._found.items():
                    if now >= found.until:
                        self._renew(llm, found.terms)
                self._next = min(found.until for found in self._found.values())
        return len(self._changes)

    def changes(self, since_version: int = 0) -> list[Change]:
        """Return what changed since `version` had a value, the oldest first."""
        return self._changes[since_version : self.version]

    def stale(self, days: int = 90) -> Stale:
        """Return what is older than `days`; reads the public list."""
        now = self._now()
        age = list_age(now)
        own = []
        for llm in sorted({*self._settings, *filter(self._set.get, self._set)}):
            entry, _ = self._own(llm, now)
            since = _days(entry.price.as_of, now) if entry else None
            own += [(llm, since)] if since is not None and since > days else []
        return Stale(age if age is not None and age > days else None, tuple(own))

    def _now(self) -> datetime:
        return _aware(self._clock())

    def _own(self, llm: str, at: datetime) -> tuple[_Entry | None, datetime]:
        """Return your own price that holds at a moment, and when that must be asked again."""
        entries = self._set.get(llm) or self._settings.get(llm, ())
        at = at.astimezone(UTC)
        holding = [each for each in entries if each.first <= at and each.covers(at.time())]
        times = (edge for each in entries for edge in each.window or ())
        until = _next_of((each.first for each in entries), times, at)
        return max(holding, key=lambda each: each.rank, default=None), until

    def _look(self, llm: str, terms: _Terms, at: datetime) -> _Found:
        """Look a price up."""
        declared, url, model = terms
        entry, until = self._own(llm, at)
        if entry is not None:
            return _Found(terms, entry.price, at, until)
        if declared is not None or not url.startswith("https://"):
            return _Found(terms, declared, at, until)
        listed, turn = list_price(url, model, at)
        return _Found(terms, listed, at, min(until, turn))

    def _watch(self, llm: str) -> None:
        """Know what an LLM costs before that changes, even if nobody has asked yet."""
        if llm not in self._found:
            self._renew(llm, _UNSAID)

    def _renew(self, llm: str, terms: _Terms) -> Price | None:
        """Look a price up and keep it; another one on the same terms is a change."""
        old, new = self._found.get(llm), self._look(llm, terms, self._now())
        self._found[llm] = new
        self._next = min(self._next, new.until)
        if old and old.terms == terms and _amounts(old.price) != _amounts(new.price):
            self._changes.append(Change(llm, old.price, new.price))
        return new.price


def list_price(url: str, model: str, at: datetime) -> tuple[Price | None, datetime]:
    """Return the list price that genai-prices has for a model at an address, and when it may turn.

    Where a price has tiers, the dearest one is taken, so that a reservation is never too small.
    """
    import genai_prices

    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1, output_tokens=1),
            model_ref=model,
            provider_api_url=url,
            genai_request_timestamp=at,
        )
    except (LookupError, ValueError):
        return None, _NEVER
    listed = found.model_price
    until = _next_of(*_turns(found.model), at.astimezone(UTC))
    given, answered = _dearest(listed.input_mtok), _dearest(listed.output_mtok)
    if given is None or answered is None:
        return None, until
    price = Price(
        given,
        answered,
        _dearest(listed.cache_read_mtok),
        source=f"genai-prices {genai_prices.__version__}",
        as_of=at.astimezone(UTC).date().isoformat(),
        cache_write_usd_per_mtok=_dearest(listed.cache_write_mtok),
        reasoning_usd_per_mtok=_dearest(listed.output_reasoning_mtok),
        request_usd=(_dearest(listed.requests_kcount) or Decimal(0)) / 1000,
    )
    return price, until


def list_age(now: datetime) -> int | None:
    """Return the age of the public list in days, or None if nothing in it has a date.

    A list that was fetched has its date. The one that comes with genai-prices has none: it counts
    as of its newest dated price that has come into force.
    """
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    if snapshot.from_auto_update:
        return (now - snapshot.timestamp.astimezone(UTC)).days
    models = (model for provider in snapshot.providers for model in provider.models)
    past = (first for model in models for first in _turns(model)[0] if first <= now)
    newest = max(past, default=None)
    return None if newest is None else (now - newest).days


def _entries_by_llm(overrides: Mapping[str, PriceEntries]) -> dict[str, tuple[_Entry, ...]]:
    return {llm: _entries(llm, prices, "settings") for llm, prices in overrides.items()}


def _entries(
    llm: str, prices: PriceEntries, source: str, today: date | None = None
) -> tuple[_Entry, ...]:
    """Return your own prices of an LLM, of which at most one holds at a moment."""
    tables = (prices,) if isinstance(prices, PriceSettings) else tuple(prices)
    entries = tuple(_entry(each, source, today) for each in tables)
    for n, entry in enumerate(entries):
        for k, other in enumerate(entries[:n]):
            if entry.rank == other.rank and _overlap(entry, other):
                raise SettingsError(
                    f"Entries {k + 1} and {n + 1} of prices.{llm} hold at the same time.",
                    hint="Give them different dates in `from`, or hours that do not overlap.",
                )
    return entries


def _entry(table: PriceSettings, source: str, today: date | None) -> _Entry:
    fixed = table.as_of or table.from_ or today
    amounts = table.model_dump(exclude={"as_of", "from_", "hours"})
    price = Price(**amounts, source=source, as_of=fixed.isoformat() if fixed else "")
    first = datetime.combine(table.from_, time(), UTC) if table.from_ else _EVER
    start, _, end = table.hours.replace("24:", "00:").partition("-")
    window = (time.fromisoformat(start), time.fromisoformat(end)) if start else None
    return _Entry(price, first, window)


def _overlap(one: _Entry, other: _Entry) -> bool:
    """Tell whether there is a time of day in both windows."""
    if one.window is None or other.window is None:
        return True
    return one.covers(other.window[0]) or other.covers(one.window[0])


def _turns(model: Any) -> tuple[list[datetime], list[time]]:
    """Return the days and the times of day at which a listed price may change."""
    limits = [each.constraint for each in model.prices] if isinstance(model.prices, list) else []
    days = [limit.start_date for limit in limits if hasattr(limit, "start_date")]
    spans = [limit for limit in limits if hasattr(limit, "start_time")]
    times = [edge for span in spans for edge in (span.start_time, span.end_time)]
    return [datetime.combine(day, time(), UTC) for day in days], times


def _next_of(moments: Iterable[datetime], times: Iterable[time], at: datetime) -> datetime:
    """Return the first of some moments and times of day that comes after a moment in UTC."""

    def daily() -> Iterator[datetime]:
        for each in times:
            zoned = each if each.tzinfo else each.replace(tzinfo=UTC)
            yield from (datetime.combine(at.date() + timedelta(n), zoned) for n in (-1, 0, 1, 2))

    return min((each for each in (*moments, *daily()) if each > at), default=_NEVER)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UsageProblem(
            f"{moment} has no time zone.", hint="Give one, as datetime.now(datetime.UTC) does."
        )
    return moment


def _days(iso: str, now: datetime) -> int | None:
    """Return the days since an ISO date; None for what is no date."""
    try:
        return (now.astimezone(UTC).date() - date.fromisoformat(iso)).days
    except ValueError:
        return None


def _amounts(price: Price | None) -> Price | None:
    """Return a price without where and when it was looked up."""
    return price and dataclasses.replace(price, source="", as_of="")


def _dearest(price: Any) -> Decimal | None:
    if price is None or isinstance(price, Decimal):
        return price
    return max(Decimal(price) for price in (price.base, *(tier.price for tier in price.tiers)))
