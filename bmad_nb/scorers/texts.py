"""How alike two texts are: in words, in their order, in meaning, or by a pattern."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import regex
from rapidfuzz.distance import Indel

from bmad_nb.answers.canonical import normalise
from bmad_nb.consensus.medoid import Embed, likeness
from bmad_nb.errors import UsageProblem
from bmad_nb.scorers.base import Score

MAX_LENGTH = 100_000
"""Characters of a text that are looked at."""
PATTERN_S = 1.0
"""Seconds that a pattern may take: some never end on some texts."""
_WORD = re.compile(r"\w+")


class Regex:
    """1.0 where the pattern that is the reference is found in the answer."""

    name = "regex"

    def score(self, answer: str, reference: str) -> Score:
        """Search the answer.

        Raises:
            UsageProblem: the reference is no pattern, or takes too long.
        """
        try:
            found = regex.search(reference, answer[:MAX_LENGTH], timeout=PATTERN_S)
        except regex.error as error:
            raise UsageProblem(f"{reference!r} is no pattern: {error}.") from None
        except TimeoutError:
            raise UsageProblem(
                f"The pattern {reference!r} takes over {PATTERN_S:g} s on an answer.",
                hint="Write it without repetitions inside of repetitions.",
            ) from None
        return Score(float(found is not None), "it is found" if found else "it is not found")


class TokenF1:
    """F1 of the words that both have, as SQuAD scores it (Rajpurkar et al., 2016)."""

    name = "token_f1"

    def score(self, answer: str, reference: str) -> Score:
        """Count words without regard to case, punctuation and order."""
        given, wanted = words(answer), words(reference)
        both = sum((Counter(given) & Counter(wanted)).values())
        total = len(given) + len(wanted)
        value = 2 * both / total if total else 1.0
        return Score(value, f"{both} words in common of {len(given)} and {len(wanted)}")


class RougeL:
    """ROUGE-L: F1 of the longest common run of words, gaps allowed (Lin, 2004).

    It is one minus the normalised distance in insertions and deletions.
    """

    name = "rouge_l"

    def score(self, answer: str, reference: str) -> Score:
        """Compare the words in their order."""
        given, wanted = words(answer), words(reference)
        if not given or not wanted:
            return Score(float(given == wanted), "one of them has no words")
        value = Indel.normalized_similarity(given, wanted)
        common = round(value * (len(given) + len(wanted)) / 2)
        return Score(value, f"{common} words in the same order of {len(given)} and {len(wanted)}")


class Semantic:
    """How alike two texts are, as cosine in [0, 1]: in meaning with an embedding, else in wording.

    Args:
        embed: returns a vector for each text; None compares words and parts of words.
    """

    def __init__(self, embed: Embed | None = None) -> None:
        """Keep the function; without one the name says what is compared."""
        self._embed = embed
        self.name = "semantic" if embed else "wording"

    def score(self, answer: str, reference: str) -> Score:
        """Compare the two vectors."""
        value = float(likeness([answer[:MAX_LENGTH], reference[:MAX_LENGTH]], self._embed)[0, 1])
        return Score(value, f"alike in {'meaning' if self._embed else 'wording'}")


def words(text: str) -> Sequence[str]:
    """Return the words of a text, without case and punctuation."""
    return _WORD.findall(normalise(text[:MAX_LENGTH]))
