"""Which operation a request asks for, where that is easy to get wrong."""

from __future__ import annotations

import gzip

import pytest
from conformance.asking import ask, form, refuse, understand
from conformance.services import router

from lambent.request import Request
from lambent.wire import ApiModels, Router
from lambent.wire.dialects import READ_LATE

F = "/2015-03-31/functions"
PROVISIONED = "/2019-09-30/functions/f/provisioned-concurrency"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"


@pytest.mark.parametrize(
    ("method", "path", "query", "name", "label"),
    [
        ("GET", F, "", "ListFunctions", None),
        ("GET", F + "/", "", "ListFunctions", None),
        ("POST", F, "", "CreateFunction", None),
        ("GET", F + "/hello", "", "GetFunction", "hello"),
        ("GET", F + "/hello/", "", "GetFunction", "hello"),
        ("GET", F + "/configuration", "", "GetFunction", "configuration"),
        ("GET", F + "/hello/configuration", "", "GetFunctionConfiguration", "hello"),
        ("POST", F + "/invocations/invocations", "", "Invoke", "invocations"),
        ("POST", "/2014-11-13/functions/hello/invoke-async", "", "InvokeAsync", "hello"),
        (
            "GET",
            PROVISIONED,
            "List=ALL",
            "ListProvisionedConcurrencyConfigs",
            "f",
        ),
        (
            "GET",
            PROVISIONED,
            "Qualifier=1",
            "GetProvisionedConcurrencyConfig",
            "f",
        ),
        ("GET", "/2019-09-25/functions/f/event-invoke-config", "", "GetFunctionEventInvokeConfig", "f"),
        ("GET", "/2019-09-25/functions/f/event-invoke-config/list", "", "ListFunctionEventInvokeConfigs", "f"),
    ],
)
@pytest.mark.parametrize("service", ["lambda", None], ids=["signed", "anonymous"])
def test_lambda_paths(method: str, path: str, query: str, name: str, label: str | None, service: str | None) -> None:
    operation = router().match(ask(method, path, query=query, service=service))
    assert (operation.service, operation.name) == ("lambda", name)
    assert operation.uri_params == ({"FunctionName": label} if label else {})


def test_layer_by_arn_and_layers_differ_by_a_literal_in_the_query() -> None:
    path = "/2018-10-31/layers"
    arn = "arn:aws:lambda:eu-west-1:000000000000:layer:l:1"
    by_arn = understand(ask("GET", path, query=f"find=LayerVersion&Arn={arn.replace(':', '%3A')}", service="lambda"))
    assert by_arn == ("lambda", "GetLayerVersionByArn", {"Arn": arn})
    assert understand(ask("GET", path, query="MaxItems=2", service="lambda"))[1] == "ListLayers"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (ARN.replace(":", "%3A"), ARN),
        (
            "arn:aws:lambda:us-east-1:000000000000:function:hello",
            "arn:aws:lambda:us-east-1:000000000000:function:hello",
        ),
        ("000000000000%3afunction%3ahello%3aprod", "000000000000:function:hello:prod"),
    ],
)
def test_names_in_the_path_are_percent_decoded(sent: str, name: str) -> None:
    assert understand(ask("GET", f"{F}/{sent}", service="lambda"))[2] == {"FunctionName": name}


def test_encoded_slash_belongs_to_its_label() -> None:
    arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af%3A1%2Fdurable-execution%2Fname%2Fid"
    operation = router().match(ask("GET", f"/2025-12-01/durable-executions/{arn}", service="lambda"))
    assert operation.name == "GetDurableExecution"
    assert operation.uri_params["DurableExecutionArn"].endswith("function:f:1/durable-execution/name/id")


def test_plus_is_a_plus_in_a_path_and_a_space_in_a_query() -> None:
    params = understand(ask("GET", "/bucket/a+b%20c", query="versionId=x+y%2Bz", service="s3"))[2]
    assert (params["Key"], params["VersionId"]) == ("a+b c", "x y+z")


