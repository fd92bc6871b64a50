"""Recorded answers in a table on disk: CSV, JSON lines, JSON or Parquet, read with care."""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from bmad_nb._nearest import nearest
from bmad_nb.errors import UsageProblem
from bmad_nb.llms.recorded import Recording, Setting, Turns, spelled, turns_of
from bmad_nb.messages import MOST_TOKENS, Completion, Message, Usage

MOST_BYTES = 256 * 2**20
"""A larger file is not read: its rows would fill the memory."""
COLUMNS = (
    "prompt", "answer", "system", "llm", "sample", "input_tokens", "output_tokens", "cost_usd",
    "latency_s", "finish_reason", "simulated",
)  # fmt: skip
"""Columns beside those of parameters; all others are left alone, so that `r.df` can be written."""

Rows = Iterator[tuple[int, Mapping[str, Any]]]
"""Rows with the number of the line on which each begins."""
_MOST_USD = 10**6
_MOST_S = 10**9
_YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_NO_USAGE = Usage()
_LLM = re.compile(r"[A-Za-z0-9._:@+-][A-Za-z0-9._:@+/-]{0,119}")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of recorded answers."""

    digest: str
    """SHA-256 of the file, in hex."""
    by_llm: Mapping[str, list[Recording]]
    """Recordings by LLM; the only LLM is empty where the table has no column `llm`."""


def read(path: Path, parameters: set[str]) -> Table:
    """Return the table in a file.

    Args:
        path: the file; its ending says what it is.
        parameters: columns that are parameters of a call.

    Raises:
        UsageProblem: it cannot be read; says the line.
    """
    ending = path.suffix.lower()
    if ending not in _READERS:
        raise UsageProblem(
            f"{path} is no table that can be read.", hint="Use .csv, .jsonl, .json or .parquet."
        )
    data = _bytes(path)
    reading = _Reading(path, parameters)
    try:
        for number, row in _READERS[ending](data, path):
            reading.add(number, row)
    except RecursionError:
        raise UsageProblem(f"{path} is nested too deeply.") from None
    if not reading.by_llm:
        raise UsageProblem(f"{path} has no rows.", hint="Give it columns prompt and answer.")
    return Table(hashlib.sha256(data).hexdigest(), reading.by_llm)


def _bytes(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_opened) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageProblem(f"{path} is no file.", hint="Name the table itself.")
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageProblem(
            f"The recorded answers in {path} cannot be read: {why}.",
            hint="Check path in the settings: it counts from the settings file's folder.",
        ) from None
    if len(data) > MOST_BYTES:
        raise UsageProblem(f"{path} has more than {MOST_BYTES >> 20} MiB.", hint="Split it.")
    return data


def _opened(path: str, flags: int) -> int:
    """Open without waiting, as a pipe in the file's place would have us do."""
    return os.open(path, flags | os.O_NONBLOCK)


# --- formats ------------------------------------------------------------------------------------


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")  # Excel writes a mark in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _wrong(path, line, "it is not UTF-8", "Save the table as UTF-8.") from None


def _csv_rows(data: bytes, path: Path) -> Rows:
    reader = csv.reader(io.StringIO(_text(data, path), newline=""), strict=True)
    before = 0
    names: list[str] | None = None
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not cells:
                continue
            if names is None:
                names = _names(path, line, cells)
            elif len(cells) != len(names):
                what = f"it has {len(cells)} cells, and the head has {len(names)}"
                raise _wrong(path, line, what, "Put quotes around a cell with commas in it.")
            else:
                yield line, {n: c for n, c in zip(names, cells, strict=True) if c}
    except csv.Error as error:
        hint = "Write long cells as .jsonl." if "field limit" in str(error) else ""
        raise _wrong(path, before + 1, str(error), hint) from None


