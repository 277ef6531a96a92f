"""A function's code: UpdateFunctionCode, and what an upload may be."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.lambda_ import configuration, describe
from lambent.services.lambda_.changes import Functions, check_revision
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.domain import Function, Settings
from lambent.services.lambda_.errors import InvalidParameterValueException, UnsupportedHere
from lambent.services.lambda_.names import latest_name
from lambent.services.lambda_.references import References
from lambent.services.lambda_.signing.deployments import Signing


class CodeOperations:
    def __init__(
        self, functions: Functions, references: References, signing: Signing, code: CodeStore, clock: Clock
    ) -> None:
        self._functions = functions
        self._references = references
        self._signing = signing
        self._code = code
        self._clock = clock

    async def UpdateFunctionCode(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = latest_name(context, params, action="UpdateFunctionCode")
        configuration.refuse_unsupported(params)
        # Unzipping is much work to do for a function that isn't there.
        current = await self._functions.find(name)
        data = uploaded_zip(params, verb="updating")
        dry = bool(params.get("DryRun"))
        await self._signing.admit(name.key, dry=dry)
        if dry:
            check_revision(current, params.get("RevisionId"))
            package = await self._code.check(data)
            return describe.configuration(
                dataclasses.replace(current, package=package, settings=_built(current, params))
            )
        publish = bool(params.get("Publish"))
        async with self._code.admitted(data) as package:

            def change(function: Function) -> Function:
                self._references.check_size_now(package, function.settings.layers)
                return function.updated(self._clock.now(), package=package, settings=_built(function, params))

            updated = await self._functions.update(name, params.get("RevisionId"), change, publish=publish)
        return describe.configuration(updated, updated.version if publish else None)


def _built(function: Function, params: dict[str, Any]) -> Settings:
    """Its settings with the architecture of new code."""
    wanted = configuration.architecture(params)
    return function.settings if wanted is None else msgspec.structs.replace(function.settings, architecture=wanted)


def uploaded_zip(code: dict[str, Any], *, verb: str) -> bytes:
    """The zip in `code` (FunctionCode, or the parameters of UpdateFunctionCode); raises for any other source."""
    if code.get("ImageUri"):
        raise InvalidParameterValueException(
            f"Please don't provide ImageUri when {verb} a function with packageType Zip."
        )
    if code.get("SourceKMSKeyArn"):
        raise UnsupportedHere("SourceKMSKeyArn", "there is no KMS here.")
    data: bytes | None = code.get("ZipFile")
    if code.get("S3Bucket") or code.get("S3Key"):
        if data is not None:
            raise InvalidParameterValueException("Please provide either a ZipFile or an S3 location, not both.")
        raise InvalidParameterValueException(
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket. "
            "S3 Error Message: The specified bucket does not exist."
        )
    if data is None:
        raise InvalidParameterValueException("Please provide a source for function code.")
    return data
