"""How sure an LLM was of a choice: the log-probabilities of the token that says it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from bmad_nb.messages import Token

_SAID = re.compile(r'"choice"\s*:\s*"')
_OUTSIDE = " \t\n\"'`*().:,{}"


def odds(tokens: Sequence[Token], choices: Sequence[str]) -> dict[str, float]:
    """Return the probability in [0, 1] of each choice, 1 in all; empty where tokens do not tell.

    It looks at the token that begins the value of `choice` in a JSON answer, and at those that
    could have stood there (as in Zheng et al., "Large language models are not robust multiple
    choice selectors", 2024).

    Args:
        tokens: the answer's tokens.
        choices: what could be chosen, each one token long.

    >>> told = (Token('{"choice": "', 0.0), Token("A", -0.2, (("A", -0.2), ("B", -1.7))))
    >>> {name: round(each, 2) for name, each in odds(told, ["A", "B"]).items()}
    {'A': 0.82, 'B': 0.18}
    """
    place = _place(tokens, choices)
    if place is None:
        return {}
    token = tokens[place]
    weights = dict.fromkeys(choices, 0.0)
    for text, logprob in {(token.text, token.logprob), *token.others}:
        name = text.strip(_OUTSIDE)
        if name in weights and math.isfinite(logprob):
            weights[name] += math.exp(min(0.0, logprob))
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total > 0 else {}


def _place(tokens: Sequence[Token], choices: Sequence[str]) -> int | None:
    """Return which token says the choice; None where none does."""
    text = "".join(token.text for token in tokens)
    said = _SAID.search(text)
    at, least = 0, said.end() if said else 0
    for number, token in enumerate(tokens):
        at += len(token.text)
        if at > least and token.text.strip(_OUTSIDE) in choices:
            return number
        if said is not None and at > least and token.text.strip(_OUTSIDE):
            return None  # the choice is longer than a token
    return None
