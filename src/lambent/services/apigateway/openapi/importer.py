"""From a definition to an API, by the rules of the single operations. Pure but for random identifiers.

AWS goes on after a mistake and tells all of them at the end; so does this.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from lambent.errors import AwsError
from lambent.services.apigateway import integrations, methods, models, resource_tree, settings
from lambent.services.apigateway.domain import (
    GatewayResponse,
    IntegrationResponse,
    Method,
    Model,
    RequestValidator,
    RestApi,
)
from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere
from lambent.services.apigateway.gateway_responses import TYPES
from lambent.services.apigateway.gateway_responses import checked as checked_gateway_response
from lambent.services.apigateway.identifiers import short_id
from lambent.services.apigateway.openapi import declared
from lambent.services.apigateway.openapi.document import Definition, Node
from lambent.services.apigateway.openapi.security import Security

_replace = msgspec.structs.replace
_INTEGRATION_NAMES = {"httpMethod": "integrationHttpMethod"}
_UPPER = ("type", "passthroughBehavior", "contentHandling", "connectionType", "responseTransferMode")


@dataclass(frozen=True, slots=True)
class Imported:
    api: RestApi
    warnings: list[str]
    #: Those that the definition hands to API Gateway: who imports it must be allowed to pass them.
    roles: frozenset[str]


def imported(
    api: RestApi,
    definition: Definition,
    options: Mapping[str, str],
    *,
    before: RestApi | None = None,
    check: bool = True,
) -> Imported:
    """`api` with all that `definition` says. `api` is empty, or what is to be merged into.

    What has the name or path of something in `before` (by default `api`) keeps its id. `check` is False where schemas
    and types have been checked before, which takes longer than all the rest.
    """
    work = _Import(api, definition, before or api, check=check)
    try:
        work.read_api(options)
        work.read_models()
        work.read_validators()
        work.read_gateway_responses()
        work.read_paths(_prefix(definition.base_path(), options.get("basepath", "ignore")))
        if check and not work.errors:
            # Anything may stand anywhere in a definition: what is kept has the types that it is read with.
            msgspec.json.decode(msgspec.json.encode(work.api), type=RestApi)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise BadRequestException(f"Invalid API definition: {error}") from error
    if work.errors:
        raise BadRequestException("Errors found during import:\n\t" + "\n\t".join(work.errors))
    return Imported(work.api, work.warnings, frozenset(work.roles))


class _Import:
    """One import under way."""

    def __init__(self, api: RestApi, definition: Definition, before: RestApi, *, check: bool) -> None:
        self.api = api
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.roles: set[str] = set()
        self._definition = definition
        self._check = check
        # Ids that stay.
        self._resource_ids = {one.path: one.id for one in before.resources.values()}
        self._validator_ids = {one.name: one.id for one in before.validators.values()}
        self._model_ids = {one.name: one.id for one in before.models.values()}
        self._security = Security(definition, {one.name: one.id for one in before.authorizers.values()})

    def read_api(self, options: Mapping[str, str]) -> None:
        definition = self._definition
        changed: dict[str, Any] = {}
        binary = definition.extension("binary-media-types")
        if binary is not None:
            changed["binary_media_types"] = tuple(str(one) for one in binary)
        size = definition.extension("minimum-compression-size")
        if size is not None:
            changed["minimum_compression_size"] = settings.checked_compression(size)
        source = definition.extension("api-key-source")
        if source is not None:
            settings.checked_key_source(str(source))
        endpoint = definition.extension("endpoint-configuration") or {}
        settings.refuse_vpc_endpoints(endpoint.get("vpcEndpointIds"))
        if "disableExecuteApiEndpoint" in endpoint:
            changed["disable_execute_api_endpoint"] = bool(endpoint["disableExecuteApiEndpoint"])
        if options.get("endpointConfigurationTypes"):
            changed["endpoint_type"] = settings.one_type(options["endpointConfigurationTypes"].split(","))
        if definition.extension("documentation") and "documentation" not in options.get("ignore", ""):
            raise UnsupportedHere("x-amazon-apigateway-documentation", "import it with ignore=documentation.")
        described = {
            "description": str(definition.info.get("description") or ""),
            "version": str(definition.info.get("version") or ""),
        }
        self.api = _replace(self.api, name=definition.title or self.api.name, **described, **changed)
        policy = definition.extension("policy")
        if policy is not None:
            self.api = settings.with_policy(self.api, json.dumps(policy))

    # ---- what methods refer to

    def read_models(self) -> None:
        """All of them before any is checked: they refer to each other."""
        made = []
        for name, schema in self._definition.schemas().items():
            with self._telling(f"Unable to create model '{name}'"):
                models.check_name(_replace(self.api, models={}), name)
                made.append(self._model(name, schema))
        self.api = _replace(self.api, models={**self.api.models, **{model.name: model for model in made}})
        for model in made:
            self._check_model(model)

    def read_validators(self) -> None:
        for name, node in (self._definition.extension("request-validators") or {}).items():
            validator = RequestValidator(
                id=self._validator_ids.get(name) or short_id(),
                name=name,
                validates_body=bool(node.get("validateRequestBody")),
                validates_parameters=bool(node.get("validateRequestParameters")),
            )
            self.api = _replace(self.api, validators={**self.api.validators, validator.id: validator})

    def read_gateway_responses(self) -> None:
        for name, node in (self._definition.extension("gateway-responses") or {}).items():
            with self._telling(f"Unable to put gateway response '{name}'"):
                if name not in TYPES:
                    raise BadRequestException(f"Invalid response type specified: {name}")
                status = node.get("statusCode")
                response = GatewayResponse(
                    type=name,
                    status_code=None if status in (None, "null") else str(status),
                    parameters=node.get("responseParameters") or {},
                    templates=node.get("responseTemplates") or {},
                )
                checked = {**self.api.gateway_responses, name: checked_gateway_response(response)}
                self.api = _replace(self.api, gateway_responses=checked)

    def _model(self, name: str, schema: Node) -> Model:
        text = json.dumps(_canonical(schema, self.api.id), indent=2)
        return Model(
            id=self._model_ids.get(name) or short_id(),
            name=name,
            schema=text,
            description=str(schema.get("description") or ""),
        )

    def _check_model(self, model: Model) -> None:
        with self._telling(f"Unable to create model '{model.name}'"):
            if self._check:
                models.check_schema(model.content_type, model.schema)
            models.check_references(self.api, model)

    # ---- paths

    def read_paths(self, prefix: str) -> None:
        for name in self._security.names():
            with self._telling(f"Unable to create authorizer '{name}'"):
                self.api, authorizer = self._security.with_authorizer(self.api, name)
                self._note_role(authorizer.credentials)
        for path, http_method, operation in self._definition.operations():
            with self._telling(f"Unable to create resource at path '{prefix}{path}'"):
                self.api, resource = resource_tree.ensured(self.api, prefix + path, self._resource_ids)
                self._read_method(resource.id, resource.path, http_method, operation)

    def _read_method(self, resource_id: str, path: str, http_method: str, operation: Node) -> None:
        with self._telling(f"Unable to put method '{http_method}' on resource at path '{path}'"):
            method = self._method(http_method, operation)
            self.api = resource_tree.with_method(self.api, resource_id, method)
            node = self._definition.extension("integration", operation)
            if node is not None:
                self._read_integration(resource_id, path, method, node)

    def _method(self, http_method: str, operation: Node) -> Method:
        for place in declared.unsupported_parameters(operation):
            self.warnings.append(f"Parameters in {place} are not validated: {http_method}")
        method = Method(
            http_method=http_method,
            operation_name=str(operation.get("operationId") or ""),
            request_validator_id=self._validator(operation),
            request_parameters=declared.request_parameters(operation),
            request_models=declared.request_models(self._definition, operation, self._named),
            responses=declared.responses(self._definition, operation, self._named),
            **self._security.of(operation, self.api),
        )
        for response in method.responses.values():
            methods.checked_response(self.api, response)
        return methods.checked(self.api, method)

    def _read_integration(self, resource_id: str, path: str, method: Method, node: Node) -> None:
        where = f"on '{method.http_method}' for resource at path '{path}'"
        with self._telling(f"Unable to put integration {where}"):
            params = _integration_params(node)
            integration = integrations.checked(self.api, method, integrations.made(resource_id, params))
            self._note_role(integration.credentials)
            responses = {}
            for pattern, response in (node.get("responses") or {}).items():
                with self._telling(f"Unable to put integration response {where}"):
                    made = integrations.checked_response(method, _integration_response(pattern, response))
                    responses[made.status_code] = made
            changed = _replace(method, integration=_replace(integration, responses=responses))
            self.api = resource_tree.with_method(self.api, resource_id, changed)

    def _validator(self, operation: Node) -> str | None:
        extension = self._definition.extension
        name = extension("request-validator", operation) or extension("request-validator")
        if not name:
            return None
        found = next((one.id for one in self.api.validators.values() if one.name == name), None)
        if found is None:
            raise BadRequestException("Invalid Request Validator identifier specified")
        return found

    def _named(self, schema: Node) -> str:
        """The model that a schema of a body names, or one made for it."""
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return reference.rsplit("/", 1)[-1]
        model = self._model(f"MODEL{os.urandom(3).hex()}", schema)
        self.api = _replace(self.api, models={**self.api.models, model.name: model})
        self._check_model(model)
        return model.name

    def _note_role(self, role: str) -> None:
        if role:
            self.roles.add(role)

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        try:
            yield
        except AwsError as error:
            self.errors.append(f"{doing}: {error.message}")


def _prefix(base_path: str, mode: str) -> str:
    """What AWS's `basepath` puts before every path."""
    if mode == "prepend":
        return base_path
    if mode == "split":
        # The first part belongs to a custom domain name, the rest to the paths.
        return "".join(f"/{part}" for part in base_path.split("/")[2:])
    if mode != "ignore":
        raise BadRequestException("Invalid basepath specified. Valid options are ignore,prepend,split")
    return ""


