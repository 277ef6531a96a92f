"""json 1.0 and 1.1 requests: the whole input is one JSON object; the operation stands in `X-Amz-Target`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambent.request import Request
from lambent.wire.api_model import OperationModel
from lambent.wire.parse.protocol import Parse, read_nothing
from lambent.wire.parse.values import ValueReader, decode_json


class JsonParser:
    def __init__(self) -> None:
        self._json = ValueReader()

    def compile(self, operation: OperationModel) -> Parse:
        if operation.input is None:
            return read_nothing
        read = self._json.structure(operation.input)

        def parse(request: Request, _uri_params: Mapping[str, str]) -> dict[str, Any]:
            parsed: dict[str, Any] = read(decode_json(request.body)) if request.body else {}
            return parsed

        return parse
