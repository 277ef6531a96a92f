"""Who asks, where: what every handler of an AWS operation is given beside its parameters."""

from __future__ import annotations

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """An authenticated principal."""

    account: str
    #: `arn:aws:iam::000000000000:root`, `arn:aws:sts::…:assumed-role/<role>/<session>` …
    arn: str
    #: What STS GetCallerIdentity calls UserId.
    user_id: str
    access_key_id: str


class Context(msgspec.Struct, frozen=True):
    """One API call. Account and region are columns of every table and come from here alone."""

    account: str
    region: str
    caller: Caller
    request_id: str
    #: scheme://host[:port] that the client used, for URLs in replies.
    base_url: str
    #: The execution environment that the call came from, or None.
    sandbox_id: str | None = None
    #: X-Amzn-Trace-Id as received, "" without.
    trace_id: str = ""
