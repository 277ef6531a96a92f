"""A code signing configuration as a value. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambent.arn import Arn, partition_of
from lambent.context import Context
from lambent.errors import AwsError
from lambent.services.lambda_.domain import iso_time
from lambent.services.lambda_.errors import ResourceNotFoundException

WARN, ENFORCE = "Warn", "Enforce"
_KIND = "code-signing-config"

#: Account, region, id.
ConfigKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class CodeSigningConfig:
    account: str
    region: str
    #: `csc-` and 17 characters.
    id: str
    #: ARNs of signing profile versions.
    publishers: tuple[str, ...]
    modified_ms: int
    policy: str = WARN
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> ConfigKey:
        return self.account, self.region, self.id

    @property
    def arn(self) -> str:
        return config_arn(self.key)

    def described(self) -> dict[str, Any]:
        """As AWS describes it."""
        shown: dict[str, Any] = {
            "CodeSigningConfigId": self.id,
            "CodeSigningConfigArn": self.arn,
            "AllowedPublishers": {"SigningProfileVersionArns": list(self.publishers)},
            "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": self.policy},
            "LastModified": iso_time(self.modified_ms),
        }
        if self.description is not None:
            shown["Description"] = self.description
        return shown


def config_arn(key: ConfigKey) -> str:
    account, region, config_id = key
    return f"arn:{partition_of(region)}:lambda:{region}:{account}:{_KIND}:{config_id}"


def config_key(context: Context, arn: str, missing: AwsError) -> ConfigKey:
    """Of the configuration that `arn` names; raises `missing` where the caller can have none of that ARN."""
    parts = Arn.parse(arn)
    if parts is None or (parts.account, parts.region) != (context.account, context.region):
        raise missing
    return parts.account, parts.region, parts.resource.removeprefix(f"{_KIND}:")


def not_found(arn: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The Lambda code signing configuration {arn} can not be found.")
