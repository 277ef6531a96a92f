"""The only SQL for `lambda_functions`. Works on a transaction; environment variables are sealed on their way in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, and_, delete, func, select
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_in
from sqlalchemy.exc import IntegrityError

from lambent.services.lambda_.domain import Function, Package, Settings, State, UpdateStatus
from lambent.services.lambda_.errors import ResourceConflictException
from lambent.storage.secrets import SecretBox

Key = tuple[str, str, str]

_metadata = MetaData()
functions = Table(
    "lambda_functions",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("name", String, primary_key=True),
    #: Settings as JSON.
    Column("settings", LargeBinary, nullable=False),
    #: Variables as sealed JSON, NULL where none were given.
    Column("environment", LargeBinary),
    #: JSON.
    Column("tags", LargeBinary, nullable=False),
    Column("code_sha256", String, nullable=False),
    Column("code_size", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("update_status", String, nullable=False),
    Column("revision_id", String, nullable=False),
    Column("generation", String, nullable=False),
    Column("modified_ms", Integer, nullable=False),
    Column("reserved_concurrency", Integer),
)

_encode = msgspec.json.encode
_decode_settings = msgspec.json.Decoder(Settings).decode
_decode_strings = msgspec.json.Decoder(dict[str, str]).decode


class FunctionStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def __init__(self, secrets: SecretBox) -> None:
        self._secrets = secrets

    def insert(self, tx: Connection, function: Function) -> None:
        """Raises ResourceConflictException where the name is taken."""
        try:
            tx.execute(insert_into(functions).values(self._row(function)))
        except IntegrityError:
            raise ResourceConflictException(f"Function already exist: {function.name}") from None

    def find(self, tx: Connection, key: Key) -> Function | None:
        row = tx.execute(select(functions).where(_is(key))).mappings().first()
        return None if row is None else self._function(row)

    def replace(self, tx: Connection, function: Function) -> None:
        """Write `function` over the row that `find` gave in this transaction."""
        tx.execute(update_in(functions).where(_is(function.key)).values(self._row(function)))

    def change(self, tx: Connection, key: Key, change: Callable[[Connection, Function], Function]) -> Function | None:
        """Replace the function by what `change` makes of it; None where there is none."""
        current = self.find(tx, key)
        if current is None:
            return None
        changed = change(tx, current)
        if changed is not current:
            self.replace(tx, changed)
        return changed

    def delete(self, tx: Connection, key: Key) -> bool:
        """False where there was none."""
        return bool(tx.execute(delete(functions).where(_is(key))).rowcount)

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(functions))

    def page(self, tx: Connection, account: str, region: str, after: str, limit: int) -> list[Function]:
        """Up to `limit` functions in the order of their names, those behind `after`."""
        rows = tx.execute(
            select(functions)
            .where(functions.c.account == account, functions.c.region == region, functions.c.name > after)
            .order_by(functions.c.name)
            .limit(limit)
        )
        return [self._function(row) for row in rows.mappings()]

    def all(self, tx: Connection) -> list[Function]:
        return [self._function(row) for row in tx.execute(select(functions)).mappings()]

    def referenced_packages(self, tx: Connection) -> set[str]:
        return set(tx.execute(select(functions.c.code_sha256).distinct()).scalars())

    def usage(self, tx: Connection, account: str, region: str) -> tuple[int, int]:
        """Functions and the bytes of their packages."""
        row = tx.execute(
            select(func.count(), func.coalesce(func.sum(functions.c.code_size), 0)).where(
                functions.c.account == account, functions.c.region == region
            )
        ).one()
        return row[0], row[1]

    def reserved_concurrency(self, tx: Connection, account: str, region: str, *, but: str = "") -> int:
        """What all functions (`but` one) have reserved together."""
        return int(
            tx.execute(
                select(func.coalesce(func.sum(functions.c.reserved_concurrency), 0)).where(
                    functions.c.account == account, functions.c.region == region, functions.c.name != but
                )
            ).scalar_one()
        )

    def _row(self, function: Function) -> dict[str, Any]:
        environment = function.environment
        return {
            "account": function.account,
            "region": function.region,
            "name": function.name,
            "settings": _encode(function.settings),
            "environment": None if environment is None else self._secrets.seal(_encode(environment)),
            "tags": _encode(function.tags),
            "code_sha256": function.package.sha256,
            "code_size": function.package.size,
            "state": function.state.value,
            "update_status": function.update_status.value,
            "revision_id": function.revision_id,
            "generation": function.generation,
            "modified_ms": function.modified_ms,
            "reserved_concurrency": function.reserved_concurrency,
        }

    def _function(self, row: Any) -> Function:
        sealed = row["environment"]
        return Function(
            account=row["account"],
            region=row["region"],
            name=row["name"],
            settings=_decode_settings(row["settings"]),
            package=Package(row["code_sha256"], row["code_size"]),
            environment=None if sealed is None else _decode_strings(self._secrets.open(sealed)),
            modified_ms=row["modified_ms"],
            tags=_decode_strings(row["tags"]),
            state=State(row["state"]),
            update_status=UpdateStatus(row["update_status"]),
            revision_id=row["revision_id"],
            generation=row["generation"],
            reserved_concurrency=row["reserved_concurrency"],
        )


def _is(key: Key) -> Any:
    account, region, name = key
    return and_(functions.c.account == account, functions.c.region == region, functions.c.name == name)
