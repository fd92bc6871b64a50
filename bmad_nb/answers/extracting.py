r"""The final answer, taken out of what an LLM wrote: a JSON field, a box, a phrase, or the end.

In this order, because the first ones are said on purpose: the first JSON object with a field
`answer`; the last `\boxed{}`; what stands behind the last "the answer is"; for numbers, choices and
code what stands last. Where nothing is found the answer is None: it abstains and does not guess.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bmad_nb.answers import latex
from bmad_nb.answers.canonical import Kind
from bmad_nb.answers.numbers import last_number, spelled

MAX_LENGTH = 200_000
"""Characters at the end of a response that are searched."""
MOST_FIELDS = 50
"""Fields of that name that are looked at: each costs a look at what is around it."""
FIELD = "answer"
"""The field that holds the answer where none is named."""
_SPOKEN = re.compile(
    r"(?:final\s+answer|correct\s+answer|answer|result)\s*(?:\*\*)?\s*(?:is|=|:)\s*(?:\*\*)?\s*:?"
    r"[ \t]*(?:\*\*)?[ \t]*(\S[^\n]*)",
    re.IGNORECASE,
)
_MARKED = re.compile(r"^\s*#{4}\s*(\S[^\n]*)$", re.MULTILINE)
_LETTER = re.compile(r"(?<![\w'])\(?(?!I\s+[a-z'])([A-J])\)?(?![\w'])")
"""A letter alone; the pronoun I before a verb is none."""
_NOT = re.compile(r"(?:not|n't|never)\b", re.IGNORECASE)
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)```", re.DOTALL)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANK = re.compile(r"_{2,}|\.{3}|<[^<>]*>")
_VALUE = r"\"\s*:\s*(\"(?:[^\"\\]|\\.)*\"|'[^\n]*'(?=\s*[}\n])|\[[^\n]*\]|\{[^\n]*\}|[^,\n}\]]+)"


def final_answer(response: str | None, kind: Kind = "auto", field: str = FIELD) -> str | None:
    r"""Return the final answer that a response gives, as it is written there; None if none.

    Args:
        response: what an LLM wrote.
        kind: what answers are.
        field: the JSON field that holds it.

    >>> final_answer('First 3+4=7.\n{"reasoning": "...", "answer": "7"}')
    '7'
    >>> final_answer(r"We get $\boxed{\frac{1}{2}}$."), final_answer("I do not know.")
    ('\\frac{1}{2}', None)
    >>> final_answer("The answer is **B**, because it is.", "choice")
    'B'
    """
    if not response or not response.strip():
        return None
    text = _CONTROL.sub("", response[-MAX_LENGTH:])
    found = in_json(text, field)
    if found is None:
        boxed = latex.unboxed(text)
        found = boxed if boxed is not text and boxed != text else _spoken(text, kind)
    if found is None and kind == "number":
        last = last_number(text)
        return None if last is None else spelled(last)
    if found is None and kind == "choice":
        letters = _LETTER.findall(text)
        return letters[-1] if letters else None
    return found


def in_json(text: str, field: str = FIELD) -> str | None:
    r"""Return the field of the first JSON object that has it, as text; None if there is none.

    The first, because what stands behind the object that was asked for is rambling more often than
    second thought. A blank to be filled in (`___`) is none.

    What is only almost JSON (a raw line break in a text, a lone backslash of LaTeX) is read too.

    >>> in_json('{"answer": [1, 2]}'), in_json('{"reasoning": "a\nb", "answer": "\\pi"}')
    ('[1, 2]', '\\pi')
    """
    key = f'"{field}"'
    start = text.find(key)
    for _ in range(MOST_FIELDS):
        if start < 0:
            break
        there, found = _object_around(text, start, field)
        if not there:
            match = re.compile(f'"{re.escape(field)}{_VALUE}').match(text, start)
            there, found = match is not None, match and _loose(match[1])
        if there and not (found and _BLANK.fullmatch(found)):
            return found
        start = text.find(key, start + 1)
    return None


def _object_around(text: str, start: int, field: str) -> tuple[bool, str | None]:
    """Return whether a JSON object stands around a place and has the field, and what it says."""
    decoder = json.JSONDecoder(strict=False)
    opened = text.rfind("{", 0, start)
    for _ in range(8):
        if opened < 0:
            break
        try:
            value, end = decoder.raw_decode(text, opened)
        except (ValueError, RecursionError):
            value, end = None, 0
        if isinstance(value, dict) and field in value and end > start:
            return True, _told(value[field])
        opened = text.rfind("{", 0, opened)
    return False, None


def _told(value: Any) -> str | None:
    if value is None:
        return None
    return _relatexed(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _relatexed(text: str) -> str:
    r"""Return a text with the backslashes of LaTeX that JSON took for escapes, as in `\frac`."""
    text = text.replace("\f", "\\f").replace("\b", "\\b")
    text = re.sub(r"\t(?=imes|ext|frac|heta|an\b)", r"\\t", text)
    return re.sub(r"\r(?=ight|ho\b)", r"\\r", re.sub(r"\n(?=eq\b|abla\b)", r"\\n", text))


def _loose(written: str) -> str:
    """Return a value that is almost JSON as text."""
    written = written.strip()
    if written[:1] == '"' and written[-1:] == '"' and len(written) > 1:
        inner = re.sub(r"\\(?![\"\\/bfnrtu])", r"\\\\", written[1:-1])
        try:
            return _relatexed(str(json.loads(f'"{inner}"', strict=False)))
        except ValueError:
            return written[1:-1]
    return written.rstrip("`").strip()


def _spoken(text: str, kind: Kind) -> str | None:
    """Return what stands behind the last phrase that announces an answer."""
    for pattern in (_MARKED, _SPOKEN):
        found = pattern.findall(text)
        if found:
            said: str = found[-1].strip().strip("*").strip()
            if _NOT.match(said):
                return None  # what it is not
            if kind == "choice":
                letter = _LETTER.match(said)
                return letter[1] if letter else said
            return said.rstrip(".").strip().strip('"').strip() or None
    return None


def code(response: str) -> str | None:
    r"""Return the last fenced block of a response, or the response where it has no fence.

    >>> code("Here:\n```python\nx = 1\n```\nDone.")
    'x = 1\n'
    """
    blocks = _FENCE.findall(response[-MAX_LENGTH:])
    return blocks[-1] if blocks else (response if response.strip() else None)
