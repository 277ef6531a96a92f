"""An operation of a service under one protocol, compiled on first use, and a request's match of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lambent.errors import AwsError, SerializationException, UncodedError
from lambent.request import Request, Response
from lambent.wire.api_model import Metadata, OperationModel, ServiceModel
from lambent.wire.compression import decompressed
from lambent.wire.constraints import CheckCompiler, validation_error
from lambent.wire.dialects import Dialect, dialect_of
from lambent.wire.parse.cbor import CborParser
from lambent.wire.parse.json import JsonParser
from lambent.wire.parse.protocol import Parser
from lambent.wire.parse.query import QueryParser
from lambent.wire.parse.rest_json import RestJsonParser
from lambent.wire.parse.rest_xml import RestXmlParser
from lambent.wire.serialize.cbor import CborSerializer
from lambent.wire.serialize.json import JsonSerializer
from lambent.wire.serialize.protocol import Fault, Serializer
from lambent.wire.serialize.query import QuerySerializer
from lambent.wire.serialize.rest_json import RestJsonSerializer
from lambent.wire.serialize.rest_xml import RestXmlSerializer

_PARSERS: Mapping[str, Callable[[Dialect], Parser]] = {
    "rest-json": lambda _dialect: RestJsonParser(),
    "json": lambda _dialect: JsonParser(),
    "query": lambda dialect: QueryParser(dialect.path_member),
    "rest-xml": lambda _dialect: RestXmlParser(),
    "smithy-rpc-v2-cbor": lambda _dialect: CborParser(),
}
_SERIALIZERS: Mapping[str, Callable[[Dialect, Metadata | None], Serializer]] = {
    "rest-json": RestJsonSerializer,
    "json": JsonSerializer,
    "query": QuerySerializer,
    "rest-xml": RestXmlSerializer,
    "smithy-rpc-v2-cbor": CborSerializer,
}


class Codec:
    """One service under one protocol: what its operations share.

    Operations are compiled when they are first matched, on the thread that matches; reading and writing may then happen
    on any thread.
    """

    def __init__(self, service: ServiceModel, protocol: str) -> None:
        self.dialect = dialect_of(service.name)
        # Under the query protocol some things go by names that the model has no more.
        self.service = service.renamed(self.dialect.query_names) if protocol == "query" else service
        self.protocol = protocol
        self._parser = _PARSERS[protocol](self.dialect)
        self._serializer = _SERIALIZERS[protocol](self.dialect, service.metadata)
        self._checks = CheckCompiler()
        self._compiled: dict[str, CompiledOperation] = {}

    def __repr__(self) -> str:
        return f"<Codec {self.service.name} {self.protocol}>"

    def operation(self, name: str) -> CompiledOperation | None:
        found = self._compiled.get(name)
        if found is None and (model := self.service.operation(name)):
            found = self._compiled[name] = self._compile(model)
        return found

    def _compile(self, model: OperationModel) -> CompiledOperation:
        check = self._checks.compile(model.input) if model.input and self.dialect.checks_constraints else None
        return CompiledOperation(self, model, self._parser.compile(model), check, self._serializer.compile(model))

    def malformed(self, error: SerializationException) -> AwsError:
        code = self.dialect.malformed_code
        return error if code == error.wire_code else UncodedError(code, error.message)

    def fault(self, error: AwsError, request: Request) -> Response:
        shape = self.service.errors.get(error.wire_code)
        return self._serializer.fault(Fault.of(error, shape, self.dialect), request)


class CompiledOperation:
    """The functions that read and write one operation."""

    def __init__(
        self,
        codec: Codec,
        model: OperationModel,
        read: Callable[[Request, Mapping[str, str]], dict[str, Any]],
        check: Callable[[Any], bool] | None,
        serialize: Callable[[dict[str, Any], Request], Response],
    ) -> None:
        self.codec = codec
        self.model = model
        self._read = read
        self._compressible = bool(model.encodings)
        self._check = check
        self.serialize = serialize

    def __repr__(self) -> str:
        return f"<CompiledOperation {self.codec.service.name}.{self.model.name} {self.codec.protocol}>"

    def parse(self, request: Request, uri_params: Mapping[str, str]) -> dict[str, Any]:
        try:
            params = self._read(decompressed(request) if self._compressible else request, uri_params)
        except SerializationException as error:
            raise self.codec.malformed(error) from error
        if self._check is not None and not self._check(params):
            assert self.model.input is not None
            raise validation_error(self.model.input, params, self.codec.dialect)
        return params

    def match(self, uri_params: Mapping[str, str]) -> Operation:
        service = self.codec.service
        return Operation(service.name, self.model.name, service.signing_name, self.codec.protocol, uri_params, self)


class Operation(msgspec.Struct, frozen=True, eq=False):
    """What a request asks for."""

    #: botocore's name of the service: `lambda`, `logs`, `s3`.
    service: str
    #: `CreateFunction`
    name: str
    #: What the service is called in a signature's scope: `monitoring` for `cloudwatch`.
    signing_name: str
    #: Of this request, not of the service: some services speak several.
    protocol: str
    #: Labels of the URI by their names in the model, decoded.
    uri_params: Mapping[str, str]
    compiled: CompiledOperation

    @property
    def is_unsigned(self) -> bool:
        """Of the few that anybody may send without a signature."""
        return self.compiled.model.is_unsigned

    @property
    def method(self) -> str:
        return self.compiled.model.http.method

    @property
    def uri(self) -> str:
        """As the model has it: `/2015-03-31/functions/{FunctionName}`."""
        return self.compiled.model.http.request_uri


def guessed_serializer(protocol: str, service: str | None) -> Serializer:
    """For errors that come before an operation is known."""
    return _SERIALIZERS[protocol](dialect_of(service or ""), None)
