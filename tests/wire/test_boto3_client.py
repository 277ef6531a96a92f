"""boto3 as it comes, over a real socket, against an echo that answers with what it understood."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conformance.services import router

from lambent import wire
from lambent.errors import AwsError, UncodedError
from lambent.request import Request, Response

MOMENT = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)


async def events() -> Any:
    yield {"PayloadChunk": {"Payload": b"chunk"}}
    yield {"InvokeComplete": {}}


def result_of(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """What the region would answer, from what was asked."""
    if params.get("FunctionName") == "missing":
        raise UncodedError("ResourceNotFoundException", "Function not found: missing")
    match name:
        case "Invoke":
            return {"StatusCode": 200, "Payload": params["Payload"], "ExecutedVersion": params.get("Qualifier")}
        case "InvokeWithResponseStream":
            return {"StatusCode": 200, "EventStream": events()}
        case "CreateFunction":
            return {**params, "CodeSize": len(params["Code"]["ZipFile"]), "LastModified": "now"}
        case "GetCallerIdentity":
            return {"Account": "000000000000", "Arn": "arn:aws:iam::000000000000:root", "UserId": "u"}
        case "AssumeRole":
            return {
                "Credentials": {
                    "AccessKeyId": "A" * 20,
                    "SecretAccessKey": "s",
                    "SessionToken": "t",
                    "Expiration": MOMENT,
                }
            }
        case "DescribeLogGroups":
            return {"logGroups": [{"logGroupName": params.get("logGroupNamePrefix"), "storedBytes": 2**40}]}
        case "GetObject":
            return {"Body": params["Key"].encode(), "Metadata": {"a": "b"}, "LastModified": MOMENT, "ContentLength": 7}
        case "ListObjectsV2":
            return {"Name": params["Bucket"], "KeyCount": 1, "Contents": [{"Key": "a&b", "LastModified": MOMENT}]}
        case "GetBucketLocation":
            return {"LocationConstraint": "eu-west-1"}
        case "GetItem":
            return {"Item": params["Key"]}
        case "GetMetricStatistics":
            return {"Label": params["MetricName"], "Datapoints": [{"Timestamp": params["StartTime"], "Sum": 1.5}]}
        case "ReceiveMessage":
            return {"Messages": []}
    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        request = Request(self.command, path.encode(), query.encode(), headers, body, "request-1")
        operation = None
        try:
            operation = router().match(request)
            params = wire.parse(operation, request)
            response = wire.serialize(operation, result_of(operation.name, params), request)
        except AwsError as error:
            response = wire.serialize_error(operation, error, request)
        self.answer(response)

    def answer(self, response: Response) -> None:
        async def collect() -> bytes:
            assert response.stream is not None
            return b"".join([chunk async for chunk in response.stream])

        body = asyncio.run(collect()) if response.stream else response.body
        self.send_response(response.status)
        for name, value in response.headers:
            if name != b"content-length":
                self.send_header(name.decode(), value.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do  # noqa: N815 (http.server's names)

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def clients(endpoint: str) -> Any:
    session = boto3.Session(aws_access_key_id="AKID", aws_secret_access_key="secret", region_name="eu-west-1")
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(
                service, endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1})
            )
        return made[service]

    return client


def test_invoke_passes_bytes_untouched(clients: Any) -> None:
    answer = clients("lambda").invoke(FunctionName="f", Payload=b'{"a": "\xc3\xa9"}', Qualifier="$LATEST")
    assert answer["Payload"].read() == b'{"a": "\xc3\xa9"}'
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseMetadata"]["RequestId"] == "request-1"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"


def test_invoke_without_a_payload(clients: Any) -> None:
    assert clients("lambda").invoke(FunctionName="f")["Payload"].read() == b""


def test_invoke_by_arn(clients: Any) -> None:
    arn = "arn:aws:lambda:eu-west-1:000000000000:function:f:prod"
    assert clients("lambda").invoke(FunctionName=arn, Payload=b"1")["Payload"].read() == b"1"


def test_response_stream(clients: Any) -> None:
    stream = clients("lambda").invoke_with_response_stream(FunctionName="f")["EventStream"]
    assert list(stream) == [{"PayloadChunk": {"Payload": b"chunk"}}, {"InvokeComplete": {}}]


def test_create_function(clients: Any) -> None:
    answer = clients("lambda").create_function(
        FunctionName="f",
        Role="arn:aws:iam::000000000000:role/r",
        Runtime="python3.12",
        Code={"ZipFile": b"PK\x03\x04"},
        Environment={"Variables": {"A_B": "c"}},
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (answer["CodeSize"], answer["Environment"]) == (4, {"Variables": {"A_B": "c"}})


def test_modelled_error_becomes_boto3s_exception(clients: Any) -> None:
    client = clients("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.get_function(FunctionName="missing")
    error = caught.value.response
    assert (error["Error"]["Message"], error["Type"]) == ("Function not found: missing", "User")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_validation_error(clients: Any) -> None:
    with pytest.raises(ClientError, match="1 validation error detected: Value 'a b' at 'functionName'") as caught:
        clients("lambda").get_function(FunctionName="a b")
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_sts(clients: Any) -> None:
    assert clients("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    role = clients("sts").assume_role(RoleArn="arn:aws:iam::000000000000:role/r", RoleSessionName="se")
    assert role["Credentials"]["Expiration"] == MOMENT


def test_logs(clients: Any) -> None:
    groups = clients("logs").describe_log_groups(logGroupNamePrefix="/aws")["logGroups"]
    assert groups == [{"logGroupName": "/aws", "storedBytes": 2**40}]


def test_s3(clients: Any) -> None:
    s3 = clients("s3")
    found = s3.get_object(Bucket="bucket", Key="a/b c.txt")
    assert (found["Metadata"], found["LastModified"]) == ({"a": "b"}, MOMENT)
    assert s3.list_objects_v2(Bucket="bucket")["Contents"] == [{"Key": "a&b", "LastModified": MOMENT}]
    assert s3.get_bucket_location(Bucket="bucket")["LocationConstraint"] == "eu-west-1"
    assert s3.put_object(Bucket="bucket", Key="k", Body=io.BytesIO(b"x"))["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_dynamodb(clients: Any) -> None:
    key = {"id": {"S": "x"}, "data": {"B": b"\x00\xff"}, "deep": {"L": [{"M": {"n": {"N": "1"}}}]}}
    assert clients("dynamodb").get_item(TableName="table", Key=key)["Item"] == key


def test_cloudwatch_in_cbor(clients: Any) -> None:
    answer = clients("cloudwatch").get_metric_statistics(
        Namespace="n", MetricName="m", StartTime=MOMENT, EndTime=MOMENT, Period=60, Statistics=["Sum"]
    )
    assert answer["Datapoints"] == [{"Timestamp": MOMENT, "Sum": 1.5}]


def test_sqs_and_sns(clients: Any) -> None:
    assert clients("sqs").receive_message(QueueUrl="http://x/000000000000/q")["Messages"] == []
    assert clients("sns").publish(TopicArn="t", Message="m")["ResponseMetadata"]["RequestId"] == "request-1"
