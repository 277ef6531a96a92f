"""Lambda: actions bear the names of operations but for Invoke's; functions are asked for as they were named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lambent.arn import FUNCTION_NAME, function_arn
from lambent.identity.actions.passing import pass_role
from lambent.identity.actions.table import Call, Keys, Need, Row, same_arn, tag_keys

SERVICE = "lambda.amazonaws.com"
#: It shares the ARN, and so the policy, of the function.
_LATEST = "$LATEST"


# ---- resources -----------------------------------------------------------------------------------------------------


def function(call: Call) -> str:
    """The function itself, whatever version or alias was named."""
    return _function(call, call.params["FunctionName"], None)


def qualified(call: Call) -> str:
    """The function, version or alias."""
    params = call.params
    text, qualifier = params["FunctionName"], params.get("Qualifier")
    if ":" not in text:
        return function_arn(call.region, call.account, text, None if qualifier == _LATEST else qualifier)
    form = FUNCTION_NAME.fullmatch(text)
    return _function(call, text, qualifier or (form["qualifier"] if form else None))


def _function(call: Call, text: str, qualifier: str | None) -> str:
    form = FUNCTION_NAME.fullmatch(text)
    if qualifier == _LATEST:
        qualifier = None
    if form is None:
        # It will be refused, but not to whoever may not ask.
        return function_arn(call.region, call.account, text, qualifier)
    return function_arn(form["region"] or call.region, form["account"] or call.account, form["name"], qualifier)


def layer(call: Call) -> str:
    name: str = call.params["LayerName"]
    return same_arn(name) if name.startswith("arn:") else call.arn("lambda", f"layer:{name}")


def layer_version(call: Call) -> str:
    return f"{layer(call)}:{call.params['VersionNumber']}"


def layer_version_by_arn(call: Call) -> str:
    return same_arn(call.params["Arn"])


def mapping(call: Call) -> str:
    return call.arn("lambda", f"event-source-mapping:{call.params['UUID']}")


def code_signing(call: Call) -> str:
    return same_arn(call.params["CodeSigningConfigArn"])


def tagged(call: Call) -> str:
    return same_arn(call.params["Resource"])


# ---- condition keys ------------------------------------------------------------------------------------------------


def _layers_and_network(call: Call) -> Keys:
    params = call.params
    keys: Keys = {}
    if layers := params.get("Layers"):
        keys["lambda:layer"] = layers
    network: Mapping[str, list[str]] = params.get("VpcConfig") or {}
    for member, key in (("SubnetIds", "lambda:subnetids"), ("SecurityGroupIds", "lambda:securitygroupids")):
        if network.get(member):
            keys[key] = network[member]
    if config := params.get("CodeSigningConfigArn"):
        keys["lambda:codesigningconfigarn"] = (config,)
    return keys | tag_keys(params.get("Tags") or {})


def _tags(call: Call) -> Keys:
    if "TagKeys" in call.params:
        return {"aws:tagkeys": call.params["TagKeys"]}
    return tag_keys(call.params.get("Tags") or {})


def _permission(call: Call) -> Keys:
    keys: Keys = {}
    if principal := call.params.get("Principal"):
        keys["lambda:principal"] = (principal,)
    if auth_type := call.params.get("FunctionUrlAuthType"):
        keys["lambda:functionurlauthtype"] = (auth_type,)
    return keys


def _url(call: Call) -> Keys:
    keys: Keys = {"lambda:functionarn": (qualified(call),)}
    if auth_type := call.params.get("AuthType"):
        keys["lambda:functionurlauthtype"] = (auth_type,)
    return keys


def _signed_by(call: Call) -> Keys:
    return {"lambda:codesigningconfigarn": (call.params["CodeSigningConfigArn"],)}


def _mapped(call: Call) -> Keys:
    return ({"lambda:functionarn": (qualified(call),)} if call.params.get("FunctionName") else {}) | _tags(call)


# ---- further actions -----------------------------------------------------------------------------------------------


def _pass_role(call: Call) -> Iterable[Need]:
    role = call.params.get("Role")
    if role:
        keys = {"iam:passedtoservice": (SERVICE,), "iam:associatedresourcearn": (function(call),)}
        yield pass_role(call, role, keys)


def _get_layers(call: Call) -> Iterable[Need]:
    for arn in call.params.get("Layers") or ():
        yield Need("lambda:GetLayerVersion", same_arn(arn))


def _tag_function(call: Call) -> Iterable[Need]:
    if call.params.get("Tags"):
        yield Need("lambda:TagResource", function(call), _tags(call))


def _tag_new(kind: str) -> Row:
    """Something whose id nobody knows yet."""

    def tag(call: Call) -> Iterable[Need]:
        if call.params.get("Tags"):
            yield Need("lambda:TagResource", call.arn("lambda", f"{kind}:*"), _tags(call))

    return Row(keys=_mapped, also=(tag,))


# ---- the rows ------------------------------------------------------------------------------------------------------

_FUNCTION = Row(function, shared=True)
_QUALIFIED = Row(qualified, shared=True)
_LAYER_VERSION = Row(layer_version, shared=True)
_SIGNING = Row(code_signing)
_MAPPING = Row(mapping)
_ANY = Row()

ROWS: Mapping[str, Row | None] = {
    "AddLayerVersionPermission": _LAYER_VERSION,
    "AddPermission": Row(qualified, keys=_permission, shared=True),
    "CreateAlias": _FUNCTION,
    "CreateCodeSigningConfig": _tag_new("code-signing-config"),
    "CreateEventSourceMapping": _tag_new("event-source-mapping"),
    "CreateFunction": Row(function, keys=_layers_and_network, also=(_tag_function, _pass_role, _get_layers)),
    "CreateFunctionUrlConfig": Row(qualified, keys=_url, shared=True),
    "DeleteAlias": _FUNCTION,
    "DeleteCodeSigningConfig": _SIGNING,
    "DeleteEventSourceMapping": _MAPPING,
    "DeleteFunction": _QUALIFIED,
    "DeleteFunctionCodeSigningConfig": _FUNCTION,
    "DeleteFunctionConcurrency": _FUNCTION,
    "DeleteFunctionEventInvokeConfig": _QUALIFIED,
    "DeleteFunctionUrlConfig": Row(qualified, keys=_url, shared=True),
    "DeleteLayerVersion": _LAYER_VERSION,
    "DeleteProvisionedConcurrencyConfig": _QUALIFIED,
    "GetAccountSettings": _ANY,
    "GetAlias": _FUNCTION,
    "GetCodeSigningConfig": _SIGNING,
    "GetEventSourceMapping": _MAPPING,
    "GetFunction": _QUALIFIED,
    "GetFunctionCodeSigningConfig": _FUNCTION,
    "GetFunctionConcurrency": _FUNCTION,
    "GetFunctionConfiguration": _QUALIFIED,
    "GetFunctionEventInvokeConfig": _QUALIFIED,
    "GetFunctionRecursionConfig": _FUNCTION,
    "GetFunctionScalingConfig": _QUALIFIED,
    "GetFunctionUrlConfig": Row(qualified, keys=_url, shared=True),
    "GetLayerVersion": _LAYER_VERSION,
    "GetLayerVersionByArn": Row(layer_version_by_arn, action="GetLayerVersion", shared=True),
    "GetLayerVersionPolicy": _LAYER_VERSION,
    "GetPolicy": _QUALIFIED,
    "GetProvisionedConcurrencyConfig": _QUALIFIED,
    "GetRuntimeManagementConfig": _FUNCTION,
    "Invoke": Row(qualified, action="InvokeFunction", shared=True, named_by="FunctionName"),
    "InvokeAsync": Row(function, action="InvokeFunction", shared=True, named_by="FunctionName"),
    "InvokeWithResponseStream": Row(qualified, action="InvokeFunction", shared=True, named_by="FunctionName"),
    "ListAliases": _FUNCTION,
    "ListCodeSigningConfigs": _ANY,
    "ListEventSourceMappings": _ANY,
    "ListFunctionEventInvokeConfigs": _FUNCTION,
    "ListFunctionUrlConfigs": _FUNCTION,
    "ListFunctions": _ANY,
    "ListFunctionsByCodeSigningConfig": _SIGNING,
    "ListLayerVersions": _ANY,
    "ListLayers": _ANY,
    "ListProvisionedConcurrencyConfigs": _FUNCTION,
    "ListTags": Row(tagged, shared=True),
    "ListVersionsByFunction": _FUNCTION,
    "PublishLayerVersion": Row(layer),
    "PublishVersion": _FUNCTION,
    "PutFunctionCodeSigningConfig": Row(function, keys=_signed_by, shared=True),
    "PutFunctionConcurrency": _FUNCTION,
    "PutFunctionEventInvokeConfig": _QUALIFIED,
    "PutFunctionRecursionConfig": _FUNCTION,
    "PutFunctionScalingConfig": _QUALIFIED,
    "PutProvisionedConcurrencyConfig": _QUALIFIED,
    "PutRuntimeManagementConfig": _FUNCTION,
    "RemoveLayerVersionPermission": _LAYER_VERSION,
    "RemovePermission": Row(qualified, keys=_permission, shared=True),
    "TagResource": Row(tagged, keys=_tags, shared=True),
    "UntagResource": Row(tagged, keys=_tags, shared=True),
    "UpdateAlias": _FUNCTION,
    "UpdateCodeSigningConfig": _SIGNING,
    "UpdateEventSourceMapping": Row(mapping, keys=_mapped),
    "UpdateFunctionCode": _FUNCTION,
    "UpdateFunctionConfiguration": Row(function, keys=_layers_and_network, also=(_pass_role, _get_layers), shared=True),
    "UpdateFunctionEventInvokeConfig": _QUALIFIED,
    "UpdateFunctionUrlConfig": Row(qualified, keys=_url, shared=True),
}
