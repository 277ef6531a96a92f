"""What a function returned as an HTTP answer: inferred (format 2.0, function URLs) or strict (format 1.0)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import msgspec

from lambent.edge.http_events.request_facts import HOP_BY_HOP
from lambent.request import Response

Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
#: Set by whoever sends the answer.
_DROPPED = HOP_BY_HOP | {b"content-length", b"date"}
#: What function URLs and REST APIs send under the name `x-amzn-Remapped-…`, so that it means nothing to clients:
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_REMAPPED = frozenset(
    b"authorization connection content-length content-md5 date expect host max-forwards proxy-authenticate server "
    b"trailer user-agent www-authenticate x-amzn-requestid".split()
)
_MEMBERS_V1 = frozenset(("statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"))
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class MalformedProxyResponse(Exception):
    """A sentence: why what the function returned is no answer."""


def infer_v2(payload: bytes, *, remap: bool = False) -> Response:
    """The answer for a result in format 2.0: an object with statusCode is taken at its word, anything else is a body.

    `remap`: send headers that mean something to the connection, or make browsers ask for a password, under other
    names, as function URLs do. Raises MalformedProxyResponse.
    """
    result = _read(payload)
    if not isinstance(result, dict) or "statusCode" not in result:
        return Response(200, [JSON_TYPE], _text(result) if isinstance(result, str) else _json(result))
    headers: Headers = []
    _add_headers(headers, result.get("headers"), remap)
    headers += _cookies(result)
    return _finished(result, headers, decode_base64=True)


def proxy_v1(payload: bytes, *, decode_base64: bool = True, remap: bool = False, strict: bool = False) -> Response:
    """The answer for a result in format 1.0: statusCode, headers, multiValueHeaders, body, isBase64Encoded.

    `decode_base64` False leaves a body marked as base64 in that form: REST APIs decode it only for clients that ask
    for a binary media type. `remap` is as for `infer_v2`. `strict` takes no members beside these, as REST APIs do,
    where HTTP APIs look past them. Raises MalformedProxyResponse.
    """
    result = _read(payload)
    if not isinstance(result, dict):
        raise MalformedProxyResponse("The response is not a JSON object.")
    if "statusCode" not in result:
        raise MalformedProxyResponse("The response has no statusCode.")
    if strict and not result.keys() <= _MEMBERS_V1:
        raise MalformedProxyResponse(f"The response has members of other names than {', '.join(sorted(_MEMBERS_V1))}.")
    return _finished(result, _both_maps(result, remap), decode_base64=decode_base64)


def head_of(prelude: bytes, content_type: tuple[bytes, bytes], *, many: bool = False) -> Response:
    """The head of a streamed answer, whose body follows: statusCode, headers and cookies, each optional.

    `content_type` where none is named; `many`: multiValueHeaders count too, as REST APIs have it. Headers are renamed
    as by `remap` of the others. Raises MalformedProxyResponse.
    """
    result = _read(prelude)
    if not isinstance(result, dict):
        raise MalformedProxyResponse("The metadata before the response is not a JSON object.")
    headers: Headers = []
    if many:
        headers = _both_maps(result, True)
    else:
        _add_headers(headers, result.get("headers"), True)
    headers += _cookies(result)
    if not any(name == b"content-type" for name, _ in headers):
        headers.insert(0, content_type)
    return Response(_status(result.get("statusCode", 200)), headers)


def _both_maps(result: dict[str, Any], remap: bool) -> Headers:
    """Of multiValueHeaders and headers. Where both name a header, both count; a pair that is in both counts once."""
    headers: Headers = []
    many = result.get("multiValueHeaders")
    if many is not None:
        if not isinstance(many, dict):
            raise MalformedProxyResponse("The member multiValueHeaders of the response is not an object.")
        for name, values in many.items():
            if not isinstance(values, list):
                raise MalformedProxyResponse(f"The values of the header {name} are not a list.")
            for value in values:
                _add(headers, name, value, remap)
    known = {name for name, _ in headers}
    single: Headers = []
    _add_headers(single, result.get("headers"), remap)
    return headers + [pair for pair in single if pair[0] not in known or pair not in headers]


def _cookies(result: dict[str, Any]) -> Headers:
    cookies = result.get("cookies")
    if cookies is None:
        return []
    if not isinstance(cookies, list):
        raise MalformedProxyResponse("The member cookies of the response is not a list.")
    return [(b"set-cookie", _value(cookie)) for cookie in cookies]


def remapped(headers: Headers) -> Headers:
    """Headers of another server's answer as REST APIs pass them on."""
    return [
        (b"x-amzn-remapped-" + name if name in _REMAPPED else name, value)
        for name, value in headers
        if name in _REMAPPED or name not in _DROPPED
    ]


def _read(payload: bytes) -> Any:
    try:
        return _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # Halves of surrogate pairs, which JavaScript's strings may be cut into, are JSON by its grammar.
        return json.loads(payload, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise MalformedProxyResponse("The response is not JSON.") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _text(text: str) -> bytes:
    # What is no character goes out as a question mark, as from AWS's own encoder.
    return text.encode("utf-8", "replace")


def _json(value: Any) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _finished(result: dict[str, Any], headers: Headers, *, decode_base64: bool) -> Response:
    body = _body(result, decode_base64)
    if not any(name == b"content-type" for name, _ in headers):
        headers.insert(0, JSON_TYPE)
    return Response(_status(result["statusCode"]), headers, body)


def _status(given: Any) -> int:
    if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) < 10:
        given = int(given)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if not isinstance(given, int) or isinstance(given, bool) or not 200 <= given <= 599:
        raise MalformedProxyResponse("The statusCode of the response is not a number from 200 to 599.")
    return given


def _body(result: dict[str, Any], decode_base64: bool) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedProxyResponse("The body of the response is not a string.")
    if not (decode_base64 and result.get("isBase64Encoded") is True):
        return _text(body)
    try:
        return base64.b64decode(body)
    except (binascii.Error, ValueError):
        raise MalformedProxyResponse("The body of the response is not base64.") from None


def _add_headers(headers: Headers, given: Any, remap: bool) -> None:
    if given is None:
        return
    if not isinstance(given, dict):
        raise MalformedProxyResponse("The member headers of the response is not an object.")
    for name, value in given.items():
        _add(headers, name, value, remap)


def _add(headers: Headers, name: str, value: Any, remap: bool) -> None:
    raw = _text(name).lower()
    if not raw or raw.translate(None, _TOKEN):
        raise MalformedProxyResponse(f"The response has a header of the name {name!r}.")
    if remap and raw in _REMAPPED:
        headers.append((b"x-amzn-remapped-" + raw, _value(value)))
    elif raw not in _DROPPED:
        headers.append((raw, _value(value)))


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        raw = _text(value)
    elif value is None:
        raw = b""
    elif isinstance(value, (bool, int, float)):
        raw = _encode(value)
    else:
        raise MalformedProxyResponse("A header of the response is neither text nor a number.")
    if b"\n" in raw or b"\r" in raw or b"\0" in raw:
        raise MalformedProxyResponse("A header of the response has a line break in it.")
    return raw
