"""A function as a value: its settings, its package, its state; and what changes of state there are. No I/O.

Values are frozen; an update makes a new one. `describe` renders them for AWS, `store` keeps them, `directory` turns
them into what the data plane runs.
"""

from __future__ import annotations

import dataclasses
import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lambent.arn import function_arn
from lambent.ids import hex_id, revision_id
from lambent.services.lambda_.names import LATEST, version_number


class State(enum.StrEnum):
    PENDING = "Pending"
    ACTIVE = "Active"
    #: Of a version whose snapshot could not be taken.
    FAILED = "Failed"


class UpdateStatus(enum.StrEnum):
    IN_PROGRESS = "InProgress"
    SUCCESSFUL = "Successful"


class LayerUse(msgspec.Struct, frozen=True):
    """A layer version as a function keeps it: all it needs of one that may be deleted meanwhile."""

    arn: str
    #: Of its package, in hex.
    sha256: str
    #: Bytes of the package, and of what lies in it.
    size: int
    unzipped: int


class FileSystem(msgspec.Struct, frozen=True):
    #: Of an EFS access point.
    arn: str
    #: `/mnt/<name>`
    path: str


class Vpc(msgspec.Struct, frozen=True):
    """What a function's VpcConfig says, once it said anything."""

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    ipv6: bool = False

    @property
    def is_one(self) -> bool:
        """False where it was taken away: AWS goes on showing it, empty."""
        return bool(self.subnets)


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What UpdateFunctionConfiguration may change, but for the environment; stored as JSON.

    A new field needs a default: rows written before it lack it.
    """

    role: str
    runtime: str
    handler: str
    description: str = ""
    timeout_s: int = 3
    memory_mb: int = 128
    tmp_mb: int = 512
    architecture: str = "x86_64"
    tracing_mode: str = "PassThrough"
    log_format: str = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None
    #: None: `/aws/lambda/<name>`.
    log_group: str | None = None
    #: In the order given: later ones lie on top.
    layers: tuple[LayerUse, ...] = ()
    file_systems: tuple[FileSystem, ...] = ()
    #: None: never given.
    vpc: Vpc | None = None
    #: Echoed; the region's own key seals the environment whatever it says.
    kms_key_arn: str | None = None
    #: Auto | FunctionUpdate | Manual
    runtime_update: str = "Auto"
    #: Under Manual, the one that is pinned.
    runtime_version_arn: str | None = None
    #: TenancyConfig PER_TENANT, given at creation for good.
    per_tenant: bool = False
    #: SnapStart ApplyOn PublishedVersions.
    snap_start: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """A deployment package in the code store."""

    #: Of the zip, in hex: the name of its blob and of its extracted tree.
    sha256: str
    #: Of the zip, in bytes.
    size: int


@dataclass(frozen=True, slots=True)
class Function:
    """One version of a function: $LATEST, or a published one, which never changes but for its state.

    Tags, reserved concurrency and the recursion setting belong to the function; its versions show them.
    """

    account: str
    region: str
    name: str
    settings: Settings
    package: Package
    #: None where none was given: AWS then leaves Environment out of replies.
    environment: Mapping[str, str] | None
    modified_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)
    state: State = State.PENDING
    update_status: UpdateStatus = UpdateStatus.SUCCESSFUL
    revision_id: str = field(default_factory=revision_id)
    #: Changes with code and configuration, not when an update settles: what environments are keyed by.
    generation: str = field(default_factory=lambda: hex_id(16))
    reserved_concurrency: int | None = None
    #: Terminate | Allow
    recursive_loop: str = "Terminate"
    #: `$LATEST` or a number.
    version: str = LATEST
    #: Of a version: what PublishVersion gave in place of the settings' description.
    published_description: str | None = None
    #: Of a version with SnapStart: why it is in its state where that needs a word, None otherwise.
    state_reason: str | None = None
    state_reason_code: str | None = None
    #: When its snapshot was taken; None without one.
    snapshot_ms: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Of the function, the same for all its versions."""
        return self.account, self.region, self.name

    @property
    def arn(self) -> str:
        return function_arn(self.region, self.account, self.name)

    @property
    def number(self) -> int:
        """Of a published version; 0 for $LATEST, which lists show first."""
        return version_number(self.version)

    @property
    def description(self) -> str:
        return self.settings.description if self.published_description is None else self.published_description

    @property
    def log_group(self) -> str:
        return self.settings.log_group or f"/aws/lambda/{self.name}"

    @property
    def is_settled(self) -> bool:
        """A version that failed has settled as well."""
        return self.state is not State.PENDING and self.update_status is UpdateStatus.SUCCESSFUL

    @property
    def has_snap_start(self) -> bool:
        """Whether it is a version that is to have a snapshot."""
        return self.settings.snap_start and self.version != LATEST

    def updated(self, now: float, **changes: Any) -> Function:
        """After an update of code or configuration (`changes` are fields) that has yet to settle."""
        return dataclasses.replace(
            self,
            **changes,
            modified_ms=int(now * 1000),
            update_status=UpdateStatus.IN_PROGRESS,
            revision_id=revision_id(),
            generation=hex_id(16),
        )

    def published(self, number: int, description: str | None) -> Function:
        """Version `number` of what $LATEST is now, yet to settle."""
        return dataclasses.replace(
            self,
            version=str(number),
            published_description=description,
            state=State.PENDING,
            update_status=UpdateStatus.SUCCESSFUL,
            revision_id=revision_id(),
            generation=hex_id(16),
        )

    def is_same_as(self, published: Function) -> bool:
        """Whether publishing this would give what `published` has already."""
        # When runtimes are updated is the one thing that can be set on a version itself.
        settings = msgspec.structs.replace(
            self.settings,
            runtime_update=published.settings.runtime_update,
            runtime_version_arn=published.settings.runtime_version_arn,
        )
        return (self.package, settings, self.environment) == (
            published.package,
            published.settings,
            published.environment,
        )

    def settled(self, **changes: Any) -> Function:
        """After the creation or update is through; `changes` are what a snapshot makes of it."""
        return dataclasses.replace(
            self,
            **{"state": State.ACTIVE, **changes},
            update_status=UpdateStatus.SUCCESSFUL,
            revision_id=revision_id(),
        )


def iso_time(milliseconds: int) -> str:
    """`2026-11-23T05:05:25.000+0000`, the form of LastModified."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03}+0000"
