"""Every operation: what botocore sends routes to it and parses back equal."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSRequest, prepare_request_dict
from botocore.serialize import create_serializer
from conformance.generate import Generator
from conformance.normalise import normalise
from conformance.profile import suite_settings
from conformance.services import SHADOWED, operation_model, operations, router
from hypothesis import given
from hypothesis import strategies as st

from lambent import wire
from lambent.request import Request


def sent_by_botocore(service: str, protocol: str, name: str, params: dict[str, Any]) -> Request:
    """The request that botocore makes, as the transport would hand it on."""
    model = operation_model(service, protocol, name)
    serialized = create_serializer(protocol, include_validation=False).serialize_to_request(params, model)
    prepare_request_dict(serialized, endpoint_url="http://127.0.0.1:4566", user_agent="test")
    serialized["headers"]["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250101/us-east-1/{model.service_model.signing_name}/aws4_request, "
        "SignedHeaders=host, Signature=0"
    )
    prepared = AWSRequest(
        method=serialized["method"], url=serialized["url"], headers=serialized["headers"], data=serialized["body"]
    ).prepare()
    _, _, path, query, _ = urlsplit(prepared.url)
    headers = [
        (key.lower().encode(), value if isinstance(value, bytes) else str(value).encode("utf-8"))
        for key, value in prepared.headers.items()
    ]
    body = prepared.body or b""
    return Request(
        method=serialized["method"],
        raw_path=path.encode(),
        query=query.encode(),
        headers=headers,
        body=body.encode() if isinstance(body, str) else bytes(body),
        id="00000000-0000-4000-8000-000000000000",
    )


@pytest.mark.parametrize(("service", "protocol", "name"), operations(), ids=lambda part: str(part))
def test_request_of_botocore_parses_back_equal(service: str, protocol: str, name: str) -> None:
    shape = operation_model(service, protocol, name).input_shape
    stream = shape.event_stream_name if shape else None

    @suite_settings
    @given(st.data())
    def check(data: st.DataObject) -> None:
        generator = Generator(data.draw, sparse=protocol in {"query", "rest-xml"})
        params = generator.structure(shape, skip=frozenset({stream} - {None})) if shape else {}
        request = sent_by_botocore(service, protocol, name, params)
        operation = router().match(request)
        assert (operation.service, operation.protocol) == (service, protocol)
        if (service, name) in SHADOWED:
            assert operation.name == SHADOWED[service, name]
            return
        assert operation.name == name
        parsed = wire.parse(operation, request)
        assert normalise(params, shape, protocol) == normalise(parsed, shape, protocol)

    check()
