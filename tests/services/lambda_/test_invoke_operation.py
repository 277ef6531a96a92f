"""Invoke up to the door of the data plane: names, payloads, limits, headers. A fake stands behind the door."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lambda_helpers import Refusal

from lambent.context import Caller, Context
from lambent.errors import AwsError
from lambent.ports import Event, FunctionVersion, Invocation, InvocationRecord, InvokeResult, Provision
from lambent.services.lambda_.operations.invoke import InvokeOperations

ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"
CONTEXT = Context(
    account="000000000000",
    region="us-east-1",
    caller=Caller("000000000000", "arn:aws:iam::000000000000:root", "000000000000", "AKIA"),
    request_id="11111111-1111-4111-8111-111111111111",
    base_url="http://localhost",
)
HELLO = FunctionVersion(
    account="000000000000",
    region="us-east-1",
    name="hello",
    version="$LATEST",
    arn=ARN,
    runtime="python3.12",
    handler="app.handler",
    role="arn:aws:iam::000000000000:role/worker",
    code_root=Path("/code"),
)


class OneFunction:
    def __init__(self, function: FunctionVersion = HELLO) -> None:
        self.function = function

    def find(self, account: str, region: str, name: str, qualifier: str | None) -> FunctionVersion | None:
        known = (account, region, name) == ("000000000000", "us-east-1", "hello")
        return self.function if known and qualifier in (None, "$LATEST") else None


class Echo:
    """Answers with the event; keeps what it was asked."""

    def __init__(self, function_error: str | None = None) -> None:
        self.asked: list[Invocation] = []
        self._function_error = function_error

    async def invoke(self, function: FunctionVersion, invocation: Invocation) -> InvokeResult:
        self.asked.append(invocation)
        record = InvocationRecord(function, invocation.request_id, 0, 1, 1, None, 128, 30, "success", None, "stream")
        tail = b"START\nEND\n" if invocation.log_tail else None
        return InvokeResult(invocation.payload, self._function_error, "$LATEST", tail, record)

    def retire(self, account: str, region: str, name: str, version: str | None = None) -> None: ...

    def reserve(self, account: str, region: str, name: str, amount: int | None) -> None: ...

    def provision(self, function: FunctionVersion, amount: int) -> None: ...

    def provision_of(self, function: FunctionVersion) -> Provision:
        return Provision()

    def forget(self, account: str, region: str, name: str) -> None: ...


class Kept:
    """A queue that keeps what it accepts."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def accept(self, event: Event) -> None:
        self.events.append(event)

    def forget(self, account: str, region: str, name: str, qualifier: str | None = None) -> None: ...


def invoke(
    invoker: Echo | None = None, directory: OneFunction | None = None, events: Kept | None = None, **params: Any
) -> dict[str, Any]:
    operations = InvokeOperations(directory or OneFunction(), invoker or Echo(), events or Kept())
    return asyncio.run(operations.Invoke(CONTEXT, {"FunctionName": "hello", **params}))


def refusal(**params: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as error:
        invoke(**params)
    return error.value.wire_code, error.value.message


def test_the_payload_passes_through_untouched() -> None:
    payload = b' {"a" :\t[1, 2.50, "gr\xc3\xb6\xc3\x9fe"] } '
    assert invoke(Payload=payload) == {"StatusCode": 200, "Payload": payload, "ExecutedVersion": "$LATEST"}


def test_no_payload_is_an_empty_object() -> None:
    assert invoke()["Payload"] == b"{}"
    assert invoke(Payload=b"")["Payload"] == b"{}"


@pytest.mark.parametrize(
    "payload", [b"null", b"0", b"-1.5e+300", b'"text"', b"[]", b'"\\ud800"', b"1e999", b"\n{}\r\n", b"1" * 400]
)
def test_every_kind_of_json_is_an_event(payload: bytes) -> None:
    assert invoke(Payload=payload)["Payload"] == payload


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"{a:1}",
        b"'x'",
        b"nope",
        b"[1,]",
        b"{} {}",
        b"01",
        b"NaN",
        b'{"a":Infinity}',
        b'"\x01"',
        b'"\xff"',
        b'"\xc0\x80"',
        b"\xef\xbb\xbf{}",
        b" ",
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_refused(payload: bytes) -> None:
    code, message = refusal(Payload=payload)
    assert code == "InvalidRequestContentException"
    assert message.startswith("Could not parse request body into json: Could not parse payload into json: ")


def test_the_parser_says_which_token_it_met() -> None:
    assert "Unrecognized token 'nope': was expecting" in refusal(Payload=b"nope")[1]
    assert "Unexpected end-of-input" in refusal(Payload=b'{"a":')[1]
    assert "Unexpected character (''' (code 39))" in refusal(Payload=b"'x'")[1]


def test_six_megabytes_pass_and_a_byte_more_does_not() -> None:
    largest = b'"' + b"x" * (6_291_456 - 2) + b'"'
    assert invoke(Payload=largest)["Payload"] == largest
    assert refusal(Payload=largest + b" ") == (
        "RequestTooLargeException",
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)",
    )


