"""Functions that a document may name without permission: `bmad_nb.reducers:counts` and its like.

They take JSON values, return one, and touch nothing else. Those that a `reduce` may name take
`items`, what was done, and `errors`, what was not; the others are called by a `python` task.
What a mapped task could not do is null in its `items`, and every function here reckons with that.
"""

from __future__ import annotations

import builtins
import json
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any

_OWN = (
    "counts", "concat", "join", "gathered", "best", "sifted", "dead_references", "grouped",
    "patterns", "retrieved", "uncited", "conflicts",
)  # fmt: skip
FREE = frozenset(
    [f"bmad_nb.reducers:{name}" for name in _OWN]
    + [f"bmad_nb.weighing:{name}" for name in ("pairs", "ranking", "calibration")]
)
"""Exactly these may be called without permission: not what else these modules can reach."""
MOST_VALUES = 50
"""Different values of a field that are counted; a field with more is left out."""


def counts(items: Sequence[Any], errors: Sequence[Any]) -> dict[str, Any]:
    """Return how often each value of each field comes, how many items there are, and failed.

    >>> counts([{"label": "bug"}, {"label": "bug"}], [])["label"]
    {'bug': 2}
    """
    found: dict[str, Any] = {"items": len(items), "errors": len(errors)}
    fields: dict[str, dict[str, int]] = {}
    for item in items:
        for name, value in item.items() if isinstance(item, Mapping) else [("value", item)]:
            if not isinstance(value, list | Mapping):
                word = value if isinstance(value, str) else json.dumps(value)
                of_field = fields.setdefault(str(name), {})
                of_field[word] = of_field.get(word, 0) + 1
    return found | {
        name: dict(sorted(values.items(), key=lambda each: (-each[1], each[0])))
        for name, values in fields.items()
        if len(values) <= MOST_VALUES and name not in found
    }


def concat(items: Sequence[Any], errors: Sequence[Any]) -> list[Any]:
    """Return one list of all that the items hold.

    >>> concat([[1], [2, 3], 4], [])
    [1, 2, 3, 4]
    """
    del errors
    found: list[Any] = []
    for item in items:
        found += item if isinstance(item, list) else [item]
    return found


def join(items: Sequence[Any], errors: Sequence[Any]) -> str:
    r"""Return the texts of the items, an empty line between two.

    >>> join(["a", "b"], [])
    'a\n\nb'
    """
    del errors
    return "\n\n".join(each if isinstance(each, str) else json.dumps(each) for each in items)


def gathered(items: Sequence[Any], field: str) -> list[dict[str, Any]]:
    """Return the rows of a list field of all items, each with the number of its `source`, from 1.

    >>> gathered([{"facts": [{"fact": "a"}]}, None, {"facts": [{"fact": "b"}]}], "facts")
    [{'fact': 'a', 'source': 1}, {'fact': 'b', 'source': 3}]
    """
    return [
        {**(row if isinstance(row, Mapping) else {"value": row}), "source": number}
        for number, item in enumerate(items, start=1)
        if isinstance(item, Mapping)
        for row in item.get(field) or ()
    ]


def best(answers: Sequence[Any], results: Sequence[Any]) -> dict[str, Any]:
    """Return the answer with the highest score; of equal ones the first.

    Args:
        answers: candidates; null is none.
        results: of each the `score` in [0, 1], and what was `said` of it; null is 0.

    >>> best(["a", "b"], [{"score": 0.5, "said": "1 of 2"}, {"score": 1, "said": "2 of 2"}])
    {'number': 2, 'answer': 'b', 'score': 1, 'said': '2 of 2'}
    """
    rows = [
        {"number": number, "answer": answer, "score": 0, "said": "", **(result or {})}
        for number, (answer, result) in enumerate(zip(answers, results, strict=True), start=1)
        if answer is not None
    ]
    nobody = {"number": 0, "answer": None, "score": 0, "said": "Nobody answered."}
    return max(rows, key=lambda row: row["score"], default=nobody)


