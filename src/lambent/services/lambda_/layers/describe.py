"""Layer versions as AWS describes them."""

from __future__ import annotations

from typing import Any

from lambent.services.lambda_.describe import code_sha256
from lambent.services.lambda_.domain import iso_time
from lambent.services.lambda_.layers.domain import LayerVersion


def list_entry(layer: LayerVersion) -> dict[str, Any]:
    """LayerVersionsListItem."""
    entry: dict[str, Any] = {
        "LayerVersionArn": layer.arn,
        "Version": layer.number,
        "Description": layer.description,
        "CreatedDate": iso_time(layer.created_ms),
    }
    for name, given in (
        ("CompatibleRuntimes", layer.runtimes),
        ("CompatibleArchitectures", layer.architectures),
        ("LicenseInfo", layer.license_info),
    ):
        if given is not None:
            entry[name] = given if isinstance(given, str) else list(given)
    return entry


def whole(layer: LayerVersion, location: str) -> dict[str, Any]:
    """With the package and where to get it."""
    return {
        **list_entry(layer),
        "LayerArn": layer.name.arn,
        "Content": {
            "Location": location,
            "CodeSha256": code_sha256(layer.package.sha256),
            "CodeSize": layer.package.size,
        },
    }
