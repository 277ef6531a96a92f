"""Reserved concurrency, and the account's limits that it is taken from."""

from __future__ import annotations

import dataclasses
from typing import Any

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.code.archive import UNZIPPED_LIMIT
from lambent.services.lambda_.code.storage_limit import LIMIT_BYTES, StorageLimit
from lambent.services.lambda_.code.store import ZIPPED_LIMIT
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import InvalidParameterValueException
from lambent.services.lambda_.names import LATEST, FunctionName, function_name
from lambent.services.lambda_.provisioned.changes import UNRESERVED_MINIMUM
from lambent.services.lambda_.provisioned.store import ProvisionedStore
from lambent.services.lambda_.store import FunctionStore
from lambent.storage.database import Database


class ConcurrencyOperations:
    def __init__(
        self,
        database: Database,
        store: FunctionStore,
        functions: Functions,
        storage: StorageLimit,
        provisioned: ProvisionedStore,
        account_limit: int,
    ) -> None:
        self._database = database
        self._store = store
        self._functions = functions
        self._storage = storage
        self._provisioned = provisioned
        self._limit = account_limit

    async def PutFunctionConcurrency(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        # Where there is no such function, AWS names $LATEST here.
        name = dataclasses.replace(_function(context, params, "PutFunctionConcurrency"), qualifier=LATEST)
        wanted: int = params["ReservedConcurrentExecutions"]

        def change(tx: Connection, function: Function) -> Function:
            others = self._store.reserved_concurrency(tx, context.account, context.region, but=name.name)
            others += self._provisioned.unreserved(tx, context.account, context.region, but=name.name)
            if self._limit - others - wanted < UNRESERVED_MINIMUM:
                raise InvalidParameterValueException(
                    "Specified ReservedConcurrentExecutions for function decreases account's "
                    f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MINIMUM}]."
                )
            provisioned = self._provisioned.total(tx, name.key)
            if wanted < provisioned:
                # The blanks are AWS's.
                raise InvalidParameterValueException(
                    f" ReservedConcurrentExecutions  {wanted} should not be lower than "
                    f"function's total provisioned concurrency [{provisioned}]."
                )
            return dataclasses.replace(function, reserved_concurrency=wanted)

        await self._functions.amend(name, change)
        return {"ReservedConcurrentExecutions": wanted}

    async def GetFunctionConcurrency(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _function(context, params, "GetFunctionConcurrency")
        reserved = (await self._functions.find(name)).reserved_concurrency
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    async def DeleteFunctionConcurrency(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _function(context, params, "DeleteFunctionConcurrency")
        await self._functions.amend(
            name, lambda _tx, function: dataclasses.replace(function, reserved_concurrency=None)
        )
        return {}

    async def GetAccountSettings(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def look(tx: Connection) -> tuple[int, int, int]:
            count, _code_size = self._store.usage(tx, context.account, context.region)
            return (
                count,
                self._storage.used(tx, context.account, context.region),
                self._store.reserved_concurrency(tx, context.account, context.region)
                + self._provisioned.unreserved(tx, context.account, context.region),
            )

        count, code_size, reserved = await self._database.read(look)
        return {
            "AccountLimit": {
                "TotalCodeSize": LIMIT_BYTES,
                "CodeSizeUnzipped": UNZIPPED_LIMIT,
                "CodeSizeZipped": ZIPPED_LIMIT,
                "ConcurrentExecutions": self._limit,
                "UnreservedConcurrentExecutions": self._limit - reserved,
            },
            "AccountUsage": {"TotalCodeSize": code_size, "FunctionCount": count},
        }


def _function(context: Context, params: dict[str, Any], action: str) -> FunctionName:
    """Reserved concurrency is the function's, one for all its versions."""
    name = function_name(context, params["FunctionName"], action=action)
    if name.qualifier is not None:
        raise InvalidParameterValueException(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )
    return name
