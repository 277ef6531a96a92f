"""A REST gateway over fakes: one API built by hand, functions that are Python callables, logs in a list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lambent.clock import TestClock
from lambent.context import Caller
from lambent.edge.access_log import AccessLogs
from lambent.edge.doors import Address
from lambent.edge.execute_api.rest.gateway import RestGateway
from lambent.edge.http_proxy import HttpProxy
from lambent.edge.reach import Reach
from lambent.errors import AwsError
from lambent.identity.sigv4 import Verified
from lambent.ports import Asker, FunctionVersion, InvocationRecord, InvokeResult
from lambent.request import Request, Response
from lambent.services.apigateway.domain import (
    Authorizer,
    Deployment,
    Integration,
    Method,
    Resource,
    RestApi,
    Stage,
)
from lambent.services.apigateway.snapshots import Snapshots

ACCOUNT, REGION, API = "123456789012", "us-east-1", "abcde12345"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello"
AUTHORIZER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:authorizer"
CALLER = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/ann", user_id="AIDAANN", access_key_id="AKIAANN")
EXECUTE = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API}"


def uri_of(arn: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"


def proxy_to(arn: str = FUNCTION, **more: Any) -> Integration:
    return Integration(type="AWS_PROXY", http_method="POST", uri=uri_of(arn), **more)


def result_of(answer: Any, *, function_error: str | None = None) -> InvokeResult:
    version = FunctionVersion(ACCOUNT, REGION, "hello", "$LATEST", FUNCTION, "python3.12", "app.handler", "", None)  # type: ignore[arg-type]
    record = InvocationRecord(version, "lambda-request-id", 0.0, 1.0, 1, None, 128, 64, "success", None, "stream")
    payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return InvokeResult(payload, function_error, "$LATEST", None, record)


class Functions:
    """ports.FunctionCalls: answers by ARN; what it was called with is kept."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {FUNCTION: {"statusCode": 200, "body": "hello"}}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.askers: list[Asker] = []
        #: Set: calls wait for it.
        self.gate: asyncio.Event | None = None

    async def call(
        self, arn: str, asker: Asker, payload: bytes, *, request_id: str, trace_id: str = "", tenant_id: str = ""
    ) -> InvokeResult:
        self.events.append((arn, json.loads(payload)))
        self.askers.append(asker)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers[arn]
        if isinstance(answer, AwsError):
            raise answer
        return answer if isinstance(answer, InvokeResult) else result_of(answer)

    def events_of(self, arn: str) -> list[dict[str, Any]]:
        return [event for called, event in self.events if called == arn]


class Gate:
    """Believes everybody who sends an Authorization header, or says what is wrong."""

    def __init__(self) -> None:
        self.caller = CALLER
        self.error: AwsError | None = None

    def verify(self, request: Request, operation: Any) -> Verified:
        if self.error is not None:
            raise self.error
        return Verified(self.caller, REGION)


class Logs:
    """ports.LogSink."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str, str], list[str]] = {}

    def open_stream(self, account: str, region: str, group: str, stream: str) -> Any:
        lines = self.lines.setdefault((account, region, group), [])

        class Writer:
            def write(self, timestamp_ms: int, message: bytes) -> bool:
                lines.append(message.decode())
                return True

        return Writer()

    def of(self, group: str) -> list[str]:
        return self.lines.get((ACCOUNT, REGION, group), [])


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    #: Every header.
    pairs: list[tuple[str, str]] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.body)


class Proxy(HttpProxy):
    """Answers instead of sending."""

    def __init__(self) -> None:
        super().__init__(Reach())
        self.sent: list[dict[str, Any]] = []
        self.answer: Response | Exception = Response(200, [(b"content-type", b"text/plain")], b"from afar")

    async def send(
        self,
        method: str,
        url: str,
        headers: Any,
        body: bytes,
        timeout_s: float,
        *,
        verify: bool = True,
        hops: int = 0,
    ) -> Response:
        headers = {name.decode(): value.decode() for name, value in headers}
        self.sent.append({"method": method, "url": url, "headers": headers, "body": body, "timeout": timeout_s})
        if isinstance(self.answer, Exception):
            raise self.answer
        return Response(self.answer.status, list(self.answer.headers), self.answer.body)


class World:
    """One API with what its resources are given as, at stage `prod`."""

    def __init__(
        self,
        methods: Mapping[str, Mapping[str, Method]],
        *,
        stage: Mapping[str, Any] | None = None,
        authorizers: tuple[Authorizer, ...] = (),
        **api: Any,
    ) -> None:
        resources = {
            path: Resource(id=f"r{index}", parent_id=None, path_part=path.rpartition("/")[2], path=path, methods=found)
            for index, (path, found) in enumerate(methods.items())
        }
        self.definition = RestApi(
            account=ACCOUNT,
            region=REGION,
            id=API,
            name="test",
            root_id="r0",
            created_s=0,
            resources={resource.id: resource for resource in resources.values()},
            authorizers={authorizer.id: authorizer for authorizer in authorizers},
            **api,
        )
        self.snapshots = Snapshots()
        self.clock = TestClock()
        self.functions, self.gate, self.logs, self.proxy = Functions(), Gate(), Logs(), Proxy()
        self.gateway = RestGateway(
            snapshots=self.snapshots,
            functions=self.functions,  # type: ignore[arg-type]
            gate=self.gate,
            proxy=self.proxy,
            logs=AccessLogs(self.logs, self.clock),
            clock=self.clock,
            workers=ThreadPoolExecutor(1),
        )
        self.deploy(**dict(stage or {}))

    def deploy(self, **stage: Any) -> None:
        deployment = Deployment(id="dep001", created_s=0, api=self.definition)
        shown = Stage(name="prod", deployment_id="dep001", created_s=0, updated_s=0, **stage)
        self.snapshots.put(API, [shown], {"dep001": deployment})

    def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[Request, Address]:
        path, _, query = target.partition("?")
        given = {"Host": f"{API}.execute-api.{REGION}.amazonaws.com", **(headers or {})}
        request = Request(
            method,
            path.encode(),
            query.encode(),
            [(name.lower().encode(), value.encode()) for name, value in given.items()],
            body,
            "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            client_host="192.0.2.7",
            header_names=[name.encode() for name in given],
        )
        return request, Address(API, f"{API}.execute-api.{REGION}.amazonaws.com", path.encode())

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        response = await self.gateway.answer(*self.request(method, target, headers, body))
        pairs = [(name.decode(), value.decode()) for name, value in response.headers]
        return Answer(response.status, dict(pairs), response.body, pairs)

    def get(self, target: str, **headers: str) -> Answer:
        """GET, with `x_api_key="…"` as header `x-api-key`."""
        return asyncio.run(self.ask("GET", target, {name.replace("_", "-"): value for name, value in headers.items()}))

    def send(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        return asyncio.run(self.ask(method, target, headers, body))


def get(**more: Any) -> Mapping[str, Method]:
    """The methods of a resource: a GET."""
    return {"GET": Method("GET", **{"integration": proxy_to(), **more})}


Handler = Callable[[dict[str, Any]], Any]
