"""CloudWatch: metrics know no resources, a namespace at most."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.identity.actions.table import Call, Keys, Row


def _namespace(call: Call) -> Keys:
    return {"cloudwatch:namespace": (call.params["Namespace"],)}


_ANY = Row()

ROWS: Mapping[str, Row | None] = {
    "GetMetricData": _ANY,
    "GetMetricStatistics": _ANY,
    "ListMetrics": _ANY,
    "PutMetricData": Row(keys=_namespace),
}
