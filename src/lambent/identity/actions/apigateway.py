"""API Gateway, both versions: the action is the HTTP verb and the resource the URI, so that a rule stands for the rows.

What hands a role to API Gateway needs iam:PassRole beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from lambent.arn import partition_of
from lambent.identity.actions.passing import pass_role
from lambent.identity.actions.table import Call, Keys, Need, Row, same_arn, tag_keys

SERVICE = "apigateway.amazonaws.com"
_LABEL = re.compile(r"\{([^}]+)\}")
#: Members that hold the ARN of a role, of creations, and paths of patches that set one.
_ROLES = ("credentials", "authorizerCredentials", "CredentialsArn", "AuthorizerCredentialsArn")
_PATCHED = ("/credentials", "/authorizerCredentials", "/cloudwatchRoleArn")


def uri(call: Call) -> str:
    """The URI of the call less the query, written one way whatever the client escaped."""
    path = call.uri.partition("?")[0].removeprefix("/v2")
    if "{" in path:
        path = _LABEL.sub(lambda label: _escaped(label[1], call.labels.get(label[1].removesuffix("+"), "")), path)
    return f"arn:{partition_of(call.region)}:apigateway:{call.region}::{path}"


def _escaped(label: str, value: str) -> str:
    # ARNs behind /tags/ stand escaped in policies, too.
    return quote(same_arn(value), safe="") if "arn" in label.lower() else value


def _tags(call: Call) -> Keys:
    params = call.params
    removed = params.get("tagKeys") or params.get("TagKeys")
    return {"aws:tagkeys": removed} if removed else tag_keys(params.get("tags") or params.get("Tags") or {})


def _pass_role(call: Call) -> Iterable[Need]:
    params = call.params
    roles = [params.get(member) for member in _ROLES]
    patches = params.get("patchOperations") or ()
    roles += [patch.get("value") for patch in patches if patch.get("path") in _PATCHED and patch.get("op") != "remove"]
    for role in roles:
        # `arn:aws:iam::*:user/*` means the caller's own credentials.
        if role and ":role/" in role:
            yield pass_role(call, role, {"iam:passedtoservice": (SERVICE,)})


def _row(verb: str) -> Row:
    return Row(uri, action=verb, keys=_tags, also=(_pass_role,))


#: By HTTP method.
RULES: Mapping[str, Row] = {verb: _row(verb) for verb in ("GET", "POST", "PUT", "PATCH", "DELETE")}