@pytest.mark.parametrize(
    ("name", "qualifier", "invoked"),
    [
        ("hello", None, ARN),
        ("hello", "$LATEST", f"{ARN}:$LATEST"),
        ("hello:$LATEST", None, f"{ARN}:$LATEST"),
        (ARN, None, ARN),
        ("000000000000:function:hello", None, ARN),
    ],
)
def test_the_function_is_told_the_arn_it_was_called_by(name: str, qualifier: str | None, invoked: str) -> None:
    echo = Echo()
    invoke(echo, FunctionName=name, Qualifier=qualifier)
    assert echo.asked[0].invoked_arn == invoked


@pytest.mark.parametrize(
    ("name", "qualifier", "missing"),
    [
        ("other", None, "other:$LATEST"),
        ("hello", "7", "hello:7"),
        ("hello", "live", "hello:live"),
        ("other:live", None, "other:live"),
    ],
)
def test_what_is_not_there_is_named_with_its_qualifier(name: str, qualifier: str | None, missing: str) -> None:
    assert refusal(FunctionName=name, Qualifier=qualifier) == (
        "ResourceNotFoundException",
        f"Function not found: arn:aws:lambda:us-east-1:000000000000:function:{missing}",
    )


def test_a_dry_run_runs_nothing() -> None:
    echo = Echo()
    assert invoke(echo, InvocationType="DryRun")["StatusCode"] == 204
    assert echo.asked == []


def test_an_event_is_accepted_with_what_the_function_is_to_see() -> None:
    echo, kept = Echo(), Kept()
    context = base64.b64encode(b'{"a": 1}').decode()
    answer = invoke(
        echo, events=kept, InvocationType="Event", Payload=b'{"n": 1}', Qualifier="$LATEST", ClientContext=context
    )
    assert answer == {"StatusCode": 202}
    assert echo.asked == []
    assert kept.events[0].trace_id.endswith(";Sampled=0")
    assert kept.events == [
        Event(
            trace_id=kept.events[0].trace_id,
            account="000000000000",
            region="us-east-1",
            name="hello",
            qualifier="$LATEST",
            request_id=CONTEXT.request_id,
            payload=b'{"n": 1}',
            client_context='{"a": 1}',
        )
    ]


def test_an_event_takes_a_megabyte_of_json() -> None:
    kept = Kept()
    largest = b'"' + b"x" * (1_048_576 - 2) + b'"'
    invoke(events=kept, InvocationType="Event", Payload=largest)
    assert kept.events[0].payload == largest
    assert refusal(InvocationType="Event", Payload=largest + b" ") == (
        "RequestTooLargeException",
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    )
    assert refusal(InvocationType="Event", Payload=b"{")[0] == "InvalidRequestContentException"


def test_the_log_tail_comes_when_asked_for() -> None:
    assert "LogResult" not in invoke()
    assert base64.b64decode(invoke(LogType="Tail")["LogResult"]) == b"START\nEND\n"


def test_a_function_error_is_named() -> None:
    assert invoke(Echo("Unhandled"))["FunctionError"] == "Unhandled"


def test_the_client_context_reaches_the_function_decoded() -> None:
    echo = Echo()
    text = json.dumps({"custom": {"key": "größe"}})
    invoke(echo, ClientContext=base64.b64encode(text.encode()).decode())
    assert echo.asked[0].client_context == text


@pytest.mark.parametrize("value", ["not base64!", "bm90IGpzb24=", base64.b64encode(b"[]").decode(), "e30=" * 1000])
def test_a_bad_client_context_is_refused(value: str) -> None:
    assert refusal(ClientContext=value)[0] == "InvalidRequestContentException"


def test_the_request_id_goes_along() -> None:
    echo = Echo()
    invoke(echo)
    assert echo.asked[0].request_id == CONTEXT.request_id


def test_the_trace_header_goes_along() -> None:
    echo = Echo()
    operations = InvokeOperations(OneFunction(), echo, Kept())
    asyncio.run(operations.Invoke(msgspec.structs.replace(CONTEXT, trace_id="Root=1-2-3"), {"FunctionName": "hello"}))
    assert echo.asked[0].trace_id == "Root=1-2-3"


@pytest.mark.parametrize("option", [{"TenantId": "blue"}, {"DurableExecutionName": "run"}])
def test_options_of_other_kinds_of_functions_are_refused(option: dict[str, str]) -> None:
    assert refusal(**option)[0] == "InvalidParameterValueException"


def test_errors_reach_boto3_with_their_status(
    client: Any, name: str, create: Callable[..., Any], refused: Refusal
) -> None:
    create()
    assert refused(client.invoke, FunctionName=name, Payload=b"{")[:2] == (400, "InvalidRequestContentException")
    assert refused(client.invoke, FunctionName=name, Payload=b" " * 6_291_457)[:2] == (413, "RequestTooLargeException")
    assert refused(client.invoke, FunctionName=f"{name}-not")[:2] == (404, "ResourceNotFoundException")
    dry = client.invoke(FunctionName=name, InvocationType="DryRun")
    assert dry["StatusCode"] == 204
