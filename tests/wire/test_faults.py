"""Errors as each protocol writes them, byte for byte where AWS's were recorded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from conformance.asking import REQUEST_ID, ask, form
from conformance.services import router

from lambent import wire
from lambent.errors import AccessDeniedException, AwsError, UncodedError
from lambent.request import Request, Response


class TooManyRequestsException(AwsError):
    """Rate Exceeded."""


class ResourceNotFoundException(AwsError):
    """Not here."""


class QueueDoesNotExist(AwsError):
    """The specified queue does not exist."""


class NoSuchEntityException(AwsError):
    """The role with name r cannot be found."""


class NoSuchBucket(AwsError):
    """The specified bucket does not exist"""

    status = 404


def render(request: Request, error: AwsError) -> tuple[Response, dict[bytes, bytes]]:
    response = wire.serialize_error(router().match(request), error, request)
    return response, dict(response.headers)


INVOKE = ask("POST", "/2015-03-31/functions/f/invocations", service="lambda")


def test_lambda_error_with_small_message_and_header_member() -> None:
    error = TooManyRequestsException(Reason="CallerRateLimitExceeded", retryAfterSeconds="5")
    response, headers = render(INVOKE, error)
    assert response.status == 429
    assert response.body == b'{"Type":"User","message":"Rate Exceeded.","Reason":"CallerRateLimitExceeded"}'
    assert headers == {
        b"x-amzn-requestid": REQUEST_ID.encode(),
        b"x-amzn-errortype": b"TooManyRequestsException",
        b"content-type": b"application/json",
        b"retry-after": b"5",
    }


def test_lambda_error_with_capital_message() -> None:
    response, _ = render(INVOKE, ResourceNotFoundException("Function not found: x"))
    assert (response.status, response.body) == (404, b'{"Type":"User","Message":"Function not found: x"}')


def test_lambda_fault_of_the_service_says_so() -> None:
    response, _ = render(INVOKE, UncodedError("ServiceException", "down"))
    assert (response.status, response.body) == (500, b'{"Type":"Service","Message":"down"}')


def test_lambda_access_denied_has_a_capital_message_and_no_type() -> None:
    response, _ = render(INVOKE, AccessDeniedException("no"))
    assert (response.status, response.body) == (403, b'{"Message":"no"}')


def test_headers_that_the_error_brings_go_out() -> None:
    _, headers = render(INVOKE, ResourceNotFoundException(headers={"X-Extra": "1"}))
    assert headers[b"x-extra"] == b"1"


def test_json_error_without_modelled_members_still_has_its_message() -> None:
    request = ask(target="Logs_20140328.DescribeLogStreams", service="logs")
    response, headers = render(request, ResourceNotFoundException("The specified log group does not exist."))
    assert response.body == (
        b'{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}'
    )
    assert headers[b"content-type"] == b"application/x-amz-json-1.1"


def test_namespaces_of_json_errors() -> None:
    request = ask(target="DynamoDB_20120810.GetItem", service="dynamodb")
    modelled, _ = render(request, ResourceNotFoundException())
    assert msgspec.json.decode(modelled.body)["__type"] == "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
    framework, _ = render(request, UncodedError("SerializationException", "x"))
    assert msgspec.json.decode(framework.body)["__type"] == "com.amazon.coral.service#SerializationException"


def test_query_code_goes_in_a_header_to_clients_that_ask() -> None:
    modern = ask(target="AmazonSQS.GetQueueUrl", service="sqs", headers={"x-amzn-query-mode": "true"})
    response, headers = render(modern, QueueDoesNotExist())
    assert headers[b"x-amzn-query-error"] == b"AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert msgspec.json.decode(response.body)["__type"] == "com.amazonaws.sqs#QueueDoesNotExist"
    _, headers = render(ask(target="AmazonSQS.GetQueueUrl", service="sqs"), QueueDoesNotExist())
    assert b"x-amzn-query-error" not in headers


def test_query_error_envelope() -> None:
    response, headers = render(form("Action=GetRole&Version=2010-05-08&RoleName=r"), NoSuchEntityException())
    assert headers[b"content-type"] == b"text/xml"
    assert (response.status, response.body.decode()) == (
        404,
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        "<Code>NoSuchEntity</Code><Message>The role with name r cannot be found.</Message></Error>"
        f"<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>",
    )


def test_front_end_errors_have_short_codes_under_query() -> None:
    response, _ = render(form("Action=ListRoles&Version=2010-05-08"), AccessDeniedException("no"))
    assert b"<Code>AccessDenied</Code>" in response.body


def test_s3_error_has_no_envelope_and_names_what_it_is_about() -> None:
    response, headers = render(ask("GET", "/b", service="s3"), NoSuchBucket(BucketName="b<&>"))
    assert headers[b"x-amz-request-id"] == REQUEST_ID.encode()
    assert (response.status, response.body.decode()) == (
        404,
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchBucket</Code>'
        "<Message>The specified bucket does not exist</Message><BucketName>b&lt;&amp;&gt;</BucketName>"
        f"<RequestId>{REQUEST_ID}</RequestId></Error>",
    )


def test_head_is_answered_without_a_body() -> None:
    response, headers = render(ask("HEAD", "/b", service="s3"), NoSuchBucket())
    assert (response.status, response.body) == (404, b"")
    assert b"content-type" not in headers


@pytest.mark.parametrize(
    ("request_", "start"),
    [
        (ask("GET", "/x", service="lambda"), b'{"message":"no"}'),
        (ask("GET", "/x"), b'{"message":"no"}'),
        (ask(target="X.Y"), b'{"__type":"E","message":"no"}'),
        (ask(service="s3"), b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>E</Code><Message>no</Message>'),
        (form("Action=X"), b"<ErrorResponse><Error><Type>Sender</Type><Code>E</Code><Message>no</Message></Error>"),
        (ask(headers={"smithy-protocol": "rpc-v2-cbor"}), b"\xa2\x66__type\x61E\x67message\x62no"),
    ],
)
def test_errors_before_an_operation_is_known_take_the_likeliest_protocol(request_: Any, start: bytes) -> None:
    response = wire.serialize_error(None, UncodedError("E", "no", 418), request_)
    assert response.status == 418
    assert response.body.startswith(start)


def test_header_values_cannot_start_another_header() -> None:
    operation = router().match(INVOKE)
    response = wire.serialize(operation, {"FunctionError": "a\r\nSet-Cookie: b"}, INVOKE)
    assert dict(response.headers)[b"x-amz-function-error"] == b"a  Set-Cookie: b"
