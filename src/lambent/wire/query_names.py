"""How SQS's query protocol names things: its model moved to JSON and kept none of these names.

By shape: `name` is what members of this shape are called, `member`, `key` and `value` what its parts are. SDKs from
before the move still speak so (`Attribute.1.Name=…`, `<SendMessageBatchResultEntry>`).
"""

from __future__ import annotations

from collections.abc import Mapping

_ATTRIBUTES = {"key": "Name", "value": "Value"}

SQS_QUERY_NAMES: Mapping[str, Mapping[str, str]] = {
    "AWSAccountIdList": {"member": "AWSAccountId"},
    "ActionNameList": {"member": "ActionName"},
    "AttributeNameList": {"member": "AttributeName"},
    "MessageSystemAttributeList": {"member": "MessageSystemAttributeName"},
    "MessageAttributeNameList": {"member": "MessageAttributeName"},
    "StringList": {"member": "StringListValue"},
    "BinaryList": {"member": "BinaryListValue"},
    "QueueUrlList": {"member": "QueueUrl"},
    "TagKeyList": {"member": "TagKey"},
    "MessageList": {"member": "Message"},
    "BatchResultErrorEntryList": {"member": "BatchResultErrorEntry"},
    "ChangeMessageVisibilityBatchRequestEntryList": {"member": "ChangeMessageVisibilityBatchRequestEntry"},
    "ChangeMessageVisibilityBatchResultEntryList": {"member": "ChangeMessageVisibilityBatchResultEntry"},
    "DeleteMessageBatchRequestEntryList": {"member": "DeleteMessageBatchRequestEntry"},
    "DeleteMessageBatchResultEntryList": {"member": "DeleteMessageBatchResultEntry"},
    "SendMessageBatchRequestEntryList": {"member": "SendMessageBatchRequestEntry"},
    "SendMessageBatchResultEntryList": {"member": "SendMessageBatchResultEntry"},
    "ListMessageMoveTasksResultEntryList": {"member": "ListMessageMoveTasksResultEntry"},
    "QueueAttributeMap": {"name": "Attribute", **_ATTRIBUTES},
    "MessageSystemAttributeMap": {"name": "Attribute", **_ATTRIBUTES},
    "MessageBodyAttributeMap": {"name": "MessageAttribute", **_ATTRIBUTES},
    "MessageBodySystemAttributeMap": {"name": "MessageSystemAttribute", **_ATTRIBUTES},
    "TagMap": {"name": "Tag", "key": "Key", "value": "Value"},
}