def test_path_that_is_not_utf8_is_refused() -> None:
    error, response = refuse(ask("GET", f"{F}/%ff%fe", service="lambda"))
    assert (error.wire_code, response.status) == ("SerializationException", 400)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("a/b/c", "a/b/c"), ("a/", "a/"), ("/a", "/a"), ("a//b", "a//b"), ("/", "/"), ("a%2Fb", "a/b"), ("?", None)],
)
def test_s3_keys_keep_their_slashes(key: str, expected: str | None) -> None:
    if expected is None:
        assert understand(ask("GET", "/bucket/", service="s3"))[1] == "ListObjects"
    else:
        assert understand(ask("GET", f"/bucket/{key}", service="s3"))[2] == {"Bucket": "bucket", "Key": expected}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "name"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("GET", "/b", "list-type=2", {}, "ListObjectsV2"),
        ("GET", "/b", "prefix=a", {}, "ListObjects"),
        ("GET", "/b", "location", {}, "GetBucketLocation"),
        ("GET", "/b", "acl=", {}, "GetBucketAcl"),
        ("GET", "/b", "versions&prefix=x", {}, "ListObjectVersions"),
        ("GET", "/b", "analytics&id=1", {}, "GetBucketAnalyticsConfiguration"),
        ("GET", "/b", "analytics", {}, "ListBucketAnalyticsConfigurations"),
        ("PUT", "/b/k", "", {}, "PutObject"),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "/b/j"}, "CopyObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {"x-amz-copy-source": "/b/j"}, "UploadPartCopy"),
        ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=u", {}, "CompleteMultipartUpload"),
        ("GET", "/b/k", "uploadId=u", {}, "ListParts"),
        ("DELETE", "/b/k", "uploadId=u", {}, "AbortMultipartUpload"),
        ("DELETE", "/b/k", "x-id=DeleteObject", {}, "DeleteObject"),
        ("POST", "/b", "delete", {}, "DeleteObjects"),
        ("HEAD", "/b", "", {}, "HeadBucket"),
        ("HEAD", "/b/k", "", {}, "HeadObject"),
    ],
)
def test_s3_operations_that_share_method_and_path(
    method: str, path: str, query: str, headers: dict[str, str], name: str
) -> None:
    operation = router().match(ask(method, path, query=query, service="s3", headers=headers))
    assert (operation.service, operation.name) == ("s3", name)


@pytest.mark.parametrize(
    "host", ["photos.s3.localhost:4566", "photos.s3.eu-west-1.amazonaws.com", "photos.s3-eu-west-1.x"]
)
def test_s3_virtual_hosts_name_the_bucket(host: str) -> None:
    request = ask("GET", "/a/b.png", service="s3")
    request.headers = [(b"host", host.encode()), *request.headers[1:]]
    assert understand(request)[2] == {"Bucket": "photos", "Key": "a/b.png"}


def test_s3_without_an_operation_for_the_method() -> None:
    error, response = refuse(ask("PATCH", "/b/k", service="s3"))
    assert (error.wire_code, response.status) == ("MethodNotAllowed", 405)
    assert response.body.endswith(b"</RequestId></Error>")


def test_one_service_in_several_protocols() -> None:
    body = {"Namespace": "n"}
    json_target = ask(body=body, target="GraniteServiceVersion20100801.ListMetrics", service="monitoring")
    query = form("Action=ListMetrics&Namespace=n&Version=2010-08-01", service="monitoring")
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    cbor = ask(
        path=path, body=b"\xa1\x69Namespace\x61n", service="monitoring", headers={"smithy-protocol": "rpc-v2-cbor"}
    )
    found = [router().match(request) for request in (json_target, query, cbor)]
    assert [operation.protocol for operation in found] == ["json", "query", "smithy-rpc-v2-cbor"]
    assert [understand(request)[1:] for request in (json_target, query, cbor)] == [("ListMetrics", body)] * 3
    assert {(operation.service, operation.signing_name) for operation in found} == {("cloudwatch", "monitoring")}


def test_anonymous_action_is_told_apart_by_its_version() -> None:
    assert (
        understand(form("Action=TagRole&Version=2010-05-08&RoleName=r&Tags.member.1.Key=k&Tags.member.1.Value=v"))[0]
        == "iam"
    )
    assert understand(form("Action=ListTagsForResource&Version=2010-03-31&ResourceArn=arn"))[0] == "sns"
    assert understand(form("Action=ListTagsForResource&Version=2010-08-01&ResourceARN=arn:x"))[0] == "cloudwatch"


def test_compressed_form() -> None:
    text = "Action=PutMetricData&Version=2010-08-01&Namespace=n&MetricData.member.1.MetricName=m"
    request = form(text, service="monitoring")
    request.body = gzip.compress(request.body)
    request.headers = [*request.headers, (b"content-encoding", b"gzip")]
    assert understand(request)[1:] == ("PutMetricData", {"Namespace": "n", "MetricData": [{"MetricName": "m"}]})
    for body in (b"", request.body[:-9], b"plain", gzip.compress(bytes(17 << 20))):
        request.body = body
        error, _ = refuse(request)
        assert error.wire_code == "SerializationException"


