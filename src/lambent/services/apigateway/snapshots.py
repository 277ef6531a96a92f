"""Deployed APIs in memory, for the data plane: rebuilt at start, replaced after each commit, never changed in place.

The one arrow from the control plane to `edge/execute_api/rest`. No method of it awaits or reads a disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lambent.arn import partition_of
from lambent.services.apigateway.domain import AccountSettings, Deployment, RestApi, Stage


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """One stage of one API: the API as deployed, and the stage's settings, which act without a deployment."""

    #: Frozen by the deployment. The same object for as long as the stage shows the same deployment: what is compiled
    #: of it may be kept by its identity.
    api: RestApi
    deployment_id: str
    stage: Stage

    @property
    def arn(self) -> str:
        """`arn:aws:execute-api:<region>:<account>:<api>/<stage>`, without a method."""
        api = self.api
        return f"arn:{partition_of(api.region)}:execute-api:{api.region}:{api.account}:{api.id}/{self.stage.name}"


class Snapshots:
    def __init__(self) -> None:
        self._apis: dict[str, dict[str, StageSnapshot]] = {}
        self._accounts: dict[tuple[str, str], AccountSettings] = {}

    def __repr__(self) -> str:
        return f"<Snapshots [{len(self._apis)} APIs]>"

    def has(self, api_id: str) -> bool:
        """Is there such an API, deployed or not?"""
        return api_id in self._apis

    def stage(self, api_id: str, stage_name: str) -> StageSnapshot | None:
        return self._apis.get(api_id, {}).get(stage_name)

    def account(self, account: str, region: str) -> AccountSettings:
        """Throttle and log role of an account."""
        return self._accounts.get((account, region)) or AccountSettings()

    # ---- the control plane's half ------------------------------------------------------------------------------

    def put(self, api_id: str, stages: Iterable[Stage], deployments: Mapping[str, Deployment]) -> None:
        """What the API's stages show now; `deployments` holds those that a stage names."""
        before = self._apis.get(api_id, {})
        kept = {snapshot.deployment_id: snapshot.api for snapshot in before.values()}
        self._apis[api_id] = {
            stage.name: StageSnapshot(
                api=kept.get(stage.deployment_id) or deployments[stage.deployment_id].api,
                deployment_id=stage.deployment_id,
                stage=stage,
            )
            for stage in stages
        }

    def remove(self, api_id: str) -> None:
        self._apis.pop(api_id, None)

    def put_account(self, account: str, region: str, settings: AccountSettings) -> None:
        self._accounts[account, region] = settings

    def clear(self) -> None:
        self._apis.clear()
        self._accounts.clear()
