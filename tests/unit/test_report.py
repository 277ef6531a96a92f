"""Log lines of the platform, to the byte."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lambent.invoke import faults
from lambent.invoke.report import Reporter, billed_ms, iso_time, log_stream_name, runtime_version
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
    [failed] = map(json.loads, reporter.runtime_done(NOW, "r-1", 3.0, "failure", "Runtime.ExitError"))
    assert failed["type"] == "platform.runtimeDone"
    assert (failed["record"]["status"], failed["record"]["errorType"]) == ("error", "Runtime.ExitError")
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


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("DEBUG", ["start", "runtimeDone", "report", "runtimeDone", "report"]),
        ("INFO", ["start", "report", "runtimeDone", "report"]),
        (None, ["start", "report", "runtimeDone", "report"]),
        ("WARN", ["runtimeDone", "report"]),
    ],
)
def test_the_system_level_hides_json_lines_below_it(level: str | None, shown: list[str]) -> None:
    reporter = Reporter.of(function(log_format="JSON", system_log_level=level), "i")
    failed = record(status="timeout", error_type="Sandbox.Timedout")
    lines = [
        *reporter.start(NOW, REQUEST),
        *reporter.runtime_done(NOW, "r-1", 3.0, "success", None),
        *reporter.end(NOW, record()),
        *reporter.runtime_done(NOW, "r-1", 3.0, "timeout", "Sandbox.Timedout"),
        *reporter.end(NOW, failed),
    ]
    assert [json.loads(line)["type"] for line in lines] == [f"platform.{name}" for name in shown]


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
