"""Request validators: required parameters, and bodies by the models of their content types."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.failures import (
    BAD_REQUEST_BODY,
    BAD_REQUEST_PARAMETERS,
    GatewayError,
    misconfigured,
)
from lambent.services.apigateway.domain import Method, Model

#: Larger bodies are checked on a thread.
LARGE_BODY = 16 * 1024
_PREFIX = "method.request."


async def validate(exchange: Exchange, method: Method) -> None:
    """Raises GatewayError where the method's validator refuses the request."""
    validator = exchange.api.definition.validators.get(method.request_validator_id or "")
    if validator is None:
        return
    if validator.validates_parameters:
        _check_parameters(exchange, method)
    if validator.validates_body:
        await _check_body(exchange, method)


def _check_parameters(exchange: Exchange, method: Method) -> None:
    missing = [
        path.rpartition(".")[2] if path.startswith(f"{_PREFIX}path.") else path.removeprefix(_PREFIX).partition(".")[2]
        for path, required in method.request_parameters.items()
        if required and not _has(exchange, path.removeprefix(_PREFIX))
    ]
    if missing:
        raise GatewayError(
            BAD_REQUEST_PARAMETERS,
            f"Missing required request parameters: [{', '.join(missing)}]",
            reason=f"Request failed validation: missing required request parameters: [{', '.join(missing)}]",
        )


def _has(exchange: Exchange, path: str) -> bool:
    """Is there a value that is not blank?"""
    place, _, name = path.partition(".")
    if place in ("header", "multivalueheader"):
        return any(key == name.lower() and value.strip() for key, value in exchange.facts.headers)
    if place in ("querystring", "multivaluequerystring"):
        return any(key == name and value.strip() for key, value in exchange.facts.query)
    return bool(exchange.path_parameters.get(name))


async def _check_body(exchange: Exchange, method: Method) -> None:
    kind = (exchange.facts.header("content-type") or "application/json").partition(";")[0].strip().lower()
    name = method.request_models.get(kind) or method.request_models.get("$default")
    model = exchange.api.definition.models.get(name or "")
    if model is None:
        # AWS checks no body whose content type has no model.
        return
    validator = await _validator(exchange, model)
    body = exchange.facts.body
    errors = await asyncio.to_thread(validator.errors, body) if len(body) > LARGE_BODY else validator.errors(body)
    if errors:
        reason = f"Request body does not match model schema for content type {kind}: [{', '.join(errors)}]"
        raise GatewayError(BAD_REQUEST_BODY, reason=reason, validation_errors=errors)


async def _validator(exchange: Exchange, model: Model) -> Any:
    """A schemas.ModelValidator, made once per deployment."""
    found = exchange.api.schemas.get(model.name)
    if found is None:
        # By name and on a thread: the library takes a tenth of a second to import, and most regions never need it.
        module = await asyncio.to_thread(importlib.import_module, "lambent.edge.execute_api.rest.schemas")
        try:
            found = module.ModelValidator(exchange.api.definition, model)
        except ValueError:
            raise misconfigured(f"The model {model.name} is not JSON Schema") from None
        exchange.api.schemas[model.name] = found
    return found
