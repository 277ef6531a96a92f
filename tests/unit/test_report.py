"""Log lines of the platform, to the byte."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lambent.invoke import faults, records
from lambent.invoke.records import RuntimeDone, iso_time, runtime_version
from lambent.invoke.report import Reporter, billed_ms, log_stream_name
from lambent.ports import Invocation, InvocationRecord
from lambent.sandbox.spec import ExitStatus
from tests.invoke_support import function

NOW = 1_769_860_800.123
REQUEST = Invocation("r-1", b"", "arn")


def record(**fields: Any) -> InvocationRecord:
    values = {
        "function": function(), "request_id": "r-1", "started_at": NOW, "duration_ms": 3.014, "billed_ms": 4,
        "init_ms": None, "memory_mb": 128, "max_memory_used_mb": 36, "status": "success", "error_type": None,
        "log_stream": "s", **fields,
    }  # fmt: skip
    return InvocationRecord(**values)


@pytest.mark.parametrize(
    ("duration", "init", "billed"),
    [(133.61, 80.0, 214), (3016.78, 84.0, 3101), (3.0, None, 3), (3.001, None, 4), (0.0, None, 1), (0.2, None, 1)],
)
def test_billed_time_is_duration_and_init_rounded_up(duration: float, init: float | None, billed: int) -> None:
    assert billed_ms(duration, init) == billed


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, b"\t\n"),
        ({"init_ms": 110.1}, b"\tInit Duration: 110.10 ms\t\n"),
        ({"status": "error", "error_type": "Runtime.Unknown"}, b"\t\n"),
        ({"status": "timeout", "error_type": "Sandbox.Timedout"}, b"\tStatus: timeout\n"),
        (
            {"status": "failure", "error_type": "Runtime.OutOfMemory"},
            b"\tStatus: error\tError Type: Runtime.OutOfMemory\n",
        ),
    ],
)
def test_report_as_text(fields: dict[str, Any], line: bytes) -> None:
    head = (
        b"REPORT RequestId: r-1\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB"
    )
    assert Reporter.of(function(), "i").end(NOW, record(**fields)) == (b"END RequestId: r-1\n", head + line)


def test_the_second_line_of_a_report_names_the_trace() -> None:
    header = f"Root=1-684ee180-{'a' * 24};Parent={'b' * 16};Sampled=1;Lineage=x:1"
    _, report = Reporter.of(function(), "i").end(NOW, record(trace_id=header))
    xray = f"XRAY TraceId: 1-684ee180-{'a' * 24}\tSegmentId: {'b' * 16}\tSampled: true\t\n".encode()
    assert report.splitlines(keepends=True)[1:] == [xray]
    assert b"XRAY" not in b"".join(Reporter.of(function(), "i").end(NOW, record(trace_id=header.replace("=1;", "=0;"))))


def test_start_as_text() -> None:
    assert Reporter.of(function(version="7"), "i").start(NOW, REQUEST) == (b"START RequestId: r-1 Version: 7\n",)


def test_init_lines_as_text() -> None:
    reporter = Reporter.of(function(runtime="nodejs20.x", region="eu-west-1"), "i")
    [start] = reporter.init_start(NOW)
    assert re.fullmatch(
        rb"INIT_START Runtime Version: nodejs:20\.v1\tRuntime Version ARN: "
        rb"arn:aws:lambda:eu-west-1::runtime:[0-9a-f]{64}\n",
        start,
    )
    assert reporter.init_report(NOW, "init", 10008.566, "timeout", "Sandbox.Timedout") == (
        b"INIT_REPORT Init Duration: 10008.57 ms\tPhase: init\tStatus: timeout\n",
    )
    assert reporter.init_report(NOW, "invoke", 99.65, "failure", "Runtime.ExitError") == (
        b"INIT_REPORT Init Duration: 99.65 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\n",
    )


@pytest.mark.parametrize(
    ("runtime", "named"),
    [
        ("python3.12", "python:3.12.v1"),
        ("nodejs22.x", "nodejs:22.v1"),
        ("provided.al2023", "provided:al2023.v1"),
        ("java8.al2", "java:8.al2.v1"),
        ("dotnet8", "dotnet:8.v1"),
        ("provided", "provided.v1"),
    ],
)
def test_runtimes_have_a_version_in_init_start(runtime: str, named: str) -> None:
    assert runtime_version(runtime) == named


def test_json_lines_carry_the_records_of_the_telemetry_api() -> None:
    reporter = Reporter.of(function(log_format="JSON", system_log_level="DEBUG"), "instance")
    [start] = map(json.loads, reporter.start(NOW, REQUEST))
    assert start == {
        "time": "2026-01-31T12:00:00.123Z",
        "type": "platform.start",
        "record": {"requestId": "r-1", "version": "$LATEST"},
    }
    [report] = map(json.loads, reporter.end(NOW, record(init_ms=110.1)))
    assert (report["type"], report["record"]) == (
        "platform.report",
        {
            "requestId": "r-1",
            "metrics": {
                "durationMs": 3.014,
                "billedDurationMs": 4,
                "memorySizeMB": 128,
                "maxMemoryUsedMB": 36,
                "initDurationMs": 110.1,
            },
            "status": "success",
        },
    )
    failed = RuntimeDone(REQUEST, NOW, 3.0, "failure", "Runtime.ExitError", "", None, 0)
    [line] = map(json.loads, reporter.runtime_done(NOW, records.runtime_done(failed)))
    assert line["type"] == "platform.runtimeDone"
    assert line["record"] == {
        "requestId": "r-1",
        "status": "error",
        "errorType": "Runtime.ExitError",
        "metrics": {"durationMs": 3.0, "producedBytes": 0},
    }
    init = json.loads(reporter.init_start(NOW)[0])["record"]
    assert (init["instanceId"], init["runtimeVersion"]) == ("instance", "python:3.12.v1")


def test_json_tells_of_tenants_and_of_how_an_environment_was_initialised() -> None:
    reporter = Reporter.of(function(log_format="JSON"), "instance", "provisioned-concurrency")
    [start] = map(json.loads, reporter.start(NOW, Invocation("r-1", b"", "arn", tenant_id="blue")))
    [report] = map(json.loads, reporter.end(NOW, record(tenant_id="blue")))
    assert (start["record"]["tenantId"], report["record"]["tenantId"]) == ("blue", "blue")
    [init] = map(json.loads, reporter.init_report(NOW, "init", 99.65, "success", None))
    assert init["record"] == {
        "initializationType": "provisioned-concurrency",
        "phase": "init",
        "status": "success",
        "metrics": {"durationMs": 99.65},
    }


def test_names_and_times() -> None:
    assert log_stream_name(NOW, "$LATEST", "ab" * 16) == "2026/01/31/[$LATEST]" + "ab" * 16
    assert iso_time(1_769_860_800.0) == "2026-01-31T12:00:00.000Z"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ExitStatus(0, None), "Runtime exited without providing a reason"),
        (None, "Runtime exited without providing a reason"),
        (ExitStatus(127, None), "Runtime exited with error: exit status 127"),
        (ExitStatus(None, 11), "Runtime exited with error: signal: segmentation fault"),
        (ExitStatus(None, 9), "Runtime exited with error: signal: killed"),
        (ExitStatus(None, 6), "Runtime exited with error: signal: aborted"),
        (ExitStatus(None, 50), "Runtime exited with error: signal: signal 50"),
    ],
)
def test_how_a_process_ended_in_words(status: ExitStatus | None, words: str) -> None:
    outcome = faults.exited("r-1", status)
    assert json.loads(outcome.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: r-1 Error: {words}",
    }
    assert (outcome.status, outcome.error_type) == ("failure", "Runtime.ExitError")


_SAMPLED = "Root=1-62e900b2-710d76f009d6e7785905449a;Parent=0efbd19962d95b05;Sampled=1"


def test_a_response_is_told_with_its_spans_its_bytes_and_the_trace_it_belongs_to() -> None:
    done = RuntimeDone(REQUEST, NOW, 30.25, "success", None, f"{_SAMPLED};Lineage=abc:1", 10.5, 16, b"", 1.25)
    assert records.runtime_done(done) == {
        "requestId": "r-1",
        "status": "success",
        "spans": [
            {"name": "responseLatency", "start": "2026-01-31T12:00:00.123Z", "durationMs": 10.5},
            {"name": "responseDuration", "start": "2026-01-31T12:00:00.133Z", "durationMs": 18.5},
            {"name": "runtimeOverhead", "start": "2026-01-31T12:00:00.152Z", "durationMs": 1.25},
        ],
        "metrics": {"durationMs": 30.25, "producedBytes": 16},
        "tracing": {"type": "X-Amzn-Trace-Id", "value": _SAMPLED},
    }
    assert "tracing" not in records.start("1", Invocation("r-1", b"", "arn", trace_id="Root=1-2;Sampled=0"))
    assert records.start("1", Invocation("r-1", b"", "arn", trace_id=_SAMPLED))["tracing"]["value"] == _SAMPLED


def test_the_time_that_extensions_take_is_a_span_of_the_report() -> None:
    told = records.report(record(duration_ms=12.5, extensions_ms=2.25))
    assert told["spans"] == [{"name": "extensionOverhead", "start": "2026-01-31T12:00:00.133Z", "durationMs": 2.25}]
    assert "spans" not in records.report(record())


def test_a_restore_is_told_in_its_own_lines_and_in_the_first_report() -> None:
    text = Reporter.of(function(), "i", "snap-start")
    [start] = text.restore_start(NOW)
    assert start.startswith(b"RESTORE_START Runtime Version: python:3.12.v1\tRuntime Version ARN: arn:aws:lambda:")
    assert text.restore_report(NOW, 511.25, "success", None) == (b"RESTORE_REPORT Restore Duration: 511.25 ms\n",)
    assert text.restore_report(NOW, 10_000, "timeout", "Sandbox.Timedout") == (
        b"RESTORE_REPORT Restore Duration: 10000.00 ms\tStatus: timeout\n",
    )
    first = record(restore_ms=511.25, billed_restore_ms=303)
    assert text.end(NOW, first)[1].endswith(b"36 MB\tRestore Duration: 511.25 ms\tBilled Restore Duration: 303 ms\t\n")
    assert records.report(first)["metrics"]["restoreDurationMs"] == 511.25


@pytest.mark.parametrize(
    ("level", "kinds"),
    [
        ("DEBUG", ["initStart", "initRuntimeDone", "initReport", "telemetrySubscription", "extension", "start",
                   "runtimeDone", "report"]),
        ("INFO", ["initStart", "telemetrySubscription", "extension", "start", "report"]),
        (None, ["initStart", "telemetrySubscription", "extension", "start", "report"]),
        ("WARN", []),
    ],
)  # fmt: skip
def test_events_show_from_the_system_level_that_aws_gives_each(level: str | None, kinds: list[str]) -> None:
    assert told(level, "success", None) == [f"platform.{kind}" for kind in kinds]


def test_what_went_wrong_shows_at_every_level() -> None:
    kinds = ["initRuntimeDone", "initReport", "extension", "runtimeDone", "report"]
    assert told("WARN", "failure", "Runtime.ExitError") == [f"platform.{kind}" for kind in kinds]


def told(level: str | None, status: str, error_type: str | None) -> list[str]:
    """Types of the JSON lines of one life."""
    reporter = Reporter.of(function(log_format="JSON", system_log_level=level), "i")
    done = RuntimeDone(REQUEST, NOW, 1.0, status, error_type, "", None, 0)
    lines = [
        *reporter.init_start(NOW),
        *reporter.init_runtime_done(NOW, "init", status, error_type),
        *reporter.init_report(NOW, "init", 1.0, status, error_type, logged=False),
        *reporter.subscription(NOW, "Telemetry", "e", ["platform"]),
        *reporter.extension(NOW, "e", "Ready", ["INVOKE"], error_type),
        *reporter.start(NOW, REQUEST),
        *reporter.runtime_done(NOW, records.runtime_done(done)),
        *reporter.end(NOW, record(status=status, error_type=error_type)),
    ]
    return [json.loads(line)["type"] for line in lines]


def test_a_subscription_shows_in_the_log() -> None:
    text = Reporter.of(function(), "i")
    assert text.subscription(NOW, "Telemetry", "agent", ("platform", "function")) == (
        b"TELEMETRY\tName: agent\tState: Subscribed\tTypes: [Platform, Function]\n",
    )
    assert text.subscription(NOW, "Logs", "agent", ("platform",)) == (
        b"LOGS\tName: agent\tState: Subscribed\tTypes: [Platform]\n",
    )
