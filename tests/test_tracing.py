"""Runs as OpenTelemetry spans, at a collector on this machine."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_nb import parse
from bmad_nb.errors import BmadError, RunFailed
from bmad_nb.workspace import Workspace

FLOW = """\
workflow: two
inputs: {words: list}
tasks:
  each: {map: {over: words, as: word}, prompt: "Say {{ word }}", llm: own/mine}
  after: {prompt: "Sum up {{ json(each.items) }}", llm: own/mine, system: "Be short."}
"""


class Collector:
    """An OTLP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.spans: list[Any] = []
        self.bodies: list[bytes] = []
        self.status, self.headers = 200, {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.paths.append(self.path)
                outer.bodies.append(body)
                if outer.status == 200:
                    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                        for scope in resource.scope_spans:
                            outer.spans += scope.spans
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.root}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Give a collector."""
    made = Collector()
    yield made
    made.close()


def attributes(span: Any) -> dict[str, Any]:
    """Return a span's attributes as plain values."""
    found = {}
    for each in span.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        found[each.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


def test_a_run_arrives_complete(ws: Workspace, collector: Collector) -> None:
    """A span for the run, each task, each part and each call; each below what it belongs to."""
    ws.add_llm("mine", lambda messages: messages[-1].text.upper())
    run = ws.run(parse.loads(FLOW), {"words": ["a", "b"]})
    assert 8 == ws.trace(run.id, collector.url)
    by_id = {span.span_id: span for span in collector.spans}
    assert 8 == len(by_id)
    above = {span.name: by_id[span.parent_span_id].name for span in collector.spans if span.parent_span_id}  # fmt: skip
    assert {
        "task each": "invoke_workflow two", "task after": "invoke_workflow two",
        "task each[0]": "task each", "task each[1]": "task each",
    } == {name: each for name, each in above.items() if name.startswith("task")}  # fmt: skip
    calls = [span for span in collector.spans if span.name == "chat mine"]
    assert ["task after", "task each[0]", "task each[1]"] == sorted(
        by_id[span.parent_span_id].name for span in calls
    )
    said = attributes(calls[0])
    assert ("chat", "own", "mine", ["stop"]) == tuple(
        said[f"gen_ai.{name}"]
        for name in ("operation.name", "provider.name", "request.model", "response.finish_reasons")
    )
    assert 1 == len({span.trace_id for span in collector.spans})
    assert all(0 < span.start_time_unix_nano <= span.end_time_unix_nano for span in collector.spans)


def test_texts_are_sent_only_when_asked_for(ws: Workspace, collector: Collector) -> None:
    """No word of a prompt or an answer is on the wire; with `texts` they are, key by key."""
    ws.add_llm("mine", lambda _messages: "forty-two words")
    run = ws.run(parse.loads(FLOW), {"words": ["zebra"]})
    ws.trace(run.id, collector.url)
    assert [] == [word for word in (b"zebra", b"forty-two", b"Be short")
                  if any(word in body for body in collector.bodies)]  # fmt: skip
    collector.spans.clear()
    ws.trace(run.id, collector.url, texts=True)
    after = next(attributes(s) for s in collector.spans if "gen_ai.system_instructions" in attributes(s))  # fmt: skip
    assert "Be short." == json.loads(after["gen_ai.system_instructions"])[0]["content"]
    (answer,) = json.loads(after["gen_ai.output.messages"])
    assert [{"type": "text", "content": "forty-two words"}] == answer["parts"]


def test_a_run_that_is_sent_twice_is_one_trace(ws: Workspace, collector: Collector) -> None:
    """Its spans have the same ids each time, and another run's have others."""
    one, other = (ws.ask(text, "sim/hasty").id for text in ("Why?", "How?"))
    for run_id in (one, one, other):
        ws.trace(run_id, collector.url)
    ids = [span.span_id for span in collector.spans]
    assert (ids[:2], 4) == (ids[2:4], len(set(ids)))


def test_a_failure_is_an_error_span(ws: Workspace, collector: Collector) -> None:
    """A call that failed says its kind, and so do its task and the run."""

    def fails(_messages: Any) -> str:
        raise ValueError("no")

    ws.add_llm("mine", fails)
    with pytest.raises(RunFailed) as failed:
        ws.run(parse.loads(FLOW), {"words": ["a"]})
    ws.trace(failed.value.run_id, collector.url)
    kinds = {s.name: attributes(s).get("error.type") for s in collector.spans if s.status.code == 2}
    (kind,) = ws.run_of(failed.value.run_id).calls["error_kind"]
    assert kind == kinds["chat mine"] == kinds["task each[0]"]
    assert "failed" == kinds["invoke_workflow two"]


@pytest.mark.parametrize("status", [307, 308, 400, 403])
def test_what_the_collector_refuses_is_one_error(
    ws: Workspace, collector: Collector, status: int
) -> None:
    """It is typed, and a redirect is not followed."""
    other = Collector()
    collector.status, collector.headers = status, {"location": other.url}
    result = ws.ask("Why?", "sim/hasty")
    with pytest.raises(BmadError, match="did not take the spans"):
        ws.trace(result.id, collector.url)
    assert [] == other.paths
    assert ["/v1/traces"] == collector.paths
    other.close()


def test_the_command_line_sends_where_the_variable_says(
    project: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bmad trace RUN` needs no option where the standard variable is set."""
    ws = Workspace(store=project / ".bmad" / "bmad.db")
    run_id = ws.ask("Why?", "sim/hasty").id
    ws.close()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.root)
    done = subprocess.run([sys.executable, "-m", "bmad_nb", "trace", run_id], cwd=project,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    assert f"The collector took 2 spans of run {run_id}, without prompts and answers." == done.stdout.strip()  # fmt: skip
    assert 2 == len(collector.spans)
