"""SQS as SDKs from before its move to JSON speak it, written by hand from AWS's API reference."""

from __future__ import annotations

from typing import Any

import pytest
from conformance.asking import REQUEST_ID, form, understand
from conformance.services import router

from lambent import wire

QUEUE = "http://127.0.0.1:4566/000000000000/q"
QUEUE_URL = "QueueUrl=http%3A%2F%2F127.0.0.1%3A4566%2F000000000000%2Fq"


@pytest.mark.parametrize(
    ("text", "name", "params"),
    [
        (
            "Action=CreateQueue&QueueName=q&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=40"
            "&Tag.1.Key=team&Tag.1.Value=blue",
            "CreateQueue",
            {"QueueName": "q", "Attributes": {"VisibilityTimeout": "40"}, "tags": {"team": "blue"}},
        ),
        (
            f"Action=GetQueueAttributes&{QUEUE_URL}&AttributeName.1=VisibilityTimeout&AttributeName.2=QueueArn",
            "GetQueueAttributes",
            {"QueueUrl": QUEUE, "AttributeNames": ["VisibilityTimeout", "QueueArn"]},
        ),
        (
            f"Action=SendMessage&{QUEUE_URL}&MessageBody=hi%20there%2Bx&MessageAttribute.1.Name=a"
            "&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=b",
            "SendMessage",
            {
                "QueueUrl": QUEUE,
                "MessageBody": "hi there+x",
                "MessageAttributes": {"a": {"DataType": "String", "StringValue": "b"}},
            },
        ),
        (
            f"Action=SendMessageBatch&{QUEUE_URL}&SendMessageBatchRequestEntry.1.Id=one"
            "&SendMessageBatchRequestEntry.1.MessageBody=b1&SendMessageBatchRequestEntry.2.Id=two"
            "&SendMessageBatchRequestEntry.2.MessageBody=b2&SendMessageBatchRequestEntry.2.DelaySeconds=10",
            "SendMessageBatch",
            {
                "QueueUrl": QUEUE,
                "Entries": [
                    {"Id": "one", "MessageBody": "b1"},
                    {"Id": "two", "MessageBody": "b2", "DelaySeconds": 10},
                ],
            },
        ),
        (
            f"Action=ReceiveMessage&{QUEUE_URL}&MaxNumberOfMessages=5&AttributeName.1=All&MessageAttributeName.1=a",
            "ReceiveMessage",
            {
                "QueueUrl": QUEUE,
                "MaxNumberOfMessages": 5,
                "AttributeNames": ["All"],
                "MessageAttributeNames": ["a"],
            },
        ),
        (
            f"Action=AddPermission&{QUEUE_URL}&Label=l&AWSAccountId.1=125074342641&ActionName.1=SendMessage",
            "AddPermission",
            {"QueueUrl": QUEUE, "Label": "l", "AWSAccountIds": ["125074342641"], "Actions": ["SendMessage"]},
        ),
        (f"Action=UntagQueue&{QUEUE_URL}&TagKey.1=k", "UntagQueue", {"QueueUrl": QUEUE, "TagKeys": ["k"]}),
        (
            f"Action=DeleteMessageBatch&{QUEUE_URL}&DeleteMessageBatchRequestEntry.1.Id=m"
            "&DeleteMessageBatchRequestEntry.1.ReceiptHandle=h",
            "DeleteMessageBatch",
            {"QueueUrl": QUEUE, "Entries": [{"Id": "m", "ReceiptHandle": "h"}]},
        ),
    ],
    ids=lambda part: part if isinstance(part, str) and "=" not in part else "",
)
def test_requests(text: str, name: str, params: dict[str, Any]) -> None:
    assert understand(form(f"{text}&Version=2012-11-05", service="sqs")) == ("sqs", name, params)


def test_the_queue_may_be_the_url_of_the_request() -> None:
    request = form("Action=PurgeQueue&Version=2012-11-05", path="/000000000000/q", service="sqs")
    assert understand(request)[2] == {"QueueUrl": QUEUE}


@pytest.mark.parametrize(
    ("action", "result", "inner"),
    [
        (
            "GetQueueAttributes",
            {"Attributes": {"QueueArn": "arn", "VisibilityTimeout": "30"}},
            "<Attribute><Name>QueueArn</Name><Value>arn</Value></Attribute>"
            "<Attribute><Name>VisibilityTimeout</Name><Value>30</Value></Attribute>",
        ),
        (
            "ReceiveMessage",
            {"Messages": [{"MessageId": "m", "Body": "a<b", "Attributes": {"SenderId": "s"}}]},
            "<Message><MessageId>m</MessageId><Body>a&lt;b</Body>"
            "<Attribute><Name>SenderId</Name><Value>s</Value></Attribute></Message>",
        ),
        ("ListQueues", {"QueueUrls": ["u1", "u2"]}, "<QueueUrl>u1</QueueUrl><QueueUrl>u2</QueueUrl>"),
        (
            "SendMessageBatch",
            {"Successful": [{"Id": "one", "MessageId": "m", "MD5OfMessageBody": "5"}], "Failed": []},
            "<SendMessageBatchResultEntry><Id>one</Id><MessageId>m</MessageId>"
            "<MD5OfMessageBody>5</MD5OfMessageBody></SendMessageBatchResultEntry>",
        ),
    ],
)
def test_answers(action: str, result: dict[str, Any], inner: str) -> None:
    request = form(f"Action={action}&{QUEUE_URL}&Version=2012-11-05", service="sqs")
    response = wire.serialize(router().match(request), result, request)
    assert response.body.decode() == (
        f'<{action}Response xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><{action}Result>{inner}'
        f"</{action}Result><ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{action}Response>"
    )
