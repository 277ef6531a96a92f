"""smithy-rpc-v2-cbor requests: the whole input is one CBOR map; the operation stands in the path."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lambent.request import Request
from lambent.wire.api_model import OperationModel
from lambent.wire.cbor import decode_cbor
from lambent.wire.parse.protocol import Parse, read_nothing
from lambent.wire.parse.values import ValueReader, wrong_type
from lambent.wire.text import read_timestamp


class CborParser:
    def __init__(self) -> None:
        self._values = ValueReader({"blob": _blob, "timestamp": _timestamp, "float": _float, "double": _float})

    def compile(self, operation: OperationModel) -> Parse:
        if operation.input is None:
            return read_nothing
        read = self._values.structure(operation.input)

        def parse(request: Request, _uri_params: Mapping[str, str]) -> dict[str, Any]:
            parsed: dict[str, Any] = read(decode_cbor(request.body)) if request.body else {}
            return parsed

        return parse


def _blob(value: Any) -> bytes:
    if type(value) is not bytes:
        raise wrong_type(value, "Blob")
    return value


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if type(value) not in {int, float}:
        raise wrong_type(value, "Timestamp")
    return read_timestamp(value)


def _float(value: Any) -> float:
    if type(value) not in {int, float}:
        raise wrong_type(value, "Double")
    return float(value)
