"""X-Ray of stages with active tracing: which requests are traced, and the segment that API Gateway records of each.

Lambda's own segments and those of functions hang below it, for the header that is passed on names it as the parent.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lambent.arn import partition_of
from lambent.clock import Clock
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.invoke import tracing
from lambent.ports import TraceSink
from lambent.services.apigateway.snapshots import StageSnapshot

_ORIGIN = "AWS::ApiGateway::Stage"
#: What names of segments are not made of.
_ODD = re.compile(r"[^\w\s.:/%&#=+\\\-@]")

_encode = msgspec.json.Encoder().encode


class StageTracing:
    def __init__(self, sink: TraceSink | None, clock: Clock) -> None:
        """`sink` None: nobody takes segments, and nothing is sampled."""
        self._sink = sink
        self._clock = clock
        self._sampler = tracing.Sampler()

    def header(self, received: str, snapshot: StageSnapshot, now: float) -> str:
        """X-Amzn-Trace-Id as it is passed on, "" where the stage leaves it as it is."""
        if not snapshot.stage.tracing_enabled or self._sink is None:
            return ""
        return tracing.joined(received, self._sampler, f"{snapshot.api.id}/{snapshot.stage.name}", now)

    def tell(self, exchange: Exchange) -> None:
        """The request was answered."""
        if self._sink is None or not exchange.stage.tracing_enabled or tracing.SAMPLED not in exchange.facts.trace_id:
            return
        api = exchange.api.definition
        self._sink.tell(api.account, api.region, _encode(_segment(exchange, self._clock.now())))


def _segment(exchange: Exchange, now: float) -> dict[str, Any]:
    facts, stage, api = exchange.facts, exchange.stage.name, exchange.api.definition
    context = tracing.context_of(facts.trace_id)
    caller = tracing.context_of((facts.request.header(b"x-amzn-trace-id") or b"").decode("latin-1")).parent
    status = exchange.status
    request = {
        "url": f"{facts.scheme}://{facts.domain_name}/{stage}{exchange.path}"[:2000],
        "method": facts.method,
        "client_ip": facts.source_ip,
        "user_agent": facts.user_agent[:500],
    }
    return {
        "id": context.parent,
        "name": _ODD.sub("_", f"{api.name}/{stage}")[:200],
        "trace_id": context.root,
        **({"parent_id": caller} if caller else {}),
        "start_time": facts.now,
        "end_time": now,
        "http": {"request": request, "response": {"status": status, "content_length": exchange.response_length}},
        "aws": {
            "api_gateway": {
                "account_id": api.account,
                "rest_api_id": api.id,
                "stage": stage,
                "request_id": facts.request_id,
            }
        },
        "origin": _ORIGIN,
        "resource_arn": f"arn:{partition_of(api.region)}:apigateway:{api.region}::/restapis/{api.id}/stages/{stage}",
        **({"fault": True} if status >= 500 else {}),
        **({"error": True} if 400 <= status < 500 else {}),
        **({"throttle": True} if status == 429 else {}),
    }
