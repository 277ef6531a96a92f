"""LoggingConfig as functions live with it: JSON of the platform and of the code, levels, a log group by name."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from extension_programs import archive

from lambent.runtimes.catalog import Catalog
from tests.conftest import wait_until
from tests.roles import ROLE

pytestmark = pytest.mark.slow

AVAILABLE = [spec.name for spec in Catalog(Path("/nonexistent")).available()]
NODE = next((name for name in AVAILABLE if name.startswith("nodejs")), "")
PYTHON = f"python3.{sys.version_info.minor}"
_LEVELED = '{"level":"debug","timestamp":"2024-11-02T16:51:31.587199Z","message":"printed at debug"}'

PYTHON_CODE = f"""
import logging
logging.getLogger().setLevel("DEBUG")
def handler(event, context):
    log = logging.getLogger("app")
    log.debug("at debug")
    log.info("at info")
    log.warning("at warn")
    log.error("at error")
    print("plain")
    print('{_LEVELED}')
"""
NODE_CODE = f"""
exports.handler = async () => {{
  console.debug("at debug"); console.info("at info"); console.warn("at warn"); console.error("at error");
  process.stdout.write("plain\\n"); process.stdout.write('{_LEVELED}\\n');
}};
"""
_BASH_LINE = '{"timestamp":"2024-11-02T16:51:31.587199Z","level":"%s","requestId":"%s","message":"at %s"}\\n'
BOOTSTRAP = f"""#!/bin/bash
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  headers=$(mktemp)
  curl -sS -D "$headers" "$api/next" >/dev/null
  id=$(grep -i ^lambda-runtime-aws-request-id "$headers" | tr -d '\\r' | cut -d' ' -f2)
  for level in debug info warn error; do printf '{_BASH_LINE}' "${{level^^}}" "$id" "$level"; done
  echo plain
  echo '{_LEVELED}'
  curl -sS -X POST "$api/$id/response" -d "[\\"$AWS_LAMBDA_LOG_FORMAT\\",\\"$AWS_LAMBDA_LOG_LEVEL\\"]" >/dev/null
done
"""

CODE = {"python": {"app.py": PYTHON_CODE}, "nodejs": {"app.js": NODE_CODE}, "provided": {"bootstrap": BOOTSTRAP}}
RUNTIMES = {"python": PYTHON, "nodejs": NODE, "provided": "provided.al2023"}
FIELDS = {
    "python": ["timestamp", "level", "message", "logger", "requestId"],
    "nodejs": ["timestamp", "level", "requestId", "message"],
    "provided": ["timestamp", "level", "requestId", "message"],
}
families = pytest.mark.parametrize(
    "family",
    ["python", pytest.param("nodejs", marks=pytest.mark.skipif(not NODE, reason="no Node runtime here")), "provided"],
)


class Logger:
    def __init__(self, region: Any) -> None:
        self.region = region
        self.client = region.client("lambda")

    def invoke(self, family: str, name: str, **config: Any) -> tuple[list[str], Any]:
        """Everything that its log says, in order, and the answer."""
        self.client.create_function(
            FunctionName=name,
            Runtime=RUNTIMES[family],
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": archive(dict(CODE[family]))},
            LoggingConfig=config,
        )
        self.client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400}
        )
        answer = self.client.invoke(FunctionName=name, Payload=b"{}", LogType="Tail")
        request = answer["ResponseMetadata"]["RequestId"]
        group = config.get("LogGroup", f"/aws/lambda/{name}")
        lines: list[str] = wait_until(lambda: self._ended(group, request, config), 15, "the end in the log")
        return lines, answer

    def _ended(self, group: str, request: str, config: dict[str, Any]) -> list[str]:
        logs = self.region.client("logs")
        lines = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        # With system lines hidden its own last line is the end.
        last = "at error" if config.get("SystemLogLevel") == "WARN" else "report" if "LogFormat" in config else "REPORT"
        return lines if any(request in line and last in line for line in lines) else []


@pytest.fixture(scope="module")
def logger(region: Any) -> Logger:
    return Logger(region)


def told(lines: list[str]) -> list[str]:
    """What the code said."""
    said = []
    for line in lines:
        if not line.startswith("{"):
            said.append(line.strip())
        elif "message" in (fields := json.loads(line)):
            said.append(fields["message"])
    return said


def system(lines: list[str]) -> list[str]:
    return [json.loads(line)["type"].removeprefix("platform.") for line in lines if '"type":"platform.' in line]


@families
@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("DEBUG", ["at debug", "at info", "at warn", "at error", "plain", "printed at debug"]),
        (None, ["at info", "at warn", "at error", "plain"]),
        ("WARN", ["at warn", "at error"]),
    ],
)
def test_the_application_level_hides_lines_of_every_runtime(
    logger: Logger, family: str, level: str | None, shown: list[str]
) -> None:
    config = {"LogFormat": "JSON", **({"ApplicationLogLevel": level} if level else {})}
    lines, answer = logger.invoke(family, f"app-{family}-{level}", **config)
    # What goes by a logger and what is printed come by two pipes: each is in order of its own.
    assert sorted(told(lines)) == sorted(shown)
    assert system(lines) == ["initStart", "start", "report"]
    request = answer["ResponseMetadata"]["RequestId"]
    for line in lines:
        if line.startswith('{"timestamp"'):
            fields = json.loads(line)
            assert list(fields) == FIELDS[family]
            assert fields["requestId"] == request
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert all(word in tail for word in shown)
    assert ("plain" in tail) is ("plain" in shown)
    if family == "provided":
        assert json.loads(answer["Payload"].read()) == ["JSON", level or "INFO"]


@families
@pytest.mark.parametrize(
    ("level", "kinds"),
    [
        ("DEBUG", ["initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"]),
        ("WARN", []),
    ],
)
def test_the_system_level_hides_what_the_platform_says(
    logger: Logger, family: str, level: str, kinds: list[str]
) -> None:
    lines, _ = logger.invoke(family, f"system-{family}-{level}", LogFormat="JSON", SystemLogLevel=level)
    assert system(lines) == kinds
    records = {json.loads(line)["type"]: json.loads(line)["record"] for line in lines if '"type":"platform.' in line}
    if kinds:
        assert list(records["platform.initStart"])[:2] == ["initializationType", "phase"]
        assert records["platform.initReport"]["status"] == "success"
        assert records["platform.runtimeDone"]["metrics"]["producedBytes"] > 0
        assert list(records["platform.report"]["metrics"]) == [
            "durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"
        ]  # fmt: skip


def test_lines_of_every_level_go_as_text_to_a_log_group_by_name(logger: Logger) -> None:
    lines, _ = logger.invoke("python", "grouped", LogGroup="shared/by-name")
    assert [line.partition(" ")[0] for line in lines][:2] == ["INIT_START", "START"]
    assert any(line.startswith("[DEBUG]") for line in lines)
    assert "plain\n" in lines
    with pytest.raises(logger.region.client("logs").exceptions.ResourceNotFoundException):
        logger.region.client("logs").filter_log_events(logGroupName="/aws/lambda/grouped")
