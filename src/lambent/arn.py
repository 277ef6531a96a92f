"""Amazon Resource Names: `arn:<partition>:<service>:<region>:<account>:<resource>`."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Functions as callers may name them: `name`, `name:qualifier`, a partial ARN, a full one.
FUNCTION_NAME = re.compile(
    r"(?:arn:(?P<partition>[^:]+):lambda:)?"
    r"(?:(?P<region>[a-z]+-[a-z0-9-]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[^:]+)"
    r"(?::(?P<qualifier>[^:]+))?"
)


@dataclass(frozen=True, slots=True)
class Arn:
    partition: str
    service: str
    region: str
    account: str
    #: Everything after the fifth colon, `function:hello:1`.
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn | None:
        """The parts of `text`, or None where it is not an ARN."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn":
            return None
        return cls(*parts[1:])

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def partition_of(region: str) -> str:
    """The partition that AWS keeps `region` in."""
    if region.startswith("cn-"):
        return "aws-cn"
    if region.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws"


def function_arn(region: str, account: str, name: str, qualifier: str | None = None) -> str:
    """`arn:aws:lambda:us-east-1:000000000000:function:hello[:qualifier]`."""
    base = f"arn:{partition_of(region)}:lambda:{region}:{account}:function:{name}"
    return f"{base}:{qualifier}" if qualifier else base


def function_of(arn: str) -> tuple[tuple[str, str, str], str | None] | None:
    """Account, region and name of the function that `arn` names, and its qualifier; None for any other ARN."""
    parts = arn.split(":")
    if not 7 <= len(parts) <= 8 or parts[0] != "arn" or parts[2] != "lambda" or parts[5] != "function":
        return None
    return (parts[4], parts[3], parts[6]), parts[7] if len(parts) == 8 else None
