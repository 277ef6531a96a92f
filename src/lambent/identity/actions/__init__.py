"""Which actions on which resources each operation needs: one table of all services, after AWS's Service Authorization
Reference. An operation without a row is one that is not built, and is asked for by its name alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from lambent.identity.actions import apigateway, cloudwatch, iam, lambda_, logs, sts, xray
from lambent.identity.actions.table import Call, Entities, EntityFacts, Need, Row

__all__ = ["Call", "Entities", "EntityFacts", "Need", "Row", "has_row", "needs", "row_of"]

_TABLE: Mapping[str, Mapping[str, Row | None]] = {
    "cloudwatch": cloudwatch.ROWS,
    "iam": iam.ROWS,
    "lambda": lambda_.ROWS,
    "logs": logs.ROWS,
    "sts": sts.ROWS,
    "xray": xray.ROWS,
}
#: Services whose actions are HTTP verbs.
_RULES: Mapping[str, Mapping[str, Row]] = {"apigateway": apigateway.RULES, "apigatewayv2": apigateway.RULES}
#: Services whose actions bear another name than their models.
_PREFIXES: Mapping[str, str] = {"apigatewayv2": "apigateway"}


#: For whatever has no row.
_UNKNOWN = Row()


def has_row(service: str, operation: str) -> bool:
    return service in _RULES or operation in _TABLE.get(service, {})


def row_of(service: str, operation: str, method: str) -> Row | None:
    """None for what anybody may do who signs."""
    rules = _RULES.get(service)
    if rules is not None:
        return rules[method]
    return _TABLE.get(service, {}).get(operation, _UNKNOWN)


def first_need(row: Row, service: str, call: Call) -> Need:
    """What the call is about."""
    return Need(
        f"{_PREFIXES.get(service, service)}:{row.action or call.operation}",
        row.resource(call),
        row.keys(call) if row.keys is not None else {},
        row.shown(call) if row.shown is not None else "",
    )


def needs(row: Row, service: str, call: Call) -> list[Need]:
    """All that the caller must be allowed, in the order asked."""
    return [first_need(row, service, call), *(need for further in row.also for need in further(call))]
