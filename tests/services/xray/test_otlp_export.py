"""Spans of invocations on their way to a collector: what it gets, and what happens while it is away."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lambent.config import Config, ConfigError
from lambent.ports import InvocationRecord
from lambent.services.otlp import exporter as exporting
from lambent.services.otlp.exporter import SpanExporter
from tests.conftest import wait_until
from tests.invoke_support import function
from tests.roles import ROLE
from tests.services.lambda_.lambda_helpers import zipped

NOW = 1_750_000_000.0
ROOT = f"684ee180{'c' * 24}"
FUNCTION = function("hello")
HEADER = f"Root=1-684ee180-{'c' * 24};Parent={'b' * 16};Sampled=1;Lineage=x:1"


class FakeCollector:
    """Keeps what it is sent; answers what `answers` has next, else 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, bytes]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.requests.append((self.path, dict(self.headers.items()), json.loads(body)))
                status, answer = collector.answers.pop(0) if collector.answers else (200, b"{}")
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None: ...

        # A kept connection would occupy the only thread for ever.
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for _, _, body in self.requests
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    made = FakeCollector()
    yield made
    made.close()


def record(**fields: Any) -> InvocationRecord:
    values: dict[str, Any] = {
        "function": FUNCTION,
        "request_id": "r-1",
        "started_at": NOW,
        "duration_ms": 12.5,
        "billed_ms": 13,
        "init_ms": None,
        "memory_mb": 128,
        "max_memory_used_mb": 40,
        "status": "success",
        "error_type": None,
        "log_stream": "stream",
        "invoked_arn": "arn:aws:lambda:us-east-1:000000000000:function:hello:live",
        "trace_id": HEADER,
        **fields,
    }
    return InvocationRecord(**values)


def exported(url: str, scenario: Callable[[SpanExporter], Awaitable[None]], **options: Any) -> SpanExporter:
    async def main() -> SpanExporter:
        made = SpanExporter(url, options.pop("headers", {}), sampled_only=options.pop("sampled_only", False))
        await made.start()
        try:
            await scenario(made)
        finally:
            await made.stop()
        return made

    return asyncio.run(main())


async def soon(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "INTERVAL_S", 0.01)
    monkeypatch.setattr(exporting, "BACKOFF_S", 0.01)


def values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


def test_an_invocation_is_a_span_with_the_ids_that_its_function_got(collector: FakeCollector) -> None:
    async def scenario(exporter: SpanExporter) -> None:
        exporter.record(record(init_ms=100.0, received_trace=f"Root=x;Parent={'d' * 16}"))
        exporter.record(record(status="failure", error_type="Runtime.ExitError", trace_id=HEADER.replace("=1;", "=0;")))
        await soon(lambda: len(collector.spans()) == 3)

    exported(collector.url, scenario, headers={"api-key": "secret"})
    path, headers, body = collector.requests[0]
    assert (path, headers["content-type"], headers["api-key"]) == ("/v1/traces", "application/json", "secret")
    (resource,) = body["resourceSpans"]
    told = values(resource["resource"]["attributes"])
    assert told["service.name"] == told["faas.name"] == "hello"
    assert (told["cloud.region"], told["cloud.account.id"]) == ("us-east-1", "000000000000")
    assert (told["cloud.provider"], told["cloud.platform"]) == ("aws", "aws_lambda")
    assert (told["faas.instance"], told["faas.max_memory"]) == ("stream", str(128 * 1024 * 1024))
    span, init, failed = collector.spans()
    assert (span["traceId"], span["spanId"], span["parentSpanId"]) == (ROOT, "b" * 16, "d" * 16)
    assert (span["startTimeUnixNano"], span["endTimeUnixNano"]) == ("1749999999900000000", "1750000000012500000")
    facts = values(span["attributes"])
    assert (facts["faas.invocation_id"], facts["faas.coldstart"]) == ("r-1", True)
    assert facts["cloud.resource_id"].endswith(":hello:live")
    assert (init["name"], init["parentSpanId"], init["endTimeUnixNano"]) == ("init", "b" * 16, "1750000000000000000")
    assert failed["status"] == {"code": 2, "message": "Runtime.ExitError"}
    assert (span["flags"], failed["flags"]) == (1, 0)


