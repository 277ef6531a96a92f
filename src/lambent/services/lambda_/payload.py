"""Checks what callers of Invoke send: JSON syntax without building objects, size, client context."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NoReturn

import msgspec

from lambent.services.lambda_.errors import InvalidRequestContentException, RequestTooLargeException

REQUEST_LIMIT = 6_291_456
#: Of asynchronous invocations, and of those by the old InvokeAsync.
EVENT_LIMIT = 1_048_576
INVOKE_ASYNC_LIMIT = 262_144
CLIENT_CONTEXT_LIMIT = 3583

_check_syntax = msgspec.json.Decoder(msgspec.Raw).decode


def checked(payload: bytes, limit: int = REQUEST_LIMIT, invocation_type: str = "RequestResponse") -> bytes:
    """The event for `payload`; an empty one is `{}`. Raises AWS's errors for too much and for what is not JSON."""
    if not payload:
        return b"{}"
    if len(payload) > limit:
        raise RequestTooLargeException(
            f"{len(payload)} byte payload is too large for the {invocation_type} invocation type (limit {limit} bytes)"
        )
    try:
        if not payload.isascii():
            payload.decode()  # the syntax check does not look inside strings
        _check_syntax(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _explain(payload)
    return payload


def client_context(encoded: str | None) -> str:
    """The JSON text of the ClientContext header, "" without one."""
    if not encoded:
        return ""
    if len(encoded) > CLIENT_CONTEXT_LIMIT:
        raise InvalidRequestContentException(
            f"Client context must be at most {CLIENT_CONTEXT_LIMIT} bytes of Base64, not {len(encoded)}."
        )
    try:
        text = base64.b64decode(encoded, validate=True).decode()
        if isinstance(msgspec.json.decode(text), dict):
            return text
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise InvalidRequestContentException("Client context must be a valid Base64-encoded JSON object.")


def _explain(payload: bytes) -> None:
    """Raise with words like those of the JSON parser that AWS uses; returns where the payload is JSON after all."""
    try:
        text = payload.decode()
        json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        _refuse(f"Invalid UTF-8 start byte 0x{payload[error.start]:x}")
    except json.JSONDecodeError as error:
        _refuse(_words(text, error))
    except RecursionError:
        _refuse("Document nesting depth exceeds the maximum allowed (1000)")
    # Lone surrogates in escapes (`"\ud800"`) are JSON by its grammar, though our quick check refuses them.


def _words(text: str, error: json.JSONDecodeError) -> str:
    place = f"\n at [Source: (byte[]); line: {error.lineno}, column: {error.colno}]"
    rest = text[error.pos :]
    if not rest.strip():
        return f"Unexpected end-of-input{place}"
    word = rest[: next((i for i, char in enumerate(rest) if not char.isalnum()), len(rest))]
    valid = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
    if word and word[0].isalpha():
        return f"Unrecognized token '{word}': was expecting {valid}{place}"
    return f"Unexpected character ('{rest[0]}' (code {ord(rest[0])})): expected a valid value {valid}{place}"


def _refuse_constant(name: str) -> Any:
    _refuse(f"Non-standard token '{name}': enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow")


def _refuse(words: str) -> NoReturn:
    raise InvalidRequestContentException(
        f"Could not parse request body into json: Could not parse payload into json: {words}"
    ) from None
