"""The sampling rules that X-Ray's SDKs ask for: the default one, a request a second and 5 % of the others."""

from __future__ import annotations

from typing import Any

from lambent.arn import partition_of
from lambent.clock import Clock
from lambent.context import Context

#: By account and region: requests, sampled, borrowed, and when the last ones were told of.
Seen = dict[tuple[str, str], tuple[int, int, int, float]]

#: The only rule: it matches every request.
DEFAULT = "Default"
RATE = 0.05
RESERVOIR = 1
#: Seconds until an SDK asks for its targets again.
_INTERVAL_S = 10
#: Accounts and regions whose statistics are remembered; where they get more, all are forgotten.
_MOST = 1000


class SamplingOperations:
    def __init__(self, clock: Clock, seen: Seen) -> None:
        self._clock = clock
        self._seen = seen

    async def GetSamplingRules(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        region = context.region
        rule = {
            "RuleName": DEFAULT,
            "RuleARN": f"arn:{partition_of(region)}:xray:{region}:{context.account}:sampling-rule/{DEFAULT}",
            "ResourceARN": "*",
            "Priority": 10_000,
            "FixedRate": RATE,
            "ReservoirSize": RESERVOIR,
            **dict.fromkeys(("ServiceName", "ServiceType", "Host", "HTTPMethod", "URLPath"), "*"),
            "Version": 1,
            "Attributes": {},
        }
        return {"SamplingRuleRecords": [{"SamplingRule": rule, "CreatedAt": 0.0, "ModifiedAt": 0.0}]}

    async def GetSamplingTargets(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        targets, unknown = [], []
        now = self._clock.now()
        for told in params["SamplingStatisticsDocuments"]:
            if told["RuleName"] != DEFAULT:
                unknown.append({"RuleName": told["RuleName"], "ErrorCode": "400", "Message": "Unknown rule"})
                continue
            self._add(context, told, now)
            targets.append(
                {
                    "RuleName": DEFAULT,
                    "FixedRate": RATE,
                    "ReservoirQuota": RESERVOIR,
                    "ReservoirQuotaTTL": now + _INTERVAL_S,
                    "Interval": _INTERVAL_S,
                }
            )
        return {"SamplingTargetDocuments": targets, "LastRuleModification": 0.0, "UnprocessedStatistics": unknown}

    async def GetSamplingStatisticSummaries(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Since the region began."""
        seen = self._seen.get((context.account, context.region))
        if seen is None:
            return {"SamplingStatisticSummaries": []}
        requests, sampled, borrowed, at = seen
        counts = {"RequestCount": requests, "SampledCount": sampled, "BorrowCount": borrowed}
        return {"SamplingStatisticSummaries": [{"RuleName": DEFAULT, "Timestamp": at, **counts}]}

    def _add(self, context: Context, told: dict[str, Any], now: float) -> None:
        key = context.account, context.region
        if len(self._seen) >= _MOST and key not in self._seen:
            self._seen.clear()
        requests, sampled, borrowed, _ = self._seen.get(key, (0, 0, 0, 0.0))
        self._seen[key] = (
            requests + told["RequestCount"],
            sampled + told["SampledCount"],
            borrowed + (told.get("BorrowCount") or 0),
            now,
        )
