"""Whether a role may put segments: asked where tracing is switched on, and before X-Ray takes what functions send."""

from __future__ import annotations

from lambent.arn import partition_of
from lambent.identity.authorization import Decide
from lambent.identity.sessions import assumed_role_caller


def may_put_segments(decide: Decide, role: str, function: str, account: str, region: str) -> bool:
    """Of the session that `function` has of the role, from memory. Asked on the event loop."""
    # Segments are no resources; the region and account are what policies of organisations ask of.
    anything = f"arn:{partition_of(region)}:xray:{region}:{account}:*"
    sender = assumed_role_caller(role, function, "")
    return decide(sender, "xray:PutTraceSegments", anything, None, {}).allowed
