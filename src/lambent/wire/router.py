"""Which operation a request asks for.

Each protocol names it in a place of its own: a target header, a path, a form's Action, method and URI. Where one place
fits several services, the service that the signature is scoped to decides; unsigned requests are matched all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lambent.errors import AwsError, UncodedError, UnknownOperationException
from lambent.request import Request
from lambent.wire.api_model import ApiModels, ServiceModel
from lambent.wire.compression import decompressed
from lambent.wire.dialects import READ_LATE, dialect_of
from lambent.wire.operation import Codec, CompiledOperation, Operation
from lambent.wire.text import parse_query
from lambent.wire.uri_index import UriIndex

_REST = frozenset({"rest-json", "rest-xml"})
#: REST matches kept, and how long method, path and query of one may be: a caller unknown yet fills this.
_RECENT = 1024
_RECENT_BYTES = 512
_FORM = b"application/x-www-form-urlencoded"


class InvalidAction(AwsError):
    """The action or operation requested is invalid. Verify that the action is typed correctly."""


class MissingAction(AwsError):
    """The request is missing an action or a required parameter."""


class Router:
    """Built once from the models of the served services; some are read at the first request that may be for them."""

    def __init__(self, models: ApiModels) -> None:
        self._models = models
        self._codecs: dict[tuple[str, str], Codec] = {}
        self._by_target: dict[str, ServiceModel] = {}
        self._by_signing_name: dict[str, list[ServiceModel]] = {}
        self._targets: dict[bytes, Operation] = {}
        self._uris: dict[str, UriIndex] = {}
        self._rest: list[ServiceModel] = []
        self._query: list[ServiceModel] = []
        #: (scope, method, path, query) → what it asks for, where no header has a say. Emptied when full.
        self._recent: dict[tuple[str, str, bytes, bytes], Operation] = {}
        #: Services whose models are not read yet, by the name that they sign with.
        self._late: dict[str, list[str]] = {}
        for name in models.services:
            if name in READ_LATE:
                self._late.setdefault(READ_LATE[name], []).append(name)
            else:
                self._add(models.service(name))

    def _add(self, service: ServiceModel) -> None:
        for protocol in (*service.protocols, *dialect_of(service.name).extra_protocols):
            self._codecs[service.name, protocol] = Codec(service, protocol)
        if service.metadata.target_prefix:
            self._by_target[service.metadata.target_prefix] = service
        self._by_signing_name.setdefault(service.signing_name, []).append(service)
        if service.metadata.protocol in _REST:
            self._uris[service.name] = UriIndex(
                [op for name in service.operation_names if (op := service.operation(name))]
            )
            # S3's `/{Bucket}/{Key+}` takes any path, so it is asked last.
            self._rest = sorted((*self._rest, service), key=lambda s: s.name == "s3")
        if (service.name, "query") in self._codecs:
            self._query.append(service)

    def _read_late(self, scope: str | None) -> None:
        """Read the models that a request signed for `scope` may need: all where it tells no service that is known."""
        if scope not in self._late and scope in self._by_signing_name:
            return
        for signing_name in [scope] if scope in self._late else list(self._late):
            assert signing_name is not None
            for name in self._late.pop(signing_name):
                self._add(self._models.service(name))

    def __repr__(self) -> str:
        return f"<Router {' '.join(sorted({service for service, _ in self._codecs}))}>"

    def match(self, request: Request) -> Operation:
        """Raises UnknownOperationException, InvalidAction or MissingAction."""
        target = request.header(b"x-amz-target")
        if target is not None:
            return self._targets.get(target) or self._match_target(target)
        if request.raw_path.startswith(b"/service/") and request.header(b"smithy-protocol"):
            return self._match_rpc(request)
        scope = signed_service(request)
        asked = (scope or "", request.method, request.raw_path, request.query)
        if (recent := self._recent.get(asked)) is not None:
            return recent
        if self._late:
            self._read_late(scope)
        services: Sequence[ServiceModel] = self._by_signing_name.get(scope, ()) if scope else ()
        rest = [service for service in services if service.name in self._uris]
        if rest or (not services and not _is_form(request)):
            operation = self._match_uri(rest or self._rest, request)
            if rest and not any(self._uris[service.name].asks_headers for service in rest):
                self._remember(asked, operation)
            return operation
        return self._match_action(services or self._query, request)

    def _remember(self, asked: tuple[str, str, bytes, bytes], operation: Operation) -> None:
        if sum(map(len, asked)) <= _RECENT_BYTES:
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            self._recent[asked] = operation

    def _match_target(self, target: bytes) -> Operation:
        prefix, _, name = target.decode("latin-1").rpartition(".")
        found = self._named(self._by_target.get(prefix), "json", name)
        if found is None:
            raise UnknownOperationException()
        # Only names of the models get here, so the table stays small.
        operation = self._targets[target] = found.match({})
        return operation

    def _match_rpc(self, request: Request) -> Operation:
        parts = request.raw_path.decode("latin-1").split("/")
        if len(parts) == 5 and parts[3] == "operation" and request.header(b"smithy-protocol") == b"rpc-v2-cbor":
            # The service may stand there with its namespace: `com.amazonaws.cloudwatch.GraniteServiceVersion20100801`.
            service = self._by_target.get(parts[2].rpartition(".")[2])
            found = self._named(service, "smithy-rpc-v2-cbor", parts[4])
            if found is not None:
                return found.match({})
        raise UnknownOperationException()

    def _match_uri(self, services: Sequence[ServiceModel], request: Request) -> Operation:
        for service in services:
            found = self._uris[service.name].find(_with_bucket(request) if service.name == "s3" else request)
            if found is not None:
                model, labels = found
                compiled = self._named(service, service.metadata.protocol, model.name)
                assert compiled is not None
                return compiled.match(labels)
        no_route = dialect_of(services[-1].name).no_route if services else None
        raise UncodedError(*no_route) if no_route else UnknownOperationException()

    def _match_action(self, services: Sequence[ServiceModel], request: Request) -> Operation:
        form = parse_query(request.query) | parse_query(decompressed(request).body)
        action, version = form.get("Action", [""])[-1], form.get("Version", [""])[-1]
        if not action:
            raise MissingAction()
        # An unsigned Action may be one of several services; their versions differ.
        by_version = sorted(services, key=lambda service: service.metadata.api_version != version)
        found = next((each for service in by_version if (each := self._named(service, "query", action))), None)
        if found is None:
            raise InvalidAction(f"Could not find operation {action[:100]} for version {version[:30] or 'NO_VERSION'}.")
        return found.match({})

    def _named(self, service: ServiceModel | None, protocol: str, name: str) -> CompiledOperation | None:
        codec = self._codecs.get((service.name, protocol)) if service else None
        return codec.operation(name) if codec else None


def _with_bucket(request: Request) -> Request:
    """S3's virtual hosts, `<bucket>.s3.<anything>`, name the bucket that the path would: `/<bucket>/<key>`."""
    host = request.header(b"host")
    if host is None or b".s3" not in host:
        return request
    bucket, _, rest = host.partition(b".s3")
    return replace(request, raw_path=b"/" + bucket + request.raw_path) if rest[:1] in {b".", b"-"} else request


def _is_form(request: Request) -> bool:
    content_type = request.header(b"content-type")
    if content_type is not None and content_type.startswith(_FORM):
        return True
    return request.query.startswith(b"Action=") or b"&Action=" in request.query


def signed_service(request: Request) -> str | None:
    """The service in the scope of the request's signature, `AKID/20250101/us-east-1/lambda/aws4_request`."""
    authorization = request.header(b"authorization")
    if authorization is not None:
        start = authorization.find(b"Credential=")
        scope = authorization[start + 11 :].split(b",", 1)[0].split(b"/") if start >= 0 else ()
        return scope[-2].decode("latin-1") if len(scope) >= 5 else None
    if b"X-Amz-Credential=" in request.query:
        scope_text = parse_query(request.query).get("X-Amz-Credential", [""])[0].split("/")
        return scope_text[-2] if len(scope_text) >= 5 else None
    return None
