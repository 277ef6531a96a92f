"""iam:PassRole, which whoever hands a role to a service needs beside the call's own action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lambent.arn import Arn
from lambent.identity.actions.table import Call, Need

_FOREIGN = "Cross-account pass role is not allowed."


def pass_role(call: Call, role: str, keys: Mapping[str, Sequence[str]]) -> Need:
    """No policy can make a role of another account one that is handed over: services say so in words of their own."""
    arn = Arn.parse(role)
    is_foreign = arn is not None and arn.account != call.account
    return Need("iam:PassRole", role, keys, refusal=_FOREIGN if is_foreign else "")