def sifted(
    findings: Sequence[Mapping[str, Any]], verdicts: Sequence[Any], source: str = ""
) -> dict[str, Any]:
    """Return the findings that hold as `kept`, and the others as `dropped`, each with a `reason`.

    Args:
        findings: with a `quote` where a source is given.
        verdicts: of each whether it `holds`, and `why`; null where nobody said. What else a
            verdict says, such as a severity, goes to the finding that is kept, before its own.
        source: text in which each quote must stand; empty for no such test.
    """
    kept: list[dict[str, Any]] = []
    dropped: list[dict[str, Any]] = []
    for finding, verdict in zip(findings, verdicts, strict=True):
        quote = str(finding.get("quote", ""))
        if source and (not quote.strip() or quote not in source):
            reason = "What it quotes does not stand in the source."
        elif verdict is None:
            reason = "Nobody could verify it."
        elif not verdict["holds"]:
            reason = str(verdict.get("why") or "It was refuted, without a reason.")
        else:
            said = {k: v for k, v in verdict.items() if k not in ("holds", "why")}
            kept.append({**finding, **said})
            continue
        dropped.append({**finding, "reason": reason})
    return {"kept": kept, "dropped": dropped}


_SPAN = re.compile(r"`([^`\n]{1,200})`")
_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\(.*\))?")
_KNOWN = frozenset((*keyword.kwlist, *keyword.softkwlist, *dir(builtins)))


def dead_references(texts: Sequence[Any], sources: Sequence[str]) -> dict[str, Any]:
    """Return the names of code in texts that stand in no source.

    A reference is a name between backticks, with or without a call behind it; each of its dotted
    parts must be a word of a source, or one of Python itself. Other spans (commands, formulas) are
    no references.

    >>> dead_references(["Call `area(r)`, not `volume()`."], ["def area(r): ..."])
    {'dead': [{'text': 1, 'reference': 'volume'}], 'checked': 2}
    """
    known = _KNOWN.union(*(re.findall(r"\w+", source) for source in sources))
    dead, checked = [], 0
    for number, text in enumerate(texts, start=1):
        for span in _SPAN.findall(text or ""):
            name = _NAME.fullmatch(span.strip())
            if name is not None:
                checked += 1
                if not known.issuperset(name[1].split(".")):
                    dead.append({"text": number, "reference": name[1]})
    return {"dead": dead, "checked": checked}


def _words(text: Any) -> frozenset[str]:
    """Return the words of a text that tell something: three letters and more, without a plural."""
    found = re.findall(r"\w+", str(text or "").casefold())
    return frozenset(w[:-1] if w.endswith("s") and len(w) > 4 else w for w in found if len(w) > 2)


def grouped(rows: Sequence[Any], by: str, alike: float = 0.3, least: int = 2) -> dict[str, Any]:
    """Return rows in `groups` of like ones, the largest first, and those that stay `single`.

    Two rows are alike where they share this part of the words that they have together (Jaccard);
    rows are in one group where a chain of like ones leads from one to the other.

    Args:
        rows: null is none.
        by: field whose words are compared.
        alike: share in (0, 1].
        least: rows that make a group.

    >>> rows = [{"topic": "late delivery"}, {"topic": "slow app"}, {"topic": "delivery was late"}]
    >>> [len(group) for group in grouped(rows, "topic")["groups"]]
    [2]
    """
    there = [row for row in rows if isinstance(row, Mapping)]
    words = [_words(row.get(by)) for row in there]
    group_of = list(range(len(there)))
    for one in range(len(there)):
        for other in range(one):
            both, either = words[one] & words[other], words[one] | words[other]
            if both and len(both) / len(either) >= alike:
                old, new = group_of[one], group_of[other]
                group_of = [new if each == old else each for each in group_of]
    groups: dict[int, list[Any]] = {}
    for number, row in zip(group_of, there, strict=True):
        groups.setdefault(number, []).append(dict(row))
    found = sorted(groups.values(), key=len, reverse=True)
    return {
        "groups": [each for each in found if len(each) >= least],
        "single": [row for each in found if len(each) < least for row in each],
        "rows": len(there),
    }


