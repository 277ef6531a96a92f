"""CloudWatch Logs: AWS asks for a group as `log-group:<name>:log-stream:`, and for a stream with its name behind that.

So `log-group:<name>:*` in a policy allows what is done in a group, and without `:*` only what is done to its tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lambent.identity.actions.table import Call, Keys, Need, Row, same_arn, tag_keys

_INSIDE = ":log-stream:"


def group(call: Call) -> str:
    return _group(call) + _INSIDE


def stream(call: Call) -> str:
    return f"{_group(call)}{_INSIDE}{call.params.get('logStreamName') or ''}"


def groups(call: Call) -> str:
    """All of them: a prefix narrows what is listed, and not what is asked for."""
    return call.arn("logs", f"log-group:{_INSIDE}")


def tagged(call: Call) -> str:
    return same_arn(call.params["resourceArn"].removesuffix(":*"))


def _group(call: Call) -> str:
    params = call.params
    name = params.get("logGroupName") or params.get("logGroupIdentifier") or ""
    return same_arn(name.removesuffix(":*")) if name.startswith("arn:") else call.arn("logs", f"log-group:{name}")


def _tags(call: Call) -> Keys:
    params = call.params
    removed = params.get("tagKeys") or (params["tags"] if isinstance(params.get("tags"), list) else None)
    return {"aws:tagkeys": removed} if removed else tag_keys(params.get("tags") or {})


def _tag_new(call: Call) -> Iterable[Need]:
    if call.params.get("tags"):
        refusal = f"User with accountId: {call.account} is not authorized to perform CreateLogGroup with Tags"
        yield Need("logs:TagResource", _group(call), _tags(call), refusal=refusal)


_GROUP = Row(group)
_STREAM = Row(stream)

ROWS: Mapping[str, Row | None] = {
    "CreateLogGroup": Row(group, keys=_tags, also=(_tag_new,)),
    "CreateLogStream": _STREAM,
    "DeleteLogGroup": _GROUP,
    "DeleteLogStream": _STREAM,
    "DeleteRetentionPolicy": _GROUP,
    "DescribeLogGroups": Row(groups),
    "DescribeLogStreams": _GROUP,
    "FilterLogEvents": _GROUP,
    "GetLogEvents": _STREAM,
    "ListTagsForResource": Row(tagged),
    "ListTagsLogGroup": _GROUP,
    "PutLogEvents": _STREAM,
    "PutLogGroupDeletionProtection": _GROUP,
    "PutRetentionPolicy": _GROUP,
    "TagLogGroup": Row(group, keys=_tags),
    "TagResource": Row(tagged, keys=_tags),
    "UntagLogGroup": Row(group, keys=_tags),
    "UntagResource": Row(tagged, keys=_tags),
}
