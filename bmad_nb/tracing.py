"""A stored run as OpenTelemetry spans: the run, its tasks, and each LLM call below them.

Spans are made from what is stored, so nothing stands in the way of a call, and a run can be sent at
any time. Their ids are hashes of ours: a run that is sent twice is the same trace. Names are those
of OpenTelemetry's conventions for generative AI, which are still being developed (version 1.41).
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bmad_nb.errors import BmadError, UsageProblem
from bmad_nb.events import CallRow, RunRow, TaskRow
from bmad_nb.messages import Message
from bmad_nb.secrets import redact

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

BATCH = 512
"""Spans of one request to a collector."""
_PROVIDERS = {
    "openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini", "groq": "groq",
    "mistral": "mistral_ai", "deepseek": "deepseek",
}  # fmt: skip
"""What the conventions call the endpoints that are built in; others keep their own names."""


def spans_of(
    run: RunRow, tasks: Sequence[TaskRow], calls: Sequence[CallRow], *, texts: bool = False
) -> list[ReadableSpan]:
    """Return the spans of a run, that of the run itself first.

    Args:
        run: the run.
        tasks: outcomes of its tasks and of their parts.
        calls: its LLM calls.
        texts: put prompts and answers in, without known keys; else no text of anybody is in them.

    Raises:
        UsageProblem: OpenTelemetry is not installed.
    """
    return _Tracer(run, texts=texts).spans(tasks, calls)


def send(spans: Sequence[ReadableSpan], endpoint: str | None = None) -> None:
    """Send spans to a collector over OTLP/HTTP; redirects are not followed.

    Args:
        spans: the spans.
        endpoint: URL of the collector's traces, such as `http://127.0.0.1:4318/v1/traces`; None
            leaves it, headers and certificates to the variables `OTEL_EXPORTER_OTLP_…`.

    Raises:
        BmadError: the collector did not take them.
        UsageProblem: OpenTelemetry is not installed.
    """
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ImportError as error:
        raise _missing() from error
    session = requests.Session()
    session.max_redirects = 0
    heard = _Heard()
    logging.getLogger("opentelemetry.exporter").addHandler(heard)
    exporter = OTLPSpanExporter(endpoint=endpoint, session=session, timeout=10)
    try:
        for start in range(0, len(spans), BATCH):
            if exporter.export(spans[start : start + BATCH]) is not SpanExportResult.SUCCESS:
                raise BmadError(
                    f"The collector did not take the spans: {heard.said or 'it gave no reason'}.",
                    hint="Give --endpoint URL, or set OTEL_EXPORTER_OTLP_ENDPOINT; nothing is "
                    "lost: send the run again.",
                )
    finally:
        logging.getLogger("opentelemetry.exporter").removeHandler(heard)
        exporter.shutdown()  # type: ignore[no-untyped-call]


class _Heard(logging.Handler):
    """Keeps the last words of the exporter, which does not raise."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = redact(record.getMessage())[:300].rstrip(".")


def _missing() -> UsageProblem:
    return UsageProblem(
        "Spans need OpenTelemetry, which is not installed.", hint="Run: pip install 'bmad-nb[otel]'"
    )


