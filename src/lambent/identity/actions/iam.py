"""IAM: resources are ARNs with their paths, which calls do not say: the entities are asked for them.

What refusals call a resource (`role worker`) is as recorded from AWS; lists and creations go by their ARNs there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from lambent.identity.actions.table import Call, EntityFacts, Keys, Need, Resource, Row, listed_tags, tag_keys

_MEMBERS = {
    "user": "UserName",
    "role": "RoleName",
    "group": "GroupName",
    "instance-profile": "InstanceProfileName",
    "policy": "PolicyName",
}


# ---- resources -----------------------------------------------------------------------------------------------------


def _entity(kind: str) -> Resource:
    """One that is there; what is not is asked for as if it were at `/`."""
    member = _MEMBERS[kind]

    def resource(call: Call) -> str:
        name = call.params.get(member)
        if not name:
            # IAM takes whoever signs.
            return call.caller.principal_arn
        facts = call.entities.facts(call.account, kind, name)
        return facts.arn if facts is not None else _arn(call, f"{kind}/{name}")

    return resource


def _shown(kind: str) -> Callable[[Call], str]:
    member = _MEMBERS[kind]
    noun = kind.replace("-", " ")

    def shown(call: Call) -> str:
        name = call.params.get(member) or call.caller.name
        return f"{noun} {name}"

    return shown


def _new(kind: str) -> Resource:
    """One that comes into being, at the path of the call."""
    member = _MEMBERS[kind]
    return lambda call: _arn(call, f"{kind}{call.params.get('Path') or '/'}{call.params[member]}")


def _all(kind: str) -> Resource:
    """Those below a prefix of paths."""
    return lambda call: _arn(call, f"{kind}{call.params.get('PathPrefix') or '/'}")


def _member(name: str) -> Resource:
    """What a member of the call names by its ARN."""

    def resource(call: Call) -> str:
        arn: str = call.params[name]
        return arn

    return resource


def _linked_role(call: Call) -> str:
    # Its name is the service's to say.
    return _arn(call, f"role/aws-service-role/{call.params['AWSServiceName']}/AWSServiceRoleFor*")


def _deletion(call: Call) -> str:
    """`task/aws-service-role/<service>/<role>/<uuid>`"""
    return _arn(call, "role/" + "/".join(call.params["DeletionTaskId"].split("/")[1:-1]))


def _arn(call: Call, resource: str) -> str:
    return f"arn:aws:iam::{call.account}:{resource}"


# ---- condition keys ------------------------------------------------------------------------------------------------


def _facts(call: Call) -> EntityFacts | None:
    for kind in ("user", "role", "group", "instance-profile"):
        if name := call.params.get(_MEMBERS[kind]):
            return call.entities.facts(call.account, kind, name)
    return None


def _of_entity(call: Call) -> Keys:
    """Of one that is there, and of what the call brings."""
    params = call.params
    keys: Keys = {}
    facts = _facts(call)
    boundary = params.get("PermissionsBoundary") or (facts.boundary if facts else "")
    if boundary:
        keys["iam:permissionsboundary"] = (boundary,)
    if facts is not None:
        for key, value in facts.tags.items():
            keys[f"iam:resourcetag/{key.lower()}"] = keys[f"aws:resourcetag/{key.lower()}"] = (value,)
    if params.get("PolicyArn"):
        keys["iam:policyarn"] = (params["PolicyArn"],)
    if params.get("AWSServiceName"):
        keys["iam:awsservicename"] = (params["AWSServiceName"],)
    if params.get("TagKeys"):
        keys["aws:tagkeys"] = params["TagKeys"]
    return keys | tag_keys(listed_tags(params.get("Tags")))


# ---- further actions -----------------------------------------------------------------------------------------------


def _tagging(action: str, resource: Resource) -> Callable[[Call], Iterable[Need]]:
    def tag(call: Call) -> Iterable[Need]:
        if call.params.get("Tags"):
            yield Need(action, resource(call), _of_entity(call))

    return tag


def _pass_to_instances(call: Call) -> Iterable[Need]:
    keys = {"iam:passedtoservice": ("ec2.amazonaws.com",)}
    yield Need("iam:PassRole", _entity("role")(call), keys)


# ---- the rows ------------------------------------------------------------------------------------------------------


def _policy_shown(call: Call) -> str:
    return f"policy {call.params['PolicyArn']}"


_USER = Row(_entity("user"), keys=_of_entity, shown=_shown("user"))
_ROLE = Row(_entity("role"), keys=_of_entity, shown=_shown("role"))
_GROUP = Row(_entity("group"), keys=_of_entity, shown=_shown("group"))
_PROFILE = Row(_entity("instance-profile"), keys=_of_entity, shown=_shown("instance-profile"))
_POLICY = Row(_member("PolicyArn"), keys=_of_entity, shown=_policy_shown)
_SOURCE = Row(_member("PolicySourceArn"))
_ANY = Row()


def _creation(kind: str) -> Row:
    action = "iam:Tag" + kind.title().replace("-", "")
    return Row(_new(kind), keys=_of_entity, also=(_tagging(action, _new(kind)),))


_OPERATIONS: Mapping[str, Row] = {
    "ListUsers": Row(_all("user")),
    "ListRoles": Row(_all("role")),
    "ListGroups": Row(_all("group")),
    "ListInstanceProfiles": Row(_all("instance-profile")),
    "ListPolicies": Row(shown=lambda call: f"policy path {call.params.get('PathPrefix') or '/'}"),
    "CreateUser": _creation("user"),
    "CreateRole": _creation("role"),
    "CreateGroup": Row(_new("group")),
    "CreateInstanceProfile": _creation("instance-profile"),
    "CreatePolicy": Row(
        _new("policy"), keys=_of_entity, shown=_shown("policy"), also=(_tagging("iam:TagPolicy", _new("policy")),)
    ),
    "AddRoleToInstanceProfile": Row(
        _entity("instance-profile"),
        keys=_of_entity,
        shown=_shown("instance-profile"),
        also=(_pass_to_instances,),
    ),
    "AddUserToGroup": Row(_entity("group"), shown=_shown("group")),
    "RemoveUserFromGroup": Row(_entity("group"), shown=_shown("group")),
    "CreateServiceLinkedRole": Row(_linked_role, keys=_of_entity),
    "GetServiceLinkedRoleDeletionStatus": Row(_deletion),
    "GetContextKeysForPrincipalPolicy": _SOURCE,
    "SimulatePrincipalPolicy": _SOURCE,
    "ListPoliciesGrantingServiceAccess": Row(_member("Arn")),
}

#: By what they are done to.
_BY_NOUN: Sequence[tuple[Row, str]] = (
    (
        _USER,
        "AttachUserPolicy ChangePassword CreateAccessKey CreateLoginProfile DeleteAccessKey DeleteLoginProfile "
        "DeleteUser DeleteUserPermissionsBoundary DeleteUserPolicy DetachUserPolicy GetLoginProfile GetUser "
        "GetUserPolicy ListAccessKeys ListAttachedUserPolicies ListGroupsForUser ListMFADevices "
        "ListSSHPublicKeys ListServiceSpecificCredentials ListSigningCertificates ListUserPolicies ListUserTags "
        "PutUserPermissionsBoundary PutUserPolicy TagUser UntagUser UpdateAccessKey UpdateLoginProfile UpdateUser",
    ),
    (
        _ROLE,
        "AttachRolePolicy DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DeleteServiceLinkedRole "
        "DetachRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole "
        "ListRolePolicies ListRoleTags PutRolePermissionsBoundary PutRolePolicy TagRole UntagRole "
        "UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription",
    ),
    (
        _GROUP,
        "AttachGroupPolicy DeleteGroup DeleteGroupPolicy DetachGroupPolicy GetGroup GetGroupPolicy "
        "ListAttachedGroupPolicies ListGroupPolicies PutGroupPolicy UpdateGroup",
    ),
    (
        _PROFILE,
        "DeleteInstanceProfile GetInstanceProfile ListInstanceProfileTags RemoveRoleFromInstanceProfile "
        "TagInstanceProfile UntagInstanceProfile",
    ),
    (
        _POLICY,
        "CreatePolicyVersion DeletePolicy DeletePolicyVersion GetPolicy GetPolicyVersion ListEntitiesForPolicy "
        "ListPolicyTags ListPolicyVersions SetDefaultPolicyVersion TagPolicy UntagPolicy",
    ),
    (
        _ANY,
        "CreateAccountAlias DeleteAccountAlias DeleteAccountPasswordPolicy GenerateCredentialReport "
        "GetAccessKeyLastUsed GetAccountAuthorizationDetails GetAccountPasswordPolicy GetAccountSummary "
        "GetContextKeysForCustomPolicy GetCredentialReport ListAccountAliases ListOpenIDConnectProviders "
        "ListSAMLProviders ListServerCertificates ListVirtualMFADevices SetSecurityTokenServicePreferences "
        "SimulateCustomPolicy UpdateAccountPasswordPolicy",
    ),
)

ROWS: Mapping[str, Row | None] = {
    **_OPERATIONS,
    **{name: row for row, names in _BY_NOUN for name in names.split()},
}