def patterns(
    groups: Sequence[Sequence[Mapping[str, Any]]], names: Sequence[Any]
) -> list[dict[str, Any]]:
    """Return each group with its `name`, the `count` of its rows, and their `quotes`.

    >>> patterns([[{"quote": "a"}, {"quote": "b"}]], [{"name": "letters"}])
    [{'name': 'letters', 'count': 2, 'quotes': ['a', 'b']}]
    """
    return [
        {
            "name": (name or {}).get("name") or f"pattern {number}",
            "count": len(group),
            "quotes": [row["quote"] for row in group],
        }
        for number, (group, name) in enumerate(zip(groups, names, strict=True), start=1)
    ]


def retrieved(question: str, facts: Sequence[Mapping[str, Any]], most: int = 3) -> list[Any]:
    """Return the facts whose `text` shares words with a question, the nearest first.

    A word counts the more, the fewer facts have it; of equal facts the first comes first.

    >>> facts = [{"id": "F1", "text": "Ice floats."}, {"id": "F2", "text": "Tea is hot."}]
    >>> [fact["id"] for fact in retrieved("Why does ice float?", facts)]
    ['F1']
    """
    words = [_words(fact["text"]) for fact in facts]
    rare = {word: 1 / sum(word in each for each in words) for each in words for word in each}
    asked = _words(question)
    score = [sum(rare[word] for word in each & asked) for each in words]
    order = sorted(range(len(facts)), key=lambda n: -score[n])
    return [facts[n] for n in order if score[n] > 0][:most]


_CITED = re.compile(r"\[([\w.,; -]{1,80})\]")
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s*(?:\[[\w.,; -]{1,80}\]))*(?:\s+|$)")


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text; a citation behind the full stop belongs to the one before."""
    ends = [match.end() for match in _SENTENCE.finditer(text)]
    pieces = [text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    return [piece for piece in pieces if re.search(r"\w", _CITED.sub("", piece))]


def uncited(text: str, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sentences of an answer that cite no fact by its `id` in square brackets.

    `unknown` are citations of facts that are not there; a sentence with no other is uncited too.

    >>> uncited("Ice floats [F1]. Tea is hot.", [{"id": "F1"}])["uncited"]
    ['Tea is hot.']
    """
    known = {str(fact["id"]) for fact in facts}
    sentences, cited, unknown, bare = _sentences(text), [], [], []
    for sentence in sentences:
        names = [n for group in _CITED.findall(sentence) for n in re.split(r"[,;\s]+", group) if n]
        cited += [name for name in names if name in known]
        unknown += [name for name in names if name not in known]
        if known.isdisjoint(names):
            bare.append(sentence)
    return {
        "sentences": len(sentences),
        "uncited": bare,
        "cited": list(dict.fromkeys(cited)),
        "unknown": list(dict.fromkeys(unknown)),
    }


def conflicts(facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what facts with the same `about` say differently: each `value` with who says so.

    Case, space and punctuation make no difference. Facts with other words for the same thing are
    not seen as such.

    >>> rows = [{"about": "Its length", "value": "9 m"}, {"about": "its length", "value": "8 m"}]
    >>> [row["value"] for row in conflicts(rows)[0]["facts"]]
    ['9 m', '8 m']
    """
    by: dict[str, list[Mapping[str, Any]]] = {}
    for fact in facts:
        by.setdefault(_spelled(fact["about"]), []).append(fact)
    return [
        {"about": rows[0]["about"], "facts": [dict(row) for row in rows]}
        for key, rows in by.items()
        if key and len({_spelled(row["value"]) for row in rows}) > 1
    ]


def _spelled(value: Any) -> str:
    """Return the words of a value, each with one space between."""
    return " ".join(re.findall(r"\w+(?:[.,]\d+)*", str(value).casefold()))