class _Tracer:
    """Makes the spans of one run."""

    def __init__(self, run: RunRow, *, texts: bool) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        except ImportError as error:
            raise _missing() from error
        self._api, self._run, self._texts = trace, run, texts
        self._trace = int.from_bytes(hashlib.sha256(run.run_id.encode()).digest()[:16], "big")
        self._resource = Resource({"service.name": "bmad_nb"})
        self._scope = InstrumentationScope("bmad_nb")

    def spans(self, tasks: Sequence[TaskRow], calls: Sequence[CallRow]) -> list[ReadableSpan]:
        times = [*_times(tasks), *_times(calls), *_times([self._run])]
        begun, ended = min(times, default=0), max(times, default=0)
        root = self._whole(begun, ended)
        known = {row.task for row in tasks}
        found = [root]
        found += [self._task(row, _above(row.task, known), begun) for row in tasks]
        found += [self._call(row, row.task if row.task in known else "", begun) for row in calls]
        return found

    def _whole(self, begun: int, ended: int) -> ReadableSpan:
        run = self._run
        name = run.workflow or run.verb
        status = "" if run.status in {"completed", "running"} else run.status
        said = {
            "gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": name,
            "bmad.run.id": run.run_id, "bmad.run.status": run.status, "bmad.verb": run.verb,
        }  # fmt: skip
        lasted = (begun, ended)
        return self._span("", f"invoke_workflow {name}", None, lasted, status=status, said=said)

    def _task(self, row: TaskRow, above: str, begun: int) -> ReadableSpan:
        status = row.error_kind or row.state if row.state in {"failed", "cancelled"} else ""
        said = {
            "bmad.task.id": row.task, "bmad.task.verb": row.verb, "bmad.task.state": row.state,
            "bmad.task.attempts": row.attempts, "bmad.task.degraded": row.degraded,
            "bmad.simulated": row.simulated,
        }  # fmt: skip
        lasted = _lasted(row.started_utc, row.ended_utc, begun)
        return self._span(
            f"task {row.task}",
            f"task {row.task}",
            above,
            lasted,
            status=status,
            said=said,
        )

    def _call(self, row: CallRow, above: str, begun: int) -> ReadableSpan:
        endpoint = row.llm.partition("/")[0]
        failed = row.state in {"failed", "cancelled", "lost"}
        status = row.error_kind or row.state if failed else ""
        said: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(endpoint, endpoint),
            "gen_ai.request.model": row.model or row.llm,
            "gen_ai.request.max_tokens": row.max_tokens or None,
            "gen_ai.usage.input_tokens": row.input_tokens,
            "gen_ai.usage.output_tokens": row.output_tokens,
            "gen_ai.response.finish_reasons": [row.finish_reason] if row.finish_reason else None,
            "bmad.llm": row.llm,
            "bmad.attempt": row.attempt,
            "bmad.cost_usd": None if row.cost_usd is None else float(row.cost_usd),
            "bmad.from_store": row.from_store,
            "bmad.simulated": row.simulated,
        }
        if self._texts:
            said |= _said(row)
        lasted = _lasted(row.started_utc, row.ended_utc, begun)
        parent = f"task {above}" if above else ""
        name = f"chat {row.model or row.llm}"
        return self._span(row.call_id, name, parent, lasted, status=status, said=said, client=True)

    def _span(
        self, key: str, name: str, parent: str | None, lasted: tuple[int, int], *, status: str,
        said: Mapping[str, Any], client: bool = False,
    ) -> ReadableSpan:  # fmt: skip
        """Return a span; `parent` is the key of another, empty for the run, None for no parent."""
        from opentelemetry.sdk.trace import ReadableSpan

        trace = self._api
        kept = {name: value for name, value in said.items() if value is not None}
        if status:
            kept["error.type"] = status
        return ReadableSpan(
            name=name,
            context=self._context(key),
            parent=None if parent is None else self._context(parent),
            resource=self._resource,
            attributes=kept,
            kind=trace.SpanKind.CLIENT if client else trace.SpanKind.INTERNAL,
            instrumentation_scope=self._scope,
            status=trace.Status(trace.StatusCode.ERROR if status else trace.StatusCode.UNSET),
            start_time=lasted[0],
            end_time=lasted[1],
        )

    def _context(self, key: str) -> Any:
        digest = hashlib.sha256(f"{self._run.run_id}\0{key}".encode()).digest()
        flags = self._api.TraceFlags(self._api.TraceFlags.SAMPLED)
        span = int.from_bytes(digest[:8], "big")
        return self._api.SpanContext(self._trace, span, is_remote=False, trace_flags=flags)


def _above(task: str, known: set[str]) -> str:
    """Return the span's key of the nearest part that a part belongs to; empty for the run."""
    for end in range(len(task) - 1, 0, -1):
        if task[end] in "/.[#" and task[:end] in known:
            return f"task {task[:end]}"
    return ""


def _said(row: CallRow) -> dict[str, str]:
    """Return what was asked and answered, as the conventions spell messages."""
    asked = [each for each in row.messages if each.role != "system"]
    told = [each for each in row.messages if each.role == "system"]
    found = {"gen_ai.input.messages": _json([_turn(each) for each in asked])}
    if told:
        found["gen_ai.system_instructions"] = _json([_part(each.text) for each in told])
    if row.text is not None:
        answer = {"role": "assistant", "parts": [_part(row.text)],
                  "finish_reason": row.finish_reason}  # fmt: skip
        found["gen_ai.output.messages"] = _json([answer])
    return found


def _turn(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(message.text)]}


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "content": redact(text)}


def _json(value: Any) -> str:
    return json.dumps(value)


def _times(rows: Iterable[RunRow | TaskRow | CallRow]) -> list[int]:
    texts = [text for row in rows for text in (row.started_utc, row.ended_utc)]
    return [_ns(text) for text in texts if text]


def _lasted(started: str, ended: str, begun: int) -> tuple[int, int]:
    """Return begin and end in nanoseconds; what has neither is a moment at the run's begin."""
    first = _ns(started or ended) or begun
    return first, max(first, _ns(ended) or first)


def _ns(utc: str | None) -> int:
    """Return nanoseconds since 1970, exactly to the microsecond."""
    if not utc:
        return 0
    then = datetime.datetime.fromisoformat(utc)
    if then.tzinfo is None:
        then = then.replace(tzinfo=datetime.UTC)
    since = then - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since // datetime.timedelta(microseconds=1)) * 1000
