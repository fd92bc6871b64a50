"""The catalogue: from an LLM's name, as people type it, to the LLM; nothing is contacted."""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
import functools
import importlib.metadata
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmad_nb.errors import LLMError, UnknownName, UsageProblem
from bmad_nb.llms.base import LLM, Card
from bmad_nb.llms.recorded import Unasked
from bmad_nb.llms.recordings import Recordings, Stored, tables_of
from bmad_nb.llms.simulated import FLEET, SimulatedLLM
from bmad_nb.messages import Price, Scalar
from bmad_nb.pricing import PriceBook
from bmad_nb.settings import EndpointSettings, Settings

if TYPE_CHECKING:
    from bmad_nb.llms.hosted import Hosted

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+/-]{0,199}")

PARAMETERS = {
    "frequency_penalty", "max_tokens", "min_p", "num_ctx", "presence_penalty", "reasoning_effort",
    "repeat_penalty", "seed", "temperature", "top_k", "top_logprobs", "top_p",
}  # fmt: skip
"""Names that a setting may have."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One LLM in one setting, as it was asked for."""

    llm_id: str
    params: tuple[tuple[str, Scalar], ...] = ()


def number_or_text(text: str) -> Scalar:
    """Return the value of a setting as typed: a number, true, false or text.

    >>> number_or_text("0.7"), number_or_text("low"), number_or_text("true")
    (0.7, 'low', True)
    """
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def check_parameters(names: Iterable[str]) -> None:
    """Refuse a parameter that no backend knows.

    Raises:
        UnknownName: with the nearest right one.
    """
    for name in names:
        if name not in PARAMETERS:
            raise UnknownName("parameter", name, PARAMETERS)


