"""Request validators, and the models that they check bodies against."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from lambent.context import Context
from lambent.services.apigateway import describe, models, resource_tree
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import Model, RequestValidator, RestApi
from lambent.services.apigateway.errors import BadRequestException, ConflictException, NotFoundException
from lambent.services.apigateway.identifiers import short_id
from lambent.services.apigateway.paging import page
from lambent.services.apigateway.patches import Patch, Rules, field


class RequestValidatorOperations:
    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    async def CreateRequestValidator(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        made = RequestValidator(
            id=short_id(),
            name=_checked_name(params.get("name") or ""),
            validates_body=bool(params.get("validateRequestBody")),
            validates_parameters=bool(params.get("validateRequestParameters")),
        )
        missing = BadRequestException("Invalid REST API identifier specified")
        await self._apis.change(context, params["restApiId"], lambda api: _with_validator(api, made), missing)
        return describe.request_validator(made)

    async def GetRequestValidator(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"], _no_validator())
        return describe.request_validator(_validator(api, params["requestValidatorId"]))

    async def GetRequestValidators(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"])
        return page(api.validators.values(), params, lambda one: f"{one.name} {one.id}", describe.request_validator)

    async def UpdateRequestValidator(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        validator_id = params["requestValidatorId"]

        def change(api: RestApi) -> RestApi:
            patched = _VALIDATOR_RULES.apply(_validator(api, validator_id), params.get("patchOperations"))
            return _with_validator(api, patched)

        api = await self._apis.change(context, params["restApiId"], change, _no_validator())
        return describe.request_validator(api.validators[validator_id])

    async def DeleteRequestValidator(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(api: RestApi) -> RestApi:
            found = _validator(api, params["requestValidatorId"])
            for resource, method in resource_tree.methods(api):
                if method.request_validator_id == found.id:
                    raise ConflictException(
                        f"Cannot delete request validator '{found.name}', is referenced in method: "
                        f"{resource.path}/{method.http_method}"
                    )
            kept = {key: one for key, one in api.validators.items() if key != found.id}
            return msgspec.structs.replace(api, validators=kept)

        await self._apis.change(context, params["restApiId"], change, _no_validator())
        return {}


class ModelOperations:
    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    async def CreateModel(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        made = Model(
            id=short_id(),
            name=params["name"],
            content_type=params["contentType"],
            schema=params.get("schema") or "",
            description=params.get("description") or "",
        )
        # A first look before the work of checking the schema; the change is what decides.
        models.check_name(await self._apis.find(context, params["restApiId"]), made.name)
        await asyncio.to_thread(models.check_schema, made.content_type, made.schema)

        def change(api: RestApi) -> RestApi:
            models.check_name(api, made.name)
            models.check_references(api, made)
            return _with_model(api, made)

        await self._apis.change(context, params["restApiId"], change)
        return describe.model(made)

    async def GetModel(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"], _no_model(params))
        found = models.find(api, params["modelName"])
        if not params.get("flatten") or found.content_type != "application/json":
            return describe.model(found)
        return describe.model(found, json.dumps(models.flattened(api.models, found.name)))

    async def GetModels(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"])
        return page(api.models.values(), params, lambda one: one.name, describe.model)

    async def UpdateModel(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = params["modelName"]
        before = models.find(await self._apis.find(context, params["restApiId"], _no_model(params)), name)
        patched = models.RULES.apply(before, params.get("patchOperations"))
        if patched.schema != before.schema:
            await asyncio.to_thread(models.check_schema, patched.content_type, patched.schema)

        def change(api: RestApi) -> RestApi:
            changed = models.RULES.apply(models.find(api, name), params.get("patchOperations"))
            models.check_references(api, changed)
            return _with_model(api, changed)

        api = await self._apis.change(context, params["restApiId"], change, _no_model(params))
        return describe.model(api.models[name])

    async def DeleteModel(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(api: RestApi) -> RestApi:
            found = models.find(api, params["modelName"])
            _check_unused(api, found.name)
            kept = {key: one for key, one in api.models.items() if key != found.name}
            return msgspec.structs.replace(api, models=kept)

        await self._apis.change(context, params["restApiId"], change, _no_model(params))
        return {}


def _with_validator(api: RestApi, validator: RequestValidator) -> RestApi:
    return msgspec.structs.replace(api, validators={**api.validators, validator.id: validator})


def _with_model(api: RestApi, model: Model) -> RestApi:
    return msgspec.structs.replace(api, models={**api.models, model.name: model})


def _no_validator() -> NotFoundException:
    return NotFoundException("Invalid Request Validator identifier specified")


def _no_model(params: dict[str, Any]) -> NotFoundException:
    return NotFoundException(f"Invalid model name specified: {params['modelName']}")


def _validator(api: RestApi, validator_id: str) -> RequestValidator:
    found = api.validators.get(validator_id)
    if found is None:
        raise _no_validator()
    return found


def _checked_name(name: str) -> str:
    if not name.strip():
        raise BadRequestException("Request Validator name cannot be blank")
    return name


def _patched_name(patch: Patch) -> str:
    return _checked_name(patch.value)


def _check_unused(api: RestApi, name: str) -> None:
    for resource, method in resource_tree.methods(api):
        where = f"{resource.path}/{method.http_method}"
        if name in method.request_models.values():
            raise ConflictException(f"Cannot delete model '{name}', is referenced in method request: {where}")
        if any(name in response.models.values() for response in method.responses.values()):
            raise ConflictException(f"Cannot delete model '{name}', is referenced in method response: {where}")
    for other in api.models.values():
        if other.name != name and name in models.named_by(other):
            raise ConflictException(f"Cannot delete model '{name}', is referenced in model: {other.name}")


_VALIDATOR_RULES: Rules[RequestValidator] = Rules(
    {
        "/name": field("name", _patched_name),
        "/validateRequestParameters": field("validates_parameters", lambda patch: patch.flag),
        "/validateRequestBody": field("validates_body", lambda patch: patch.flag),
    },
    named=True,
)
