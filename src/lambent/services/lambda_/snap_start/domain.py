"""Which functions may have SnapStart, and what a snapshot makes of a version. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html names what is not supported. AWS's words are known for
runtimes, architectures and images; the others follow their form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lambent.ports import SnapshotOutcome
from lambent.services.lambda_.domain import Settings, State
from lambent.services.lambda_.errors import InvalidParameterValueException, ResourceConflictException

_PYTHON = re.compile(r"python3\.(\d+)")
#: The oldest Python that has SnapStart on AWS.
_OLDEST_MINOR = 12
#: What every function has of /tmp, MB, and one with SnapStart at most.
_MAX_TMP_MB = 512

_FAILED = "An error occurred during function initialization."


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The table [snap_start] of the configuration file."""

    #: Those too that have none on AWS.
    every_python: bool = False

    def check(self, settings: Settings) -> None:
        """Raises for settings that go with SnapStart neither there nor here."""
        if not settings.snap_start:
            return
        if settings.per_tenant:
            raise InvalidParameterValueException(
                "SnapStart is not supported for functions enabled with tenancy configuration."
            )
        for is_wrong, what in (
            (not self._takes(settings.runtime), settings.runtime),
            (bool(settings.file_systems), "EFS"),
            (settings.tmp_mb > _MAX_TMP_MB, f"EphemeralStorage greater than {_MAX_TMP_MB} MB"),
        ):
            if is_wrong:
                raise unsupported(what)

    def _takes(self, runtime: str) -> bool:
        python = _PYTHON.fullmatch(runtime)
        return python is not None and (self.every_python or int(python[1]) >= _OLDEST_MINOR)


def unsupported(what: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(f"{what} is not supported for SnapStart enabled functions.")


def state_after(outcome: SnapshotOutcome, now: float) -> dict[str, Any]:
    """The fields of a version that change once taking its snapshot is over."""
    if outcome.ok:
        return {"state": State.ACTIVE, "snapshot_ms": int(now * 1000)}
    if outcome.reason_code == "Fallback":
        # It runs all the same. AWS knows no such thing, so there is no code for it.
        return {"state": State.ACTIVE, "state_reason": outcome.reason}
    if outcome.reason_code == "Internal":
        return {"state": State.FAILED, "state_reason": outcome.reason, "state_reason_code": "InternalError"}
    code = "FunctionError.InitTimeout" if outcome.reason_code == "InitTimeout" else "FunctionError"
    return {
        "state": State.FAILED,
        "state_reason": f"{_FAILED} {outcome.reason}".strip(),
        "state_reason_code": code,
    }


def version_failed(state_reason_code: str) -> ResourceConflictException:
    """Of an alias that is to lead to such a version."""
    return ResourceConflictException(
        "The operation cannot be performed at this time. "
        f"The function version is in state: '{State.FAILED}', StateReasonCode: '{state_reason_code}'"
    )
