"""Tables of recorded answers in files: CSV that no spreadsheet executes, Parquet, JSON lines."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from bmad_nb.errors import UsageProblem

ENDINGS = (".csv", ".parquet", ".jsonl", ".jsonl.gz", ".json")
"""What a table's file may end in; `.json` is only read."""
_FORMULA = re.compile(r"'*(?:[=+\-@\t\r]|$)")
_DEFUSED = re.compile(r"'+(?:[=+\-@\t\r]|$)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_MEASURES = {"score", "cost_usd", "latency_s"}
_COUNTS = {"prompt_tokens", "completion_tokens"}
_TEXTS = {"dataset", "query_id", "subset", "prompt", "reference", "model", "response", "answer"}
_FLAGS = {"simulated", "contaminated", "tokens_estimated"}


def defused(value: Any) -> Any:
    r"""Return a cell as a spreadsheet shows it instead of executing it; numbers stay as they are.

    Texts that begin with `=`, `+`, `-`, `@`, tab or carriage return get an apostrophe in front, and
    so do those that would be mistaken for one that has it. An empty text becomes an apostrophe, so
    that it is told from a missing one.

    >>> defused("=1+1"), defused("-5"), defused("'=x"), defused("plain")
    ("'=1+1", '-5', "''=x", 'plain')
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}" if _FORMULA.match(value) else value


def restored(value: Any) -> Any:
    """Return a cell as it was before `defused`.

    >>> restored("'=1+1"), restored("''=x"), restored("'tis")
    ('=1+1', "'=x", "'tis")
    """
    return value[1:] if isinstance(value, str) and _DEFUSED.match(value) else value


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose known columns have their types: texts, measures, counts and flags.

    Raises:
        ValueError: a measure or a count is none.
    """
    found = frame.copy()
    for name in found.columns:
        if name in _MEASURES:
            found[name] = pd.to_numeric(found[name]).astype("float64")
        elif name in _COUNTS:
            found[name] = pd.to_numeric(found[name]).astype("Int64")
        elif name in _TEXTS:
            texts = [None if _is_missing(each) else _printable(str(each)) for each in found[name]]
            found[name] = pd.Series(texts, index=found.index, dtype="str")
        elif name in _FLAGS:
            found[name] = [each in {True, "True"} for each in found[name]]
    return found


def _is_missing(value: Any) -> bool:
    return value is None or bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _printable(text: str) -> str:
    """Return text without lone surrogates, which no file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def save(queries: pd.DataFrame, calls: pd.DataFrame, path: Path) -> list[Path]:
    """Write two tables beside each other; see `Recording.save`.

    Raises:
        UsageProblem: the file cannot be written, or its ending is not known.
    """
    ending = ending_of(path)
    if ending == ".json":
        raise UsageProblem(f"{path}: tables are not written as .json.", hint="Use .jsonl or .csv.")
    stem = path.name[: -len(ending)]
    found = []
    for name, frame in (("queries", queries), ("calls", calls)):
        target = path.with_name(f"{stem}.{name}{ending}")
        write(frame, target)
        found.append(target)
    return found


def pair(path: Path) -> tuple[Path, Path] | None:
    """Return the two files of a recording that `path` names, or None where it names a table."""
    ending = ending_of(path)
    stem = path.name[: -len(ending)]
    for name in ("queries", "calls"):
        stem = stem.removesuffix(f".{name}")
    both = [path.with_name(f"{stem}.{name}{ending}") for name in ("queries", "calls")]
    return (both[0], both[1]) if all(each.exists() for each in both) else None


def ending_of(path: Path) -> str:
    """Return the ending of a table's file.

    Raises:
        UsageProblem: nobody reads such a file here.
    """
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if path.name.endswith(ending) and path.name != ending:
            return ending
    hint = f"Use {', '.join(ENDINGS)}."
    if path.suffix in {".pkl", ".pickle"}:
        hint = "A pickle can run code when it is read: save it as .parquet or .csv first."
    raise UsageProblem(f"{path} is no table that can be read here.", hint=hint)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write one table in the format that its ending names.

    Raises:
        UsageProblem: it cannot be written.
    """
    ending = ending_of(path)
    try:
        if ending == ".csv":
            safe = frame.rename(columns=defused)
            for name in safe.columns:
                if not pd.api.types.is_numeric_dtype(safe[name]):
                    safe[name] = safe[name].astype(object).map(defused)
            safe.to_csv(path, index=False, lineterminator="\r\n")  # so that a lone one is quoted
        elif ending == ".parquet":
            frame.to_parquet(path, engine="pyarrow", index=False)
        else:
            frame.to_json(path, orient="records", lines=True, force_ascii=False,
                          compression="gzip" if ending.endswith("gz") else None)  # fmt: skip
    except ImportError:
        raise _without_arrow(path) from None
    except OSError as error:
        raise UsageProblem(f"{path} cannot be written: {error.strerror or error}.") from None


def read(path: Path, *, foreign: bool = False) -> pd.DataFrame:
    """Return the table of a file.

    Args:
        path: the file.
        foreign: others wrote it: a CSV is taken as it stands, its types guessed, nothing restored.

    Raises:
        UsageProblem: it cannot be read as what its name says.
    """
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".csv": lambda: pd.read_csv(path) if foreign else _ours(path),
        ".parquet": lambda: pd.read_parquet(path, engine="pyarrow"),
        ".json": lambda: pd.DataFrame(json.loads(path.read_bytes())),
        ".jsonl": lambda: _lines(path.read_bytes()),
        ".jsonl.gz": lambda: _lines(gzip.decompress(path.read_bytes())),
    }
    try:
        found = readers[ending_of(path)]()
        return found if foreign else typed(found)
    except ImportError:
        raise _without_arrow(path) from None
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise UsageProblem(f"{path} is no such table: {str(error)[:200]}") from None


def _lines(data: bytes) -> pd.DataFrame:
    """Return a table with a JSON object a line; nothing is guessed of its values."""
    return pd.DataFrame([json.loads(line) for line in data.split(b"\n") if line.strip()])


def _ours(path: Path) -> pd.DataFrame:
    """Return a CSV file that `write` wrote, cell for cell what was written."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    return frame.rename(columns=restored).map(restored)


def _without_arrow(path: Path) -> UsageProblem:
    return UsageProblem(
        f"{path} needs the package pyarrow, which is not installed.",
        hint='Run: pip install "bmad-nb[parquet]". Or use .csv or .jsonl.',
    )
