r"""LaTeX as plain text in which two spellings of one value are the same.

Only what answers are made of: fractions, roots, powers, signs, spaces and sizes. It is no algebra:
`x+1` and `1+x` stay two answers.
"""

from __future__ import annotations

import re

MAX_LENGTH = 2_000
"""Characters; a longer text is no short answer, and is left as it is."""
_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|limits|big|Big|bigg|Bigg)(?![A-Za-z])|\\[!,;: ]|~|\\quad|\\qquad"
)
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_SHORT_FRACTION = re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)")
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*(?:\{([^{}]*)\}|(\d))")
_NAMED = {
    r"\cdot": "*", r"\times": "*", r"\div": "/", r"\pm": "±", r"\infty": "infinity", r"\pi": "pi",
    r"\leq": "<=", r"\le": "<=", r"\geq": ">=", r"\ge": ">=", r"\neq": "!=", r"\cup": "U",
    r"\%": "%", r"\$": "$", r"\{": "{", r"\}": "}", r"\degree": "°", r"^\circ": "°",
    r"^{\circ}": "°", r"\circ": "°",
}  # fmt: skip
_ASSIGNED = re.compile(r"\s*[A-Za-z]\w{0,2}\s*=\s*(?=[^=])")


def plain(text: str) -> str:
    r"""Return LaTeX as plain text; what is no LaTeX stays as it is.

    >>> plain(r"\dfrac{1}{2}"), plain(r"x = \sqrt{3}\text{ cm}"), plain(r"\left(3,\,4\right)")
    ('1/2', 'sqrt(3) cm', '(3,4)')
    """
    if len(text) > MAX_LENGTH:
        return text
    text = unboxed(text)
    if not any(sign in text for sign in "\\$=^(["):
        return text
    text = text.strip().removeprefix("\\(").removesuffix("\\)")
    text = text.strip().removeprefix("\\[").removesuffix("\\]").strip().strip("$").strip()
    text = _WRAPPED.sub(r"\1", _DROPPED.sub("", text))
    text = _SHORT_FRACTION.sub(r"\1/\2", text)
    for _ in range(8):  # the innermost braces first
        before = text
        text = _ROOT.sub(lambda m: f"sqrt({m[1] or m[2]})", text)
        text = _FRACTION.sub(lambda m: f"{_held(m[1])}/{_held(m[2])}", text)
        if text == before:
            break
    for name, sign in _NAMED.items():
        text = re.sub(re.escape(name) + (r"(?![A-Za-z])" if name[-1].isalpha() else ""), sign, text)
    text = re.sub(r"\^\{([^{}]*)\}", lambda m: f"^{_held(m[1])}", text)
    if text[:1] in "([" and text[-1:] in ")]":
        text = re.sub(r"\s*([(),\[\]])\s*", r"\1", text)
    return _ASSIGNED.sub("", text, count=1).strip()


def unboxed(text: str) -> str:
    r"""Return what stands in the last `\boxed{}`, or the text where there is none.

    >>> unboxed(r"so it is $\boxed{\frac{1}{2}}$.")
    '\\frac{1}{2}'
    """
    start = text.rfind("\\boxed")
    if start < 0:
        return text
    opened = text.find("{", start)
    if opened < 0 or text[start + 6 : opened].strip():
        return text
    depth = 0
    for place in range(opened, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[opened + 1 : place].strip()
    return text


def _held(part: str) -> str:
    """Return a part that stays one when it stands beside a sign."""
    part = part.strip()
    return part if re.fullmatch(r"[-+]?[\w.]+|\w+\([^()]*\)", part) else f"({part})"
