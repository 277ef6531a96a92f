"""The policies that AWS manages, as every account sees them: read once from `managed_policies.json`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from lambent.services.iam.domain import AWS, ManagedPolicy, PolicyVersion


def _policy(entry: Mapping[str, Any]) -> ManagedPolicy:
    version = PolicyVersion(
        number=entry["Version"], document=json.dumps(entry["Document"], indent=4), created=entry["Updated"]
    )
    return ManagedPolicy(
        account=AWS,
        name=entry["Name"],
        path=entry["Path"],
        # The same at every start.
        id=ManagedPolicy.id_prefix + base64.b32encode(hashlib.sha256(entry["Name"].encode()).digest()).decode()[:17],
        created=entry["Created"],
        updated=entry["Updated"],
        description=entry["Description"],
        versions=(version,),
        default_number=entry["Version"],
        last_number=entry["Version"],
    )


def _read() -> Mapping[str, ManagedPolicy]:
    text = resources.files(__package__).joinpath("managed_policies.json").read_text()
    return {policy.arn: policy for policy in map(_policy, json.loads(text))}


#: By ARN, in the order of their names.
POLICIES: Mapping[str, ManagedPolicy] = _read()
