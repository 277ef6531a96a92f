"""What is wrong with a policy document, in AWS's words where they are known."""

from __future__ import annotations

SYNTAX = "Syntax errors in policy."
#: What IAM says of values that its older parser does not take: a date, an ARN, the case of an effect.
LEGACY = "The policy failed legacy parsing"


class MalformedPolicy(Exception):
    """The document is no policy; `reason` is a sentence for MalformedPolicyDocument and its like."""

    def __init__(self, reason: str = SYNTAX) -> None:
        super().__init__(reason)
        self.reason = reason
