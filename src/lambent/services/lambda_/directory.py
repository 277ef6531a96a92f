"""Functions as the data plane sees them, by name and qualifier, in memory: Invoke reads this and never the database.

Rebuilt from the rows at start, replaced after each commit. Used on the event loop only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from lambent.ports import FunctionVersion
from lambent.services.lambda_.aliases.domain import Alias
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.describe import code_sha256
from lambent.services.lambda_.domain import Function, State
from lambent.services.lambda_.names import LATEST
from lambent.services.lambda_.subnets import Subnets

Key = tuple[str, str, str]


@dataclass(slots=True)
class _Entry:
    """One function."""

    latest: FunctionVersion
    #: Published ones, by number.
    versions: dict[str, FunctionVersion] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def version(self, version: str) -> FunctionVersion | None:
        return self.latest if version == LATEST else self.versions.get(version)


class Directory:
    """Implements ports.FunctionDirectory."""

    def __init__(
        self,
        code: CodeStore,
        use_runtime: Callable[[str], None] = lambda runtime: None,
        draw: Callable[[], float] = random.random,
        subnets: Subnets | None = None,
    ) -> None:
        """`draw` gives a number from 0 up to 1, by which an alias with weights picks a version."""
        self._code = code
        self._use_runtime = use_runtime
        self._draw = draw
        self._subnets = subnets or Subnets()
        self._entries: dict[Key, _Entry] = {}

    def __repr__(self) -> str:
        return f"<Directory [{len(self._entries)} functions]>"

    def find(self, account: str, region: str, name: str, qualifier: str | None) -> FunctionVersion | None:
        entry = self._entries.get((account, region, name))
        if entry is None:
            return None
        if qualifier is None:
            return entry.latest
        alias = entry.aliases.get(qualifier)
        return entry.version(qualifier if alias is None else self._route(alias))

    def has(self, key: Key, qualifier: str | None) -> bool:
        """Whether there is such a function, version or alias."""
        return self.find(*key, qualifier) is not None

    def alias(self, key: Key, name: str) -> Alias | None:
        entry = self._entries.get(key)
        return None if entry is None else entry.aliases.get(name)

    def tags(self, key: Key) -> Mapping[str, str]:
        entry = self._entries.get(key)
        return {} if entry is None else entry.tags

    def put(self, function: Function) -> None:
        """A function or a published version, new or changed. The function comes first."""
        made = self._version(function)
        entry = self._entries.get(function.key)
        if function.version != LATEST:
            if entry is not None:
                entry.versions[function.version] = made
        elif entry is None:
            self._entries[function.key] = _Entry(made)
        else:
            if _of_function(entry.latest) != _of_function(made):
                for number, version in entry.versions.items():
                    entry.versions[number] = replace(
                        version,
                        reserved_concurrency=made.reserved_concurrency,
                        allows_recursion=made.allows_recursion,
                    )
            entry.latest = made
        if function.version == LATEST:
            self._entries[function.key].tags = function.tags
        self._use_runtime(function.settings.runtime)

    def put_state(self, function: Function, state: State, *, has_snapshot: bool) -> None:
        """What became of a version with SnapStart, before its row says so: who reads that may invoke it at once."""
        entry = self._entries.get(function.key)
        version = entry.versions.get(function.version) if entry is not None else None
        if entry is not None and version is not None:
            entry.versions[function.version] = replace(
                version, state=state.value, snap_start=has_snapshot or state is not State.ACTIVE
            )

    def put_alias(self, alias: Alias) -> None:
        entry = self._entries.get(alias.function_key)
        if entry is not None:
            entry.aliases[alias.name] = alias

    def remove(self, key: Key) -> None:
        """The function with its versions and aliases."""
        self._entries.pop(key, None)

    def remove_qualifier(self, key: Key, qualifier: str) -> None:
        """One published version or alias."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.versions.pop(qualifier, None)
            entry.aliases.pop(qualifier, None)

    def clear(self) -> list[Key]:
        """Forget all; the keys of what was there."""
        keys = list(self._entries)
        self._entries.clear()
        return keys

    def _route(self, alias: Alias) -> str:
        for version, weight in alias.weights.items():
            if self._draw() < weight:
                return version
        return alias.version

    def _version(self, function: Function) -> FunctionVersion:
        settings = function.settings
        return FunctionVersion(
            account=function.account,
            region=function.region,
            name=function.name,
            version=function.version,
            arn=function.arn,
            runtime=settings.runtime,
            handler=settings.handler,
            role=settings.role,
            code_root=self._code.tree(function.package.sha256),
            code_sha256=code_sha256(function.package.sha256),
            memory_mb=settings.memory_mb,
            timeout_s=settings.timeout_s,
            tmp_mb=settings.tmp_mb,
            environment=dict(function.environment or {}),
            log_group=function.log_group,
            log_format=settings.log_format,
            application_log_level=settings.application_log_level,
            system_log_level=settings.system_log_level,
            tracing_mode=settings.tracing_mode,
            architecture=settings.architecture,
            layers=tuple(self._code.tree(layer.sha256) for layer in settings.layers),
            file_systems=tuple((system.arn, system.path) for system in settings.file_systems),
            network=self._subnets.network(settings.vpc),
            environment_key=function.generation,
            reserved_concurrency=function.reserved_concurrency,
            per_tenant=settings.per_tenant,
            allows_recursion=function.recursive_loop == "Allow",
            # Without a snapshot, once that is known, it starts as any other.
            snapshot_hooks=function.has_snap_start,
            snap_start=function.has_snap_start
            and (function.state is not State.ACTIVE or function.snapshot_ms is not None),
            state=function.state.value if function.has_snap_start else "Active",
        )


def _of_function(version: FunctionVersion) -> tuple[int | None, bool]:
    """What is one for all versions of a function."""
    return version.reserved_concurrency, version.allows_recursion
