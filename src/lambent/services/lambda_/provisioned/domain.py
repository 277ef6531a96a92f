"""Provisioned concurrency as a value: how much of it a version or an alias has, and whose environments that makes."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lambent.arn import function_arn
from lambent.services.lambda_.aliases.domain import Alias


@dataclass(frozen=True, slots=True)
class ProvisionedConfig:
    account: str
    region: str
    #: Of the function.
    function: str
    #: A version or an alias.
    qualifier: str
    #: Environments to be kept ready.
    amount: int
    modified_ms: int

    @property
    def key(self) -> tuple[str, str, str]:
        return self.account, self.region, self.function

    @property
    def arn(self) -> str:
        return function_arn(self.region, self.account, self.function, self.qualifier)

    @property
    def last_modified(self) -> str:
        """`2026-11-23T05:05:25+0000`."""
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(self.modified_ms // 1000))}+0000"


def spread(alias: Alias, amount: int) -> dict[str, int]:
    """Version → environments: an alias that leads to two gives each the share of calls that it gets."""
    shares = {version: round(amount * weight) for version, weight in alias.weights.items()}
    return {alias.version: amount - sum(shares.values()), **shares}