def test_only_sampled_ones_are_sent_where_the_operator_says_so(collector: FakeCollector) -> None:
    async def scenario(exporter: SpanExporter) -> None:
        exporter.record(record(trace_id=HEADER.replace("=1;", "=0;")))
        exporter.record(record(request_id="r-2"))
        await soon(collector.spans)

    exported(f"{collector.url}/base/v1/traces", scenario, sampled_only=True)
    assert [values(span["attributes"])["faas.invocation_id"] for span in collector.spans()] == ["r-2"]
    assert collector.requests[0][0] == "/base/v1/traces"


def test_a_batch_is_sent_again_while_the_collector_is_busy_and_not_where_it_refuses(collector: FakeCollector) -> None:
    collector.answers = [(503, b""), (429, b""), (200, b"{}"), (400, b"no")]

    async def scenario(exporter: SpanExporter) -> None:
        exporter.record(record())
        await soon(lambda: exporter.statistics()["sent"] == 1)
        exporter.record(record())
        await soon(lambda: exporter.statistics()["lost"] == 1)

    exported(collector.url, scenario)
    assert len(collector.requests) == 4


def test_many_go_in_batches(collector: FakeCollector) -> None:
    async def scenario(exporter: SpanExporter) -> None:
        for number in range(1200):
            exporter.record(record(request_id=str(number)))
        await soon(lambda: exporter.statistics()["sent"] == 1200)

    exported(collector.url, scenario)
    assert [len(body["resourceSpans"][0]["scopeSpans"][0]["spans"]) for _, _, body in collector.requests] == [
        512,
        512,
        176,
    ]


def test_what_a_collector_that_is_away_never_gets_is_counted_and_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MOST_WAITING", 3)

    async def scenario(exporter: SpanExporter) -> None:
        for _ in range(5):
            exporter.record(record())
        await soon(lambda: exporter.statistics()["lost"] == 5)

    with caplog.at_level(logging.WARNING):
        exported("http://127.0.0.1:9", scenario)
    (line,) = [entry.getMessage() for entry in caplog.records]
    assert line.startswith("5 spans did not get to the collector http://127.0.0.1:9/v1/traces: ConnectionRefusedError")


def test_what_a_collector_rejects_of_a_batch_is_told(
    collector: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.answers = [(200, b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}')]

    async def scenario(exporter: SpanExporter) -> None:
        exporter.record(record())
        await soon(lambda: exporter.statistics()["lost"] == 1)

    with caplog.at_level(logging.WARNING):
        exported(collector.url, scenario)
    assert "1 spans did not get to" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"otlp_endpoint": "localhost:4318"},
        {"otlp": {"endpoint": 7}},
        {"otlp": {"endpoint": "ftp://x"}},
        {"otlp": {"url": "http://x"}},
        {"otlp": "http://x"},
        {"otlp": {"headers": {"a b": "c"}}},
        {"otlp": {"headers": {"a": "b\r\nc: d"}}},
        {"otlp": {"headers": {"a": 1}}},
        {"otlp": {"sampled-only": "yes"}},
    ],
    ids=range(9),
)
def test_a_wrong_collector_is_told_at_the_start(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Config.load({"data_dir": tmp_path, **options}, environ={})


@pytest.mark.slow
def test_a_region_exports_what_it_runs(
    start_region: Callable[..., Any], collector: FakeCollector, tmp_path: Path
) -> None:
    file = tmp_path / "lambent.toml"
    file.write_text(f'[otlp]\nendpoint = "{collector.url}"\nheaders = {{ "x-tenant" = "blue" }}\n')
    region = start_region("--config", str(file))
    client = region.client("lambda")
    client.create_function(
        FunctionName="seen",
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": zipped({"app.py": "def handler(event, context): return 1"})},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="seen", WaiterConfig={"Delay": 1})
    client.invoke(FunctionName="seen")
    wait_until(lambda: {span["name"] for span in collector.spans()} == {"seen", "init"}, what="two spans")
    assert collector.requests[0][1]["x-tenant"] == "blue"

    def sent() -> int:
        return int(region.request("GET", "/_lambent/statistics", sign="lambda").json()["otlp"]["sent"])

    wait_until(sent, what="the count of what was sent")
