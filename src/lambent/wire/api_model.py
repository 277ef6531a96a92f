"""AWS's service models, as botocore ships them: which operations exist, and the shapes of what goes in and comes out.

The only importer of botocore, and of its data alone: the JSON files are decoded straight into the few fields that
`wire` acts on, which takes a tenth of the time and memory of botocore's own loader. Compiling happens elsewhere.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import botocore
import msgspec


class Ref(msgspec.Struct, rename="camel", frozen=True):
    """A mention of a shape by a member, an operation, a list or a map; what it says wins over what the shape says."""

    shape: str = ""
    location: str | None = None
    location_name: str | None = None
    flattened: bool = False
    streaming: bool = False
    jsonvalue: bool = False
    host_label: bool = False
    idempotency_token: bool = False
    xml_attribute: bool = False
    xml_namespace: dict[str, str] | str | None = None
    timestamp_format: str | None = None
    result_wrapper: str | None = None
    eventheader: bool = False
    eventpayload: bool = False


class ErrorTraits(msgspec.Struct, rename="camel", frozen=True):
    code: str | None = None
    http_status_code: int | None = None
    sender_fault: bool = False


class ShapeData(Ref, frozen=True):
    """A shape as the file has it."""

    type: str = ""
    members: dict[str, Ref] = {}
    required: tuple[str, ...] = ()
    member: Ref | None = None
    key: Ref | None = None
    value: Ref | None = None
    enum: tuple[str, ...] = ()
    pattern: str | None = None
    min: float | None = None
    max: float | None = None
    payload: str | None = None
    sensitive: bool = False
    document: bool = False
    union: bool = False
    exception: bool = False
    fault: bool = False
    error: ErrorTraits | None = None
    event: bool = False
    eventstream: bool = False


class HttpTraits(msgspec.Struct, rename="camel", frozen=True):
    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class EndpointTraits(msgspec.Struct, rename="camel", frozen=True):
    host_prefix: str = ""


class RequestCompression(msgspec.Struct, frozen=True):
    encodings: tuple[str, ...] = ()


class OperationData(msgspec.Struct, rename="camel", frozen=True):
    name: str
    http: HttpTraits = HttpTraits()
    input: Ref | None = None
    output: Ref | None = None
    errors: tuple[Ref, ...] = ()
    deprecated: bool = False
    endpoint: EndpointTraits | None = None
    requestcompression: RequestCompression | None = None
    #: `none` where nobody signs; "" says nothing.
    authtype: str = ""


class Metadata(msgspec.Struct, rename="camel", frozen=True):
    api_version: str
    endpoint_prefix: str
    protocol: str
    protocols: tuple[str, ...] = ()
    signing_name: str | None = None
    target_prefix: str | None = None
    json_version: str = "1.0"
    xml_namespace: str | None = None
    aws_query_compatible: dict[str, Any] | None = None


class ServiceData(msgspec.Struct, frozen=True):
    metadata: Metadata
    operations: dict[str, OperationData]
    shapes: dict[str, ShapeData]


_DECODER = msgspec.json.Decoder(ServiceData)


class Shape:
    """A shape as one place of the model mentions it: the shape's traits overlaid with the mention's."""

    def __init__(self, service: ServiceModel, data: ShapeData, ref: Ref) -> None:
        self.service = service
        self.data = data
        self.name = ref.shape
        self.type = data.type
        self.required = data.required
        self.location = ref.location or data.location
        self.location_name = ref.location_name or data.location_name
        self.flattened = ref.flattened or data.flattened
        self.streaming = ref.streaming or data.streaming
        self.jsonvalue = ref.jsonvalue or data.jsonvalue
        self.xml_attribute = ref.xml_attribute or data.xml_attribute
        self.xml_namespace = ref.xml_namespace or data.xml_namespace
        self.timestamp_format = (ref.timestamp_format or data.timestamp_format or "").lower()
        self.result_wrapper = ref.result_wrapper or data.result_wrapper
        self.eventheader = ref.eventheader or data.eventheader
        self.eventpayload = ref.eventpayload or data.eventpayload
        self.idempotency_token = ref.idempotency_token or data.idempotency_token
        self.host_label = ref.host_label or data.host_label

    def __repr__(self) -> str:
        return f"<Shape {self.service.name}.{self.name} {self.type}>"

    def _resolve(self, ref: Ref | None) -> Shape:
        if ref is None:
            raise LookupError(f"{self!r} has no such part.")
        return self.service.shape(ref)

    @cached_property
    def members(self) -> dict[str, Shape]:
        return {name: self._resolve(ref) for name, ref in self.data.members.items()}

    @cached_property
    def member(self) -> Shape:
        return self._resolve(self.data.member)

    @cached_property
    def key(self) -> Shape:
        return self._resolve(self.data.key)

    @cached_property
    def value(self) -> Shape:
        return self._resolve(self.data.value)

    @cached_property
    def payload(self) -> str | None:
        """The member that is the whole body."""
        return self.data.payload

    @cached_property
    def event_stream(self) -> str | None:
        """The member that is a stream of events."""
        return next((name for name, member in self.members.items() if member.data.eventstream), None)

    @property
    def error_code(self) -> str:
        """What the wire calls this error under the XML protocols; the shape's name unless the model says otherwise."""
        return (self.data.error and self.data.error.code) or self.name