class Catalog:
    """All LLMs that this workspace can name.

    Args:
        settings: endpoints, prices and facts from the settings.
        progress: told in one line what a slow first step is doing, such as fetching weights.
        recorded: where stored runs are, whose answers `recorded/run-...` gives again.
    """

    replay = False
    """Whether recordings alone may answer, and nobody else is asked."""

    def __init__(
        self,
        settings: Settings,
        progress: Callable[[str], None] | None = None,
        recorded: Stored | None = None,
    ) -> None:
        """List what is known; LLMs are built when they are first asked for."""
        self._settings = settings
        self._progress = progress
        self.prices = PriceBook(settings.prices)
        """What LLMs cost; may be changed while runs are going on."""
        self._llms: dict[str, LLM] = {}
        self._hosted: dict[str, Hosted] = {}
        self._recordings = Recordings(tables_of(settings.recorded), PARAMETERS, recorded)

    def replaying(self) -> Catalog:
        """Return the same catalogue in replay mode: it shares its LLMs, and asks none of them."""
        shared = copy.copy(self)
        shared.replay = True
        return shared

    def add(self, llm: LLM) -> None:
        """Add an LLM, or put it in the place of one with the same id.

        Raises:
            UsageProblem: its id is not made of letters, digits and `._:@+/-`.
        """
        if not _ID.fullmatch(llm.card.id):
            raise UsageProblem(
                f"{llm.card.id!r} cannot be an LLM's id.",
                hint="Use letters, digits and ._:@+/-, such as own/mine.",
            )
        self._llms[llm.card.id] = llm

    def cards(self, *, recorded: bool = True) -> list[Card]:
        """Return a card for each LLM that is known by name, those that run here first.

        Args:
            recorded: with the recorded ones, for which their tables are read.
        """
        from bmad_nb.llms.weights import models

        known = [f"local/{name}" for name in models()]
        known += [f"sim/{name}" for name in FLEET]
        known += [f"{e}/{m}" for e, s in self._settings.endpoints.items() for m in s.models]
        known += [name for name in self._settings.prices if "/" in name and self._is_open(name)]
        known += self._recordings.ids() if recorded else []
        known += [*self._llms, *self._entry_points]
        return [self.llm(name).card for name in dict.fromkeys(known)]

    def can_ask(self, llm_id: str) -> bool:
        """Return whether an LLM is known here and lacks nothing."""
        try:
            return not self.llm(llm_id).card.missing
        except UnknownName:
            return False

    def ids(self) -> list[str]:
        """Return the ids of `cards()`, for completion and suggestions."""
        return [card.id for card in self.cards()]

    def price(self, card: Card) -> Price | None:
        """Return what a call costs by the million tokens, or None where nobody knows."""
        return self.prices.price(
            card.id, declared=card.price, url=card.identity, model=card.model
        )  # fmt: skip

    def choose(self, spec: str) -> list[Choice]:
        """Return the LLMs that a text such as `local,sim/*?temperature=1` names.

        Raises:
            UnknownName: an LLM or a parameter that nobody knows.
            UsageProblem: a setting that cannot be read.
        """
        chosen: list[Choice] = []
        for part in filter(None, (p.strip() for p in spec.split(","))):
            name, _, setting = part.partition("?")
            params = _setting(setting, part) if setting else ()
            behind = self._settings.aliases.get(name, "")  # an alias names no alias
            for word in filter(None, (p.strip() for p in (behind or name).split(","))):
                one, _, own = word.partition("?")
                its = params or (_setting(own, word) if own else ())
                chosen += [Choice(llm_id, its) for llm_id in self._match(one)]
        if not chosen:
            raise UsageProblem(
                "No LLM was named.", hint="Write -m ID[,ID…]; %bmad models lists them."
            )
        return list(dict.fromkeys(chosen))

    def llm(self, llm_id: str) -> LLM:
        """Return the LLM with exactly this id.

        Raises:
            UnknownName: there is none.
        """
        if llm_id.startswith("recorded/"):
            return self._recordings.llm(llm_id)
        known = self._llms.get(llm_id)
        if known is None or known.card.missing:
            known = self._llms[llm_id] = self._build(llm_id)
        return Unasked(known.card) if self.replay else known

    def ids_of_run(self, name: str) -> list[str]:
        """Return the ids of the stored run in `recorded/run-RUN/...`.

        Raises:
            UsageProblem: there is none.
        """
        return self._recordings.named(name)[1]

    @property
    def in_use(self) -> bool:
        """Whether any LLM was built, so that there may be something to give back."""
        return bool(self._llms)

    async def aclose(self) -> None:
        """Give back all connections and processes."""
        for llm in list(self._llms.values()):
            await llm.aclose()

    def _is_open(self, llm_id: str) -> bool:
        """Return whether the id belongs to an HTTP endpoint that takes any model name."""
        endpoint = self._settings.endpoints.get(llm_id.partition("/")[0])
        return endpoint is not None and not endpoint.models

    def _match(self, name: str) -> list[str]:
        recorded = name.startswith("recorded/")  # nothing shorter means them: tables may be large
        known = [card.id for card in self.cards(recorded=recorded)]
        if recorded:
            name, of_run = self._recordings.named(name)
            known += of_run
        if any(sign in name for sign in "*["):
            found = [
                i
                for i in known
                if fnmatch.fnmatchcase(i, name) or fnmatch.fnmatchcase(_tail(i), name)
            ]
            if found:
                return found
            raise UnknownName("LLM", name, known)
        if name in known or (self._is_open(name) and _ID.fullmatch(name)):
            return [name]
        tails = [i for i in known if _tail(i) == name or i.startswith(f"{name}/")]
        if len(tails) == 1:
            return tails
        if len(tails) > 1:
            raise UsageProblem(
                f"{name!r} can mean {', '.join(tails[:8])}.",
                hint=f"Write one, or {name}/* for all.",
            )
        raise UnknownName("LLM", name, known)

    def _build(self, llm_id: str) -> LLM:
        endpoint, _, name = llm_id.partition("/")
        if endpoint == "sim" and name in FLEET:
            return SimulatedLLM(FLEET[name])
        if endpoint == "local":
            from bmad_nb.llms.local import LocalLLM
            from bmad_nb.llms.weights import models

            if name in models():
                local: LLM = LocalLLM(name, progress=self._progress)
                return local
        settings = self._settings.endpoints.get(endpoint)
        if settings is not None and name and (not settings.models or name in settings.models):
            return self._over_http(endpoint, settings, name)
        entry = self._entry_points.get(llm_id)
        if entry is not None:
            return _checked(entry.load()(), llm_id)
        raise UnknownName("LLM", llm_id, [i for i in self.ids() if i != llm_id])

    def _over_http(self, name: str, settings: EndpointSettings, model: str) -> LLM:
        from bmad_nb.llms.hosted import Hosted

        shared = self._hosted.get(name)
        if shared is None:
            shared = Hosted(name, settings, self._settings.engine.default_timeout_s)
            if not shared.missing:  # else it is built again, for its key may come later
                self._hosted[name] = shared
        return shared.llm(model, self._settings.llms.get(f"{name}/{model}"))

    @functools.cached_property
    def _entry_points(self) -> dict[str, Any]:
        return {e.name: e for e in importlib.metadata.entry_points(group="bmad_nb.llms")}


def _tail(llm_id: str) -> str:
    return llm_id.partition("/")[2]


def _setting(text: str, part: str) -> tuple[tuple[str, Scalar], ...]:
    pairs: dict[str, Scalar] = {}
    for pair in text.split("&"):
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise UsageProblem(
                f"{part!r} has a setting without a value.", hint="Write ID?temperature=1&top_p=0.9."
            )
        pairs[name.strip()] = number_or_text(value.strip())
    check_parameters(pairs)
    return tuple(sorted(pairs.items()))


def _checked(llm: object, llm_id: str) -> LLM:
    if not isinstance(llm, LLM):
        raise LLMError(
            f"The plug-in behind {llm_id} is not an LLM.",
            hint="Its entry point must be a function without arguments that returns an object with "
            "card, complete and aclose.",
        )
    llm.card = dataclasses.replace(llm.card, id=llm_id)
    return llm
