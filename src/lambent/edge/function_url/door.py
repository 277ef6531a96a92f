"""Function URLs: an HTTP request of anybody becomes an event in format 2.0, and what the function returns an answer.

AWS's rules: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html and urls-auth.html; where they are
silent, bodies and headers are as recorded from AWS.
"""

from __future__ import annotations

import logging
from concurrent.futures import Executor
from functools import partial

from lambent.clock import Clock
from lambent.context import Caller
from lambent.edge.doors import Address
from lambent.edge.function_url import answers, streaming
from lambent.edge.gate import FUNCTION_URL, Gate, verified
from lambent.edge.http_events import cors, payload_v2, responses
from lambent.edge.http_events.payload_v2 import ApiFacts
from lambent.edge.http_events.request_facts import Facts
from lambent.edge.http_events.streamed import Body, FunctionFailed
from lambent.errors import AwsError
from lambent.identity import circumstances
from lambent.ports import Asker, FunctionCalls, MetricSink, UrlDirectory, UrlTarget
from lambent.request import Request, Response

log = logging.getLogger(__name__)

#: Of a request's body, and of the event made of it.
BODY_LIMIT = 6 * 1024 * 1024

ANYBODY = Asker(principal="*", url_auth_type="NONE")


class FunctionUrlDoor:
    """Implements doors.Door."""

    body_limit = BODY_LIMIT

    def __init__(
        self,
        urls: UrlDirectory,
        functions: FunctionCalls,
        gate: Gate,
        clock: Clock,
        workers: Executor,
        metrics: MetricSink,
    ) -> None:
        self._urls = urls
        self._functions = functions
        self._gate = gate
        self._clock = clock
        self._workers = workers
        self._metrics = metrics

    async def answer(self, request: Request, address: Address) -> Response:
        target = self._urls.find(address.id)
        if target is None:
            return answers.unknown_url()
        began = self._clock.monotonic()
        response = await self._answer(request, address, target)
        self._count(target.function_arn, response.status)
        if isinstance(response.stream, Body):
            response.stream.ended = partial(self._time, target.function_arn, began)
        else:
            self._time(target.function_arn, began)
        return response

    def _time(self, arn: str, began: float) -> None:
        self._metrics.count(arn, "UrlRequestLatency", (self._clock.monotonic() - began) * 1000, "Milliseconds")

    def _count(self, arn: str, status: int) -> None:
        count = self._metrics.count
        count(arn, "UrlRequestCount")
        if status >= 400:
            count(arn, "Url4xxCount" if status < 500 else "Url5xxCount")

    async def _answer(self, request: Request, address: Address, target: UrlTarget) -> Response:
        try:
            if target.cors is None:
                return await self._invoke(request, address, target)
            rules = answers.cors_rules(target.cors)
            if cors.is_preflight(request):
                return cors.preflight(rules, request, status=200)
            return cors.apply(rules, request, await self._invoke(request, address, target))
        except Exception:
            # The last resort: a fault of ours is answered as AWS answers one of its own, and told to the operator.
            log.exception("Request %s to the URL of %s failed.", request.id, target.function_arn)
            return answers.server_error()

    def too_large(self, request: Request, address: Address) -> Response:
        return answers.too_large() if self._urls.find(address.id) is not None else answers.unknown_url()

    async def _invoke(self, request: Request, address: Address, target: UrlTarget) -> Response:
        if len(request.body) > BODY_LIMIT:
            return answers.too_large()
        caller: Caller | None = None
        asker = ANYBODY
        if target.auth_type != "NONE":
            try:
                caller = await self._caller(request, target)
            except AwsError as error:
                return answers.not_authenticated(error)
            asker = Asker(
                caller.arn,
                url_auth_type=target.auth_type,
                caller=caller,
                circumstances=circumstances.of_request(request, self._clock.now()),
            )
        facts = Facts.of(request, address, self._clock.now())
        event = payload_v2.event(facts, api=_api(target, address, caller), authorizer=payload_v2.iam_authorizer(caller))
        if len(event) > BODY_LIMIT:
            return answers.too_large()
        call = self._stream if target.invoke_mode == "RESPONSE_STREAM" else self._call
        try:
            response = await call(target, asker, event, request.id, facts.trace_id)
        except AwsError as error:
            return answers.refused(error)
        except FunctionFailed:
            return answers.function_failed()
        except responses.MalformedProxyResponse as error:
            log.info("The answer of %s to request %s cannot be sent: %s", target.function_arn, request.id, error)
            return answers.function_failed()
        response.headers.append((b"x-amzn-trace-id", facts.trace_id.encode("latin-1", "replace")))
        return response

    async def _call(self, target: UrlTarget, asker: Asker, event: bytes, request_id: str, trace_id: str) -> Response:
        result = await self._functions.call(target.function_arn, asker, event, request_id=request_id, trace_id=trace_id)
        if result.function_error is not None:
            raise FunctionFailed
        if result.content_type:
            return streaming.collected(result.payload, result.content_type)
        return responses.infer_v2(result.payload, remap=True)

    async def _stream(self, target: UrlTarget, asker: Asker, event: bytes, request_id: str, trace_id: str) -> Response:
        return await streaming.answer(self._functions, target, asker, event, request_id=request_id, trace_id=trace_id)

    async def _caller(self, request: Request, target: UrlTarget) -> Caller:
        sender = await verified(self._gate, request, FUNCTION_URL, self._workers)
        if sender.region != target.region:
            raise answers.wrong_region(sender.region)
        return sender.caller


def _api(target: UrlTarget, address: Address, caller: Caller | None) -> ApiFacts:
    return ApiFacts(
        account_id="anonymous" if caller is None else target.account,
        api_id=target.id,
        domain_name=address.domain_name,
        domain_prefix=target.id,
    )
