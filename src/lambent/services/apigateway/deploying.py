"""Rules of deployments: what an API must have, and the stage that one makes or moves. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lambent.services.apigateway import resource_tree, stages
from lambent.services.apigateway.domain import Deployment, RestApi, Stage
from lambent.services.apigateway.errors import BadRequestException, NotFoundException
from lambent.services.apigateway.patches import Rules, field

RULES: Rules[Deployment] = Rules({"/description": field("description", ops=("remove", "replace"))})


def no_deployment() -> NotFoundException:
    return NotFoundException("Invalid Deployment identifier specified")


def check_deployable(api: RestApi) -> None:
    """Raises what AWS does for an API that could answer nothing."""
    found = [method for _, method in resource_tree.methods(api)]
    if not found:
        raise BadRequestException("The REST API doesn't contain any methods")
    if any(method.integration is None for method in found):
        raise BadRequestException("No integration defined for method")


def staged(stage: Stage | None, deployment: Deployment, params: Mapping[str, Any]) -> Stage:
    """The stage that CreateDeployment names, made or moved to `deployment`."""
    name = params["stageName"]
    if stage is None:
        stages.check_name(name)
        stage = Stage(
            name=name, deployment_id=deployment.id, created_s=deployment.created_s, updated_s=deployment.created_s
        )
    changed: dict[str, Any] = {"deployment_id": deployment.id, "updated_s": deployment.created_s}
    if params.get("stageDescription") is not None:
        changed["description"] = params["stageDescription"]
    if params.get("variables") is not None:
        changed["variables"] = stages.checked_variables(params["variables"])
    if params.get("tracingEnabled") is not None:
        changed["tracing_enabled"] = params["tracingEnabled"]
    return msgspec.structs.replace(stage, **changed)