def _integration_params(node: Node) -> dict[str, Any]:
    """`x-amazon-apigateway-integration` as the parameters of PutIntegration."""
    params = {_INTEGRATION_NAMES.get(key, key): value for key, value in node.items()}
    params |= {key: str(params[key]).upper() for key in _UPPER if params.get(key)}
    if params.get("type") not in integrations.TYPES:
        raise BadRequestException(f"Invalid integration type specified: {node.get('type')}")
    return params


def _integration_response(pattern: str, node: Node) -> IntegrationResponse:
    handling = node.get("contentHandling")
    return IntegrationResponse(
        status_code=str(node.get("statusCode") or "200"),
        selection_pattern=None if pattern == "default" else pattern,
        parameters={name: str(value) for name, value in (node.get("responseParameters") or {}).items()},
        templates=node.get("responseTemplates") or {},
        content_handling=str(handling).upper() if handling else None,
    )


def _canonical(schema: Any, api_id: str) -> Any:
    """References between schemas of a definition as references between models."""
    if isinstance(schema, list):
        return [_canonical(item, api_id) for item in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    changed = {key: _canonical(item, api_id) for key, item in schema.items()}
    if isinstance(reference, str) and reference.startswith(("#/definitions/", "#/components/schemas/")):
        name = reference.rsplit("/", 1)[-1]
        changed["$ref"] = f"https://apigateway.amazonaws.com/restapis/{api_id}/models/{name}"
    return changed