def _names(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if twice:
        raise _wrong(path, line, f"the column {twice[0]} is there twice", "Leave one out.")
    for needed in ("prompt", "answer"):
        if needed not in names:
            guess = nearest(needed, names)
            hint = f"Did you mean {guess!r}? " if guess else ""
            hint += "The columns are separated by commas, and named in the first line."
            raise _wrong(path, line, f"there is no column {needed}", hint)
    return names


def _jsonl_rows(data: bytes, path: Path) -> Rows:
    for number, line in enumerate(_text(data, path).split("\n"), start=1):
        if line.strip():
            yield number, _object(path, number, _json(path, number, line))


def _json_rows(data: bytes, path: Path) -> Rows:
    rows = _json(path, 0, _text(data, path))
    if not isinstance(rows, list):
        raise UsageProblem(f"{path} is no list of objects.", hint="Or write it as .jsonl.")
    for number, row in enumerate(rows, start=1):
        yield number, _object(path, number, row)


def _json(path: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        what = f"it is not JSON: {error.msg}"
        raise _wrong(path, line or error.lineno, what, unit="line") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or deep nesting
        raise _wrong(path, line or 1, "it is JSON beyond all measure", unit="line") from None


def _object(path: Path, number: int, row: object) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise _wrong(path, number, f"it is no object, but a {type(row).__name__}")
    return {name: value for name, value in row.items() if value is not None}


def _parquet_rows(data: bytes, path: Path) -> Rows:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise UsageProblem(
            f"{path} needs the package pyarrow, which is not installed.",
            hint='Run: pip install "bmad-nb[parquet]". Or write the table as .csv or .jsonl.',
        ) from None
    try:
        rows = parquet.read_table(io.BytesIO(data)).to_pylist()
    except Exception as error:  # noqa: BLE001  (whatever a broken file makes of the library)
        raise UsageProblem(f"{path} is not Parquet: {str(error)[:200]}") from None
    for number, row in enumerate(rows, start=1):
        yield number, _object(path, number, row)


_READERS: dict[str, Callable[[bytes, Path], Rows]] = {
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".parquet": _parquet_rows,
}


# --- rows ---------------------------------------------------------------------------------------


class _Reading:
    """Turns rows into recordings, and finds those that contradict each other."""

    def __init__(self, path: Path, parameters: set[str]) -> None:
        self.by_llm: dict[str, list[Recording]] = {}
        self._path, self._parameters = path, parameters
        self._lines: dict[tuple[str, Turns, int, Setting, int | None], tuple[int, str]] = {}
        self._first: dict[str, int] = {}

    def add(self, line: int, row: Mapping[str, Any]) -> None:
        """Take one row.

        Raises:
            UsageProblem: it is wrong, or contradicts an earlier one.
        """
        try:
            llm, recording = self._recording(row)
        except _Wrong as wrong:
            raise _wrong(self._path, line, wrong.what, wrong.hint) from None
        known = self.by_llm.setdefault(llm, [])
        first = self._first.setdefault(llm, line)
        if len(self.by_llm) > 1 and "" in self.by_llm:
            other = next(n for name, n in self._first.items() if name != llm)
            what = f"of this line and line {other}, one has an llm and one has none"
            raise _wrong(self._path, line, what, "Fill the column llm everywhere, or nowhere.")
        if known and known[0].simulated is not recording.simulated:
            what = f"simulated differs from line {first}, and the LLM is the same"
            raise _wrong(self._path, line, what, "Give simulated answers an llm of their own.")
        place = (llm, recording.turns, recording.sample, recording.setting, recording.max_tokens)
        answer = recording.completion.text
        before, said = self._lines.setdefault(place, (line, answer))
        if said != answer:
            what = f"line {before} has another answer to the same prompt"
            raise _wrong(self._path, line, what, "Number them in a column sample, from 0.")
        if before == line:
            known.append(recording)

    def _recording(self, row: Mapping[str, Any]) -> tuple[str, Recording]:
        messages = [Message("user", _word(row, "prompt"))]
        if system := _word(row, "system", ""):
            messages.insert(0, Message("system", system))
        completion = Completion(
            _word(row, "answer"),
            self._usage(row),
            _word(row, "finish_reason", "stop"),
            latency_s=float(_number(row, "latency_s", _MOST_S) or 0),
            original_cost_usd=_number(row, "cost_usd", _MOST_USD),
        )
        setting = tuple(
            (name, spelled(_single(row, name)))
            for name in sorted(self._parameters & row.keys())
            if name != "max_tokens"
        )
        recording = Recording(
            turns_of(messages),
            completion,
            setting,
            _whole(row, "max_tokens"),
            _whole(row, "sample") or 0,
            _flag(row, "simulated"),
        )
        llm = _word(row, "llm", "")
        if llm and not _LLM.fullmatch(llm):
            raise _Wrong(f"llm is {_shown(llm)}", "Use letters, digits and ._:@+/- in it.")
        return llm, recording

    def _usage(self, row: Mapping[str, Any]) -> Usage:
        asked, answered = _whole(row, "input_tokens"), _whole(row, "output_tokens")
        return _NO_USAGE if asked is answered is None else Usage(asked, answered)


class _Wrong(Exception):
    """What is wrong in a cell, before its line is known."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


def _wrong(path: Path, line: int, what: str, hint: str = "", *, unit: str = "") -> UsageProblem:
    """Return the error of a place; rows that stand on no line of their own are counted from 1."""
    unit = unit or ("line" if path.suffix.lower() in {".csv", ".jsonl"} else "row")
    return UsageProblem(f"{path}, {unit} {line}: {what}.", hint=hint)


def _word(row: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = row.get(name, default)
    if value is None or (name == "prompt" and not value):
        raise _Wrong(f"it has no {name}", "Fill it in, or leave the row out.")
    if not isinstance(value, str):
        raise _Wrong(f"{name} is no text, but {_shown(value)}")
    return value


def _number(row: Mapping[str, Any], name: str, most: int) -> Decimal | None:
    value = row.get(name)
    if value is None:
        return None
    try:
        number = Decimal("NaN" if isinstance(value, bool) else str(value).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_finite() and 0 <= number <= most:
        return number
    raise _Wrong(f"{name} is no number from 0 to {most}, but {_shown(value)}")


def _whole(row: Mapping[str, Any], name: str) -> int | None:
    number = _number(row, name, MOST_TOKENS)
    if number is None:
        return None
    if number != int(number):
        raise _Wrong(f"{name} is no whole number, but {_shown(row[name])}")
    return int(number)


def _flag(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name, False)
    found = _YES_NO.get(str(value).strip().lower())
    if found is None:
        raise _Wrong(f"{name} is neither true nor false, but {_shown(value)}")
    return found


def _single(row: Mapping[str, Any], name: str) -> object:
    value = row[name]
    if isinstance(value, list | dict):
        raise _Wrong(f"{name} is no number or word, but {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return f"{type(value).__name__} {str(value)[:40]!r}"
