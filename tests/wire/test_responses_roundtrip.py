"""Every operation: what Lambent answers is parsed back equal by botocore; the same for every modelled error."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import Shape
from botocore.parsers import create_parser
from conformance.generate import Generator
from conformance.normalise import normalise
from conformance.profile import suite_settings
from conformance.services import botocore_model, operation_model, operations, router
from hypothesis import given
from hypothesis import strategies as st

from lambent import wire
from lambent.errors import UncodedError
from lambent.request import Request, Response

_ID = "00000000-0000-4000-8000-000000000000"


def asking(service: str, protocol: str, name: str) -> tuple[wire.Operation, Request]:
    """The operation, and a request such as its answer needs to know."""
    compiled = router()._codecs[service, protocol].operation(name)
    assert compiled is not None
    headers = [(b"x-amzn-query-mode", b"true")]
    request = Request(compiled.model.http.method, b"/", b"", headers, b"", _ID)
    return compiled.match({}), request


def as_botocore_sees(response: Response, output: Shape | None) -> dict[str, Any]:
    payload = output.serialization.get("payload") if output else None
    streamed = payload is not None and output is not None and output.members[payload].type_name in {"blob", "string"}
    headers = HeadersDict((name.decode(), value.decode()) for name, value in response.headers)
    body = io.BytesIO(response.body) if streamed and response.status < 300 else response.body
    return {"status_code": response.status, "headers": headers, "body": body, "context": {"operation_name": "Any"}}


def read_streams(parsed: dict[str, Any], output: Shape | None) -> dict[str, Any]:
    out = {}
    for name, item in parsed.items():
        if isinstance(item, io.BytesIO):
            assert output is not None
            item = item.read() if output.members[name].type_name == "blob" else item.read().decode()
        out[name] = item
    return out


#: What S3 answers is not what its model says (a test of its own has it), and one element for two members.
_ODD = {"GetBucketLocation", "GetBucketNotification"}


def answers() -> list[tuple[str, str, str]]:
    return [row for row in operations() if row[2] not in _ODD]


@pytest.mark.parametrize(("service", "protocol", "name"), answers(), ids=lambda part: str(part))
def test_answer_is_parsed_back_equal_by_botocore(service: str, protocol: str, name: str) -> None:
    shape = operation_model(service, protocol, name).output_shape
    stream = shape.event_stream_name if shape else None
    if stream:
        pytest.skip("event streams have tests of their own")
    operation, request = asking(service, protocol, name)

    @suite_settings
    @given(st.data())
    def check(data: st.DataObject) -> None:
        generator = Generator(data.draw, sparse=protocol in {"query", "rest-xml"})
        result = generator.structure(shape) if shape else {}
        response = wire.serialize(operation, result, request)
        parsed = create_parser(protocol).parse(as_botocore_sees(response, shape), shape)
        metadata = parsed.pop("ResponseMetadata")
        # botocore looks for no request id in CBOR where it expects no output.
        assert metadata.get("RequestId", None if protocol.endswith("cbor") and shape is None else "") in {_ID, None}
        assert normalise(result, shape, protocol) == normalise(read_streams(parsed, shape), shape, protocol)

    check()


def modelled_errors() -> list[tuple[str, str, str, str]]:
    """Every error of every service under each protocol, once, with an operation that has it."""
    rows: dict[tuple[str, str, str], tuple[str, str, str, str]] = {}
    for service, protocol, name in operations():
        for error in operation_model(service, protocol, name).error_shapes:
            rows.setdefault((service, protocol, error.name), (service, protocol, name, error.name))
    return list(rows.values())


@pytest.mark.parametrize(("service", "protocol", "name", "error"), modelled_errors(), ids=lambda part: str(part))
def test_modelled_error_is_parsed_back_equal_by_botocore(service: str, protocol: str, name: str, error: str) -> None:
    model = operation_model(service, protocol, name)
    shape = botocore_model(service, protocol).shape_for(error)
    operation, request = asking(service, protocol, name)

    @suite_settings
    @given(st.data())
    def check(data: st.DataObject) -> None:
        members = Generator(data.draw, sparse=protocol in {"query", "rest-xml"}).structure(
            shape, skip=frozenset({"message", "Message", "Type", "Code"})
        )
        raised = UncodedError(error, "It <went> wrong & so.", 418, **members)
        response = wire.serialize_error(operation, raised, request)
        seen = as_botocore_sees(response, None)
        parsed = create_parser(protocol).parse(dict(seen), model.output_shape)
        assert response.status == expected_status(shape)
        if request.method != "HEAD":
            assert parsed["Error"]["Message"] == "It <went> wrong & so."
            assert_code_of(parsed, shape, protocol)
            modelled = create_parser(protocol).parse(dict(seen), shape)
            modelled = {name: item for name, item in modelled.items() if name in members}
            assert normalise(members, shape, protocol) == normalise(modelled, shape, protocol)

    check()


def expected_status(shape: Shape) -> int:
    """Of the model, else what the one who raised it says."""
    status = shape.metadata.get("error", {}).get("httpStatusCode")
    return int(status or (500 if shape._shape_model.get("fault") else 418))


def assert_code_of(parsed: dict[str, Any], shape: Shape, protocol: str) -> None:
    """A client finds the shape by the code, whichever name the protocol has for it."""
    code = parsed["Error"].get("QueryErrorCode", parsed["Error"]["Code"])
    wire_code = shape.metadata.get("error", {}).get("code", shape.name)
    assert code in ({shape.name, wire_code} if protocol != "query" else {wire_code} | query_codes())


def query_codes() -> set[str]:
    return set(router()._codecs["sqs", "query"].dialect.query_codes.values())