def test_compressed_object_is_opaque() -> None:
    body = gzip.compress(b"x")
    request = ask("PUT", "/bucket/key", body, service="s3", headers={"Content-Encoding": "gzip"})
    assert understand(request)[2]["Body"] == body


def test_action_may_stand_in_the_url() -> None:
    request = ask("GET", "/", query="Action=GetCallerIdentity&Version=2011-06-15")
    assert understand(request) == ("sts", "GetCallerIdentity", {})


def test_presigned_scope_names_the_service() -> None:
    scope = "X-Amz-Credential=AKID%2F20250101%2Feu-west-1%2Fsns%2Faws4_request"
    request = ask("GET", "/", query=f"Action=ListTopics&Version=2010-03-31&{scope}")
    assert understand(request)[:2] == ("sns", "ListTopics")


@pytest.mark.parametrize(
    ("request_", "code", "status", "content_type"),
    [
        (ask("GET", "/2015-03-31/nothing", service="lambda"), "UnknownOperationException", 404, b"application/json"),
        (ask("PATCH", F, service="lambda"), "UnknownOperationException", 404, b"application/json"),
        (ask(target="Logs_20140328.Nothing"), "UnknownOperationException", 404, b"application/x-amz-json-1.0"),
        (ask(target="Nothing"), "UnknownOperationException", 404, b"application/x-amz-json-1.0"),
        (ask(target="Kinesis_20131202.PutRecord"), "UnknownOperationException", 404, b"application/x-amz-json-1.0"),
        (form("Action=Nothing&Version=2010-05-08"), "InvalidAction", 400, b"text/xml"),
        (form("Version=2010-05-08", service="iam"), "MissingAction", 400, b"text/xml"),
        (form("Action=CreateRole&Version=2010-05-08", service="sts"), "InvalidAction", 400, b"text/xml"),
        (
            ask(path="/service/X/operation/Y", headers={"smithy-protocol": "rpc-v2-cbor"}),
            "UnknownOperationException",
            404,
            b"application/cbor",
        ),
    ],
)
def test_what_fits_nothing_is_refused_in_the_protocol_it_looks_like(
    request_: object, code: str, status: int, content_type: bytes
) -> None:
    error, response = refuse(request_)  # type: ignore[arg-type]
    assert (error.wire_code, response.status) == (code, status)
    headers = dict(response.headers)
    assert headers[b"content-type"] == content_type
    assert b"x-amzn-requestid" in headers
    assert code.encode() in response.body + headers.get(b"x-amzn-errortype", b"")


def test_target_of_another_service_wins_over_the_path() -> None:
    request = ask("POST", F, {"logGroupName": "g"}, target="Logs_20140328.CreateLogGroup")
    assert understand(request)[:2] == ("logs", "CreateLogGroup")


def test_a_path_seen_before_is_matched_again_with_its_own_labels() -> None:
    matches = [router().match(ask("GET", f"{F}/{name}", service="lambda")) for name in ("one", "two", "one")]
    assert [match.uri_params["FunctionName"] for match in matches] == ["one", "two", "one"]
    assert matches[0] is matches[2]


def test_a_path_seen_before_is_told_apart_by_what_a_header_says() -> None:
    put = ask("PUT", "/bucket/key", service="s3")
    copy = ask("PUT", "/bucket/key", service="s3", headers={"x-amz-copy-source": "/other/key"})
    assert [router().match(each).name for each in (put, copy, put)] == ["PutObject", "CopyObject", "PutObject"]


def test_services_read_late_sign_with_the_names_that_tell_their_requests() -> None:
    models = ApiModels(tuple(READ_LATE))
    assert {name: models.service(name).signing_name for name in READ_LATE} == READ_LATE
    assert not any(models.service(name).metadata.target_prefix for name in READ_LATE)


@pytest.mark.parametrize("authorization", [b"", b"AWS4-HMAC-SHA256 Credential=A/20250101/us-east-1/apigateway/aws4"])
def test_the_first_request_for_a_service_reads_its_model(authorization: bytes) -> None:
    served = Router(ApiModels(("lambda", "apigateway", "apigatewayv2", "iam")))
    headers = [(b"host", b"localhost"), *([(b"authorization", authorization)] if authorization else [])]
    request = Request("GET", b"/restapis", b"", headers, b"", "id")
    assert served.match(request).name == "GetRestApis"
