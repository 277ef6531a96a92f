"""Who else may use which layer version, from memory: rebuilt from the rows at start, replaced after each commit."""

from __future__ import annotations

from lambent.identity.policy import Policy
from lambent.services.lambda_.layers.domain import LayerPolicy, LayerVersion


class LayerPolicies:
    """By the ARN of the version."""

    def __init__(self) -> None:
        self._policies: dict[str, LayerPolicy] = {}
        #: Those that were asked.
        self._compiled: dict[str, Policy] = {}

    def __repr__(self) -> str:
        return f"<LayerPolicies [{len(self._policies)} versions]>"

    def policy_of(self, arn: str) -> Policy | None:
        compiled = self._compiled.get(arn)
        if compiled is None and arn in self._policies:
            compiled = self._compiled[arn] = self._policies[arn].policy.compiled()
        return compiled

    def put(self, layer: LayerVersion, policy: LayerPolicy | None) -> None:
        self.remove(layer.arn)
        if policy is not None:
            self._policies[layer.arn] = policy

    def remove(self, arn: str) -> None:
        self._policies.pop(arn, None)
        self._compiled.pop(arn, None)

    def clear(self) -> None:
        self._policies.clear()
        self._compiled.clear()
