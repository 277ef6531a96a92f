"""Deployed HTTP APIs in memory, for the data plane: rebuilt at start, replaced after each commit.

The one arrow from the control plane to `edge/execute_api/http`. No method of it awaits or reads a disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lambent.services.apigatewayv2.domain import Deployed, HttpApi, Stage


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """A stage's own settings, which act at once, and what is deployed to it; None before the first deployment."""

    stage: Stage
    deployed: Deployed | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ApiSnapshot:
    """One API; a new object after each change, so that what is compiled of it may be kept by its identity."""

    account: str
    region: str
    api_id: str
    disable_execute_api_endpoint: bool
    #: By name.
    stages: Mapping[str, StageSnapshot]


class Snapshots:
    def __init__(self) -> None:
        self._apis: dict[str, ApiSnapshot] = {}

    def __repr__(self) -> str:
        return f"<Snapshots [{len(self._apis)} APIs]>"

    def has(self, api_id: str) -> bool:
        """Is there such an API, deployed or not?"""
        return api_id in self._apis

    def find(self, api_id: str) -> ApiSnapshot | None:
        return self._apis.get(api_id)

    # ---- the control plane's half ------------------------------------------------------------------------------

    def put(self, api: HttpApi, deployed: Mapping[str, Deployed]) -> None:
        """What the API's stages show now; `deployed` holds, by id, the deployments that a stage names."""
        stages = {
            name: StageSnapshot(stage, deployed.get(stage.deployment_id or "")) for name, stage in api.stages.items()
        }
        self._apis[api.api_id] = ApiSnapshot(
            api.account, api.region, api.api_id, api.disable_execute_api_endpoint, stages
        )

    def remove(self, api_id: str) -> None:
        self._apis.pop(api_id, None)

    def clear(self) -> None:
        self._apis.clear()
