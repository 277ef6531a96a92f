"""`GET /_lambent/costs`: the ledger, priced. The operator's call, and what `lambent costs` asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from lambent.config import Rates
from lambent.edge.local import json_response
from lambent.edge.operator import OperatorCheck
from lambent.errors import ValidationException
from lambent.request import Request, Response
from lambent.services.billing.ledger import DAY, Ledger
from lambent.services.billing.prices import GB, GB_S, Usage, cost_of
from lambent.services.billing.store import Line


class Costs:
    def __init__(self, ledger: Ledger, rates: Rates, operator: OperatorCheck) -> None:
        self._ledger = ledger
        self._rates = rates
        self._operator = operator

    async def get(self, request: Request) -> Response:
        """`?since=2026-01-31`: from that day on."""
        self._operator.check(request)
        since = parse_qs(request.query.decode("latin-1")).get("since", [""])[0]
        lines = await self._ledger.since(_day(since) if since else 0)
        return json_response({"currency": "USD", "lines": [self._described(*each) for each in lines]})

    def _described(self, line: Line, usage: Usage) -> dict[str, Any]:
        cost = cost_of(usage, line.architecture, self._rates)
        return {
            **line._asdict(),
            "day": datetime.fromtimestamp(line.day * DAY, UTC).date().isoformat(),
            "requests": usage.requests,
            "billed_ms": usage.billed_ms,
            "gb_seconds": (usage.mb_ms + usage.provisioned_mb_ms) / GB_S,
            "kept_gb_seconds": usage.kept_mb_ms / GB_S,
            "tmp_gb_seconds": usage.tmp_mb_ms / GB_S,
            "cached_gb_seconds": usage.cached_mb_ms / GB_S,
            "restored_gb": usage.restored_mb / 1024,
            "streamed_gb": usage.streamed_bytes / GB,
            "cost": {**cost._asdict(), "total": cost.total},
        }


def _day(text: str) -> int:
    """Raises ValidationException."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // DAY
    except (ValueError, OverflowError):
        raise ValidationException(f"since is a day such as 2026-01-31, not {text[:50]}.") from None
