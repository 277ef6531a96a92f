"""Functions as the data plane sees them, by name, in memory: Invoke reads this and never the database.

Rebuilt from the rows at start, replaced after each commit. Used on the event loop only.
"""

from __future__ import annotations

from collections.abc import Callable

from lambent.ports import FunctionVersion
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.describe import code_sha256
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.names import LATEST


class Directory:
    """Implements ports.FunctionDirectory."""

    def __init__(self, code: CodeStore, use_runtime: Callable[[str], None] = lambda runtime: None) -> None:
        self._code = code
        self._use_runtime = use_runtime
        self._versions: dict[tuple[str, str, str], FunctionVersion] = {}

    def __repr__(self) -> str:
        return f"<Directory [{len(self._versions)} functions]>"

    def find(self, account: str, region: str, name: str, qualifier: str | None) -> FunctionVersion | None:
        if qualifier is not None and qualifier != LATEST:
            return None
        return self._versions.get((account, region, name))

    def put(self, function: Function) -> None:
        self._versions[function.key] = self._version(function)
        self._use_runtime(function.settings.runtime)

    def remove(self, key: tuple[str, str, str]) -> None:
        self._versions.pop(key, None)

    def clear(self) -> list[tuple[str, str, str]]:
        """Forget all; the keys of what was there."""
        keys = list(self._versions)
        self._versions.clear()
        return keys

    def _version(self, function: Function) -> FunctionVersion:
        settings = function.settings
        return FunctionVersion(
            account=function.account,
            region=function.region,
            name=function.name,
            version=LATEST,
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
            environment_key=function.generation,
            reserved_concurrency=function.reserved_concurrency,
        )
