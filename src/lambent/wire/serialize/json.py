"""json 1.0 and 1.1 answers."""

from __future__ import annotations

from lambent.wire.api_model import Metadata
from lambent.wire.dialects import Dialect
from lambent.wire.serialize.rpc import RpcSerializer
from lambent.wire.serialize.values import ValueWriter, encode_json


class JsonSerializer(RpcSerializer):
    def __init__(self, dialect: Dialect, metadata: Metadata | None) -> None:
        version = metadata.json_version if metadata else "1.0"
        headers = [(b"content-type", f"application/x-amz-json-{version}".encode())]
        super().__init__(dialect, metadata, ValueWriter(), encode_json, headers)
