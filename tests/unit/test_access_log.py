"""Lines of access logs, and where they go."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lambent.clock import TestClock
from lambent.edge.access_log import AccessLogs, AccessLogTemplate, Lines, log_group


def test_variables_are_replaced_and_those_without_a_value_show_a_dash() -> None:
    template = AccessLogTemplate("$context.identity.sourceIp [$context.requestTime] $context.nothing.here. $ $context")
    values = {"identity.sourceIp": "192.0.2.7", "requestTime": "now"}
    assert template.render(values.get) == "192.0.2.7 [now] -. $ $context"
    assert template.variables == {"identity.sourceIp", "requestTime", "nothing.here"}


def test_a_client_cannot_break_out_of_a_json_line() -> None:
    template = AccessLogTemplate('{"agent":"$context.identity.userAgent","error":$context.error.messageString}')
    values = {"identity.userAgent": 'x","admin":"yes\n', "error.messageString": '"No"'}
    assert json.loads(template.render(values.get)) == {"agent": 'x","admin":"yes\n', "error": "No"}


def test_a_client_cannot_begin_a_new_line() -> None:
    assert AccessLogTemplate("$context.path").render({"path": "/a\nb"}.get) == "/a\\nb"


def test_destinations_are_log_groups_with_or_without_a_star() -> None:
    assert log_group("arn:aws:logs:us-east-1:123456789012:log-group:api/x:*") == ("123456789012", "us-east-1", "api/x")
    assert log_group("arn:aws:logs:us-east-1:123456789012:log-group:x") == ("123456789012", "us-east-1", "x")
    assert log_group("arn:aws:firehose:us-east-1:123456789012:deliverystream/x") is None
    assert log_group("nonsense") is None


def test_lines_are_lost_while_the_store_is_congested_and_only_then() -> None:
    written: list[bytes] = []
    drained: list[Callable[[], None]] = []

    class Writer:
        def write(self, timestamp_ms: int, message: bytes) -> bool:
            written.append(message)
            return message != b"too much"

        def on_drain(self, callback: Callable[[], None]) -> None:
            drained.append(callback)

    lines = Lines(Writer())  # type: ignore[arg-type]
    for message in (b"one", b"too much", b"lost", b"lost"):
        lines.write(0, message)
    drained.pop()()
    lines.write(0, b"two")
    assert written == [b"one", b"too much", b"two"]
    assert drained == []


def test_each_stage_writes_a_stream_of_its_own_and_opens_it_once() -> None:
    opened: list[tuple[str, ...]] = []
    written: list[tuple[int, bytes]] = []

    class Writer:
        def write(self, timestamp_ms: int, message: bytes) -> bool:
            written.append((timestamp_ms, message))
            return True

    class Sink:
        def open_stream(self, *key: str) -> Any:
            opened.append(key)
            return Writer()

    logs = AccessLogs(Sink(), TestClock(1000.5))  # type: ignore[arg-type]
    destination = "arn:aws:logs:us-east-1:123456789012:log-group:g"
    logs.write("123456789012", destination, "api/prod", "one")
    logs.write("123456789012", destination, "api/prod", "zwei ü")
    logs.write("123456789012", destination, "api/dev", "three")
    logs.write("123456789012", "arn:aws:nowhere", "api/dev", "lost")
    logs.write("999988887777", destination, "api/dev", "of another account")
    assert [key[:3] for key in opened] == [("123456789012", "us-east-1", "g")] * 2
    assert opened[0][3] != opened[1][3]
    assert written == [(1000500, b"one"), (1000500, "zwei ü".encode()), (1000500, b"three")]
