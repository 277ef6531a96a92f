"""STS: a role's trust policy is the policy of the resource; who one is, anybody may ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lambent.arn import Arn
from lambent.identity.actions.table import Call, Keys, Need, Row, listed_tags, tag_keys


def role(call: Call) -> str:
    arn: str = call.params["RoleArn"]
    return arn


def federated_user(call: Call) -> str:
    return f"arn:aws:sts::{call.account}:federated-user/{call.params['Name']}"


def _tags(call: Call) -> Keys:
    return tag_keys(listed_tags(call.params.get("Tags")))


def _session(call: Call) -> Keys:
    """Of every action that assuming a role is made of."""
    params = call.params
    keys = _tags(call) | {"sts:rolesessionname": (params["RoleSessionName"],)}
    session = call.caller.session
    source = params.get("SourceIdentity") or (session.source_identity if session is not None else "")
    for value, key in ((params.get("ExternalId"), "sts:externalid"), (source, "sts:sourceidentity")):
        if value:
            keys[key] = (value,)
    if params.get("TransitiveTagKeys"):
        keys["sts:transitivetagkeys"] = params["TransitiveTagKeys"]
    if params.get("DurationSeconds"):
        keys["sts:durationseconds"] = (str(params["DurationSeconds"]),)
    return keys | _role_tags(call)


def _role_tags(call: Call) -> Keys:
    arn = Arn.parse(role(call))
    facts = call.entities.facts(arn.account, "role", arn.resource.rpartition("/")[2]) if arn is not None else None
    if facts is None or facts.arn != role(call):
        return {}
    tags = {key.lower(): (value,) for key, value in facts.tags.items()}
    return {f"{prefix}:resourcetag/{key}": value for prefix in ("aws", "iam") for key, value in tags.items()}


def _tag_session(call: Call) -> Iterable[Need]:
    """Also for tags that the caller's session passes on."""
    session = call.caller.session
    if call.params.get("Tags") or (session is not None and session.transitive):
        yield Need("sts:TagSession", role(call), _session(call))


def _tag_federated(call: Call) -> Iterable[Need]:
    if call.params.get("Tags"):
        yield Need("sts:TagSession", federated_user(call), _tags(call))


def _set_source(call: Call) -> Iterable[Need]:
    """Every role of a chain must let the source identity in that the first one was given."""
    session = call.caller.session
    if call.params.get("SourceIdentity") or (session is not None and session.source_identity):
        yield Need("sts:SetSourceIdentity", role(call), _session(call))


ROWS: Mapping[str, Row | None] = {
    "AssumeRole": Row(role, keys=_session, also=(_tag_session, _set_source), shared=True, terse=True),
    # Nobody signs these: whom the role trusts is asked where the token has been read.
    "AssumeRoleWithSAML": None,
    "AssumeRoleWithWebIdentity": None,
    "DecodeAuthorizationMessage": Row(),
    "GetAccessKeyInfo": Row(),
    # Allowed even where a policy says no: AWS documents it so.
    "GetCallerIdentity": None,
    "GetFederationToken": Row(federated_user, keys=_tags, also=(_tag_federated,)),
    "GetSessionToken": None,
}
