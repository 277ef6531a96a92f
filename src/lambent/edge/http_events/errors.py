"""Answers of the front doors themselves: a JSON object with one member, and the headers beside it."""

from __future__ import annotations

import json

from lambent.request import Response


def json_error(
    status: int, message: str | None, error_type: str = "", request_id: str = "", *, member: str = "message"
) -> Response:
    """`{"message":"…"}`; `error_type` goes into x-amzn-ErrorType. `member` is `Message` for function URLs."""
    headers = [(b"content-type", b"application/json")]
    if request_id:
        headers.append((b"x-amzn-requestid", request_id.encode()))
    if error_type:
        headers.append((b"x-amzn-errortype", error_type.encode()))
    return Response(status, headers, json.dumps({member: message}, separators=(",", ":")).encode())
