"""Whatever arrives, it is understood or refused with an AWS error: nothing else ever comes out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from conformance.asking import ask
from conformance.profile import suite_settings
from conformance.services import SERVICES, botocore_model, router
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambent import wire
from lambent.errors import AwsError, UncodedError
from lambent.request import Request

NOT_WELL_FORMED = "The XML you provided was not well-formed or did not validate against our published schema"

more = settings(suite_settings, max_examples=20 * suite_settings.max_examples)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def answer(request: Request, body: dict[str, Any] | None = None) -> None:
    """Understand the request or render why not; any other exception fails the test."""
    operation = None
    try:
        operation = router().match(request)
        wire.parse(operation, request)
    except AwsError as error:
        response = wire.serialize_error(operation, error, request)
        assert 400 <= response.status < 500
        assert isinstance(response.body, bytes)


@more
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "", "\0"]),
    path=st.binary(max_size=40).map(lambda raw: b"/" + raw) | st.sampled_from([b"", b"*", b"//", b"/%", b"/%zz/%ff"]),
    query=st.binary(max_size=40) | st.sampled_from([b"Action=", b"Action=X&Action=Y", b"X-Amz-Credential=a/b"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [b"authorization", b"x-amz-target", b"content-type", b"smithy-protocol", b"host", b"x-amz-log-type"]
            ),
            st.binary(max_size=30)
            | st.sampled_from(
                [
                    b"AWS4-HMAC-SHA256 Credential=",
                    b"AWS4-HMAC-SHA256 Credential=a/b/c/lambda/aws4_request",
                    b"AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request",
                    b"application/x-www-form-urlencoded",
                    b"rpc-v2-cbor",
                    b"Logs_20140328.PutLogEvents",
                    b".",
                ]
            ),
        ),
        max_size=4,
    ),
    body=st.binary(max_size=60),
)
def test_random_requests(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    answer(Request(method, path, query, headers, body, "id"))


def members_of(service: str, protocol: str, name: str) -> list[str]:
    shape = botocore_model(service, protocol).operation_model(name).input_shape
    return sorted(shape.members) if shape else []


def body_operations() -> list[tuple[str, str, str]]:
    """The operation with the largest input of each service under each of its protocols."""
    rows = []
    for service, protocols in SERVICES.items():
        for protocol in protocols:
            model = botocore_model(service, protocol)
            sizes = {name: len(members_of(service, protocol, name)) for name in model.operation_names}
            largest = max(sizes, key=lambda name: sizes[name])
            rows.append((service, protocol, largest))
    return rows


def parse_body(service: str, protocol: str, name: str, body: bytes, query: bytes = b"") -> None:
    compiled = router()._codecs[service, protocol].operation(name)
    assert compiled is not None
    request = Request("POST", b"/", query, [], body, "id")
    operation = compiled.match({"Bucket": "b", "Key": "k", "FunctionName": "f"})
    status = 400
    try:
        wire.parse(operation, request)
    except AwsError as error:
        assert not error.message.startswith("0 ")  # noqa: PT017 (an error is but one of the ways)
        status = wire.serialize_error(operation, error, request).status
    assert status == 400


@pytest.mark.parametrize(("service", "protocol", "name"), body_operations(), ids=lambda part: str(part))
def test_random_bodies(service: str, protocol: str, name: str) -> None:
    @more
    @given(st.binary(max_size=80), st.binary(max_size=30))
    @example(b"\xef\xbb\xbf{}", b"")
    @example(b"null", b"")
    @example(b"\xf6", b"")
    @example(b"\xff", b"")
    @example(b"\x9f" * 50_000, b"")
    @example(b"\x81" * 50_000, b"")
    @example(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", b"")
    @example(b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", b"")
    @example(b"<a>" * 50_000, b"")
    @example(b'<?xml version="1.0" encoding="nonsense"?><a/>', b"")
    @example(b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', b"")
    @example(b"<a", b"")
    @example(".".join(["a"] * 5000).encode() + b"=1", b"")
    @example(b"&&==&a=b=c&%ff=1", b"max-keys=abc&partNumber=")
    def check(body: bytes, query: bytes) -> None:
        parse_body(service, protocol, name, body, query)

    check()


@pytest.mark.parametrize(
    ("service", "protocol", "name"),
    [row for row in body_operations() if row[1] in {"rest-json", "json"}],
    ids=lambda part: str(part),
)
def test_random_json_for_known_members(service: str, protocol: str, name: str) -> None:
    names = st.sampled_from(members_of(service, protocol, name))

    @more
    @given(st.dictionaries(names, json_values, max_size=6))
    def check(value: dict[str, Any]) -> None:
        parse_body(service, protocol, name, msgspec.json.encode(value))

    check()


@pytest.mark.parametrize(
    ("service", "protocol", "name"), [row for row in body_operations() if row[1] == "query"], ids=lambda part: str(part)
)
def test_random_forms_for_known_members(service: str, protocol: str, name: str) -> None:
    part = st.sampled_from(["member", "entry", "key", "value", "1", "2", "-1", "x", "", "Name", "Value"])
    keys = st.builds(
        lambda first, rest: ".".join([first, *rest]),
        st.sampled_from(members_of(service, protocol, name)),
        st.lists(part, max_size=5),
    )

    @more
    @given(st.lists(st.tuples(keys, st.text("01abc=", max_size=5)), max_size=6))
    def check(pairs: list[tuple[str, str]]) -> None:
        parse_body(service, protocol, name, "&".join(f"{key}={value}" for key, value in pairs).encode())

    check()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b"<Delete><Object>",
            "The XML you provided was not well-formed or did not validate against our published schema",
        ),
        (b'<!DOCTYPE d [<!ENTITY e "x">]><Delete>&e;</Delete>', "The XML you provided has a document type."),
        (b"<a>" * 200, "The XML you provided is nested too deeply."),
    ],
)
def test_bad_xml_is_malformed_xml(body: bytes, message: str) -> None:
    request = ask("POST", "/b", body, query="delete", service="s3")
    with pytest.raises(UncodedError) as caught:
        wire.parse(router().match(request), request)
    assert (caught.value.wire_code, caught.value.message) == ("MalformedXML", message)