class OperationModel:
    """One operation of a service."""

    def __init__(self, service: ServiceModel, data: OperationData) -> None:
        self.service = service
        self.name = data.name
        self.http = data.http
        self.deprecated = data.deprecated
        self.is_unsigned = data.authtype == "none"
        self.encodings = data.requestcompression.encodings if data.requestcompression else ()
        self.host_prefix = data.endpoint.host_prefix if data.endpoint else ""
        self._data = data

    def __repr__(self) -> str:
        return f"<OperationModel {self.service.name}.{self.name}>"

    @cached_property
    def input(self) -> Shape | None:
        return self.service.shape(self._data.input) if self._data.input else None

    @cached_property
    def output(self) -> Shape | None:
        return self.service.shape(self._data.output) if self._data.output else None

    @property
    def errors(self) -> list[Shape]:
        return [self.service.shape(ref) for ref in self._data.errors]


class ServiceModel:
    """One service: its names, protocols, operations and errors."""

    def __init__(self, name: str, data: ServiceData) -> None:
        self.name = name
        self.metadata = data.metadata
        self.signing_name = data.metadata.signing_name or data.metadata.endpoint_prefix
        self.protocols = data.metadata.protocols or (data.metadata.protocol,)
        self._data = data
        self._operations: dict[str, OperationModel] = {}

    def __repr__(self) -> str:
        return f"<ServiceModel {self.name} {self.metadata.api_version}>"

    @property
    def operation_names(self) -> list[str]:
        return list(self._data.operations)

    def operation(self, name: str) -> OperationModel | None:
        found = self._operations.get(name)
        if found is None and (data := self._data.operations.get(name)):
            found = self._operations[name] = OperationModel(self, data)
        return found

    def shape(self, ref: Ref) -> Shape:
        return Shape(self, self._data.shapes[ref.shape], ref)

    def renamed(self, names: Mapping[str, Mapping[str, str]]) -> ServiceModel:
        """The same with other serialised names of shapes (`name`) and of their parts (`member`, `key`, `value`)."""
        if not names:
            return self
        data = self._data
        renamed = {name: _rename(data.shapes[name], row) for name, row in names.items() if name in data.shapes}
        return ServiceModel(self.name, ServiceData(data.metadata, data.operations, data.shapes | renamed))

    @cached_property
    def errors(self) -> dict[str, Shape]:
        """Every error shape of the service by its name and by its wire code."""
        shapes = [self.shape(Ref(shape=name)) for name, data in self._data.shapes.items() if data.exception]
        return {shape.error_code: shape for shape in shapes} | {shape.name: shape for shape in shapes}


def _rename(shape: ShapeData, names: Mapping[str, str]) -> ShapeData:
    parts = {
        part: msgspec.structs.replace(getattr(shape, part), location_name=name)
        for part, name in names.items()
        if part != "name"
    }
    return msgspec.structs.replace(shape, location_name=names.get("name"), **parts)


class ApiModels:
    """The models of the served services, each read on first use."""

    def __init__(self, services: Sequence[str]) -> None:
        self.services = tuple(services)
        self._loaded: dict[str, ServiceModel] = {}

    def service(self, name: str) -> ServiceModel:
        if name not in self._loaded:
            if name not in self.services:
                raise LookupError(f"The service {name} is not served; served are: {', '.join(self.services)}.")
            self._loaded[name] = ServiceModel(name, _read_model(name))
        return self._loaded[name]


def _read_model(service: str) -> ServiceData:
    """The newest version of the model of `service`."""
    folder = os.path.join(botocore.__path__[0], "data", service)
    versions = [v for v in os.listdir(folder) if _find_model(os.path.join(folder, v))] if os.path.isdir(folder) else []
    if not versions:
        raise LookupError(f"botocore {botocore.__version__} has no model of the service {service}.")
    newest = os.path.join(folder, max(versions))
    with _open(_find_model(newest)) as file:
        data = _DECODER.decode(file.read())
    extras = os.path.join(newest, "service-2.sdk-extras.json")
    if os.path.exists(extras):
        with open(extras, "rb") as file:
            data = _merge(data, msgspec.json.decode(file.read()).get("merge", {}))
    return data


def _find_model(folder: str) -> str:
    paths = (os.path.join(folder, name) for name in ("service-2.json.gz", "service-2.json"))
    return next((path for path in paths if os.path.exists(path)), "")


def _open(path: str) -> Any:
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")


def _merge(data: ServiceData, extras: Mapping[str, Any]) -> ServiceData:
    """What the SDKs say that the service's own file does not; only whole shapes are ever changed so far."""
    shapes = {name: msgspec.convert(shape, ShapeData) for name, shape in extras.get("shapes", {}).items()}
    return ServiceData(data.metadata, data.operations, data.shapes | shapes)
