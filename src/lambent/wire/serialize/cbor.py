"""smithy-rpc-v2-cbor answers."""

from __future__ import annotations

from typing import Any

from lambent.wire.api_model import Metadata
from lambent.wire.cbor import encode_cbor
from lambent.wire.dialects import Dialect
from lambent.wire.serialize.rpc import RpcSerializer
from lambent.wire.serialize.values import ValueWriter
from lambent.wire.text import as_datetime

_HEADERS = [(b"smithy-protocol", b"rpc-v2-cbor"), (b"content-type", b"application/cbor")]


class CborSerializer(RpcSerializer):
    def __init__(self, dialect: Dialect, metadata: Metadata | None) -> None:
        values = ValueWriter({"blob": _blob, "float": float, "double": float, "timestamp": as_datetime}, encode_cbor)
        super().__init__(dialect, metadata, values, encode_cbor, _HEADERS)


def _blob(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
