"""The only SQL for `lambda_aliases`. Works on a transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, and_, delete, select
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_in
from sqlalchemy.exc import IntegrityError

from lambent.services.lambda_.aliases.domain import Alias
from lambent.services.lambda_.errors import ResourceConflictException
from lambent.services.lambda_.store import Key

_metadata = MetaData()
aliases = Table(
    "lambda_aliases",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("function", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", String, nullable=False),
    #: JSON.
    Column("weights", LargeBinary, nullable=False),
    Column("description", String, nullable=False),
    Column("revision_id", String, nullable=False),
)

_encode = msgspec.json.encode
_decode_weights = msgspec.json.Decoder(dict[str, float]).decode


class AliasStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def insert(self, tx: Connection, alias: Alias) -> None:
        """Raises ResourceConflictException where the name is taken."""
        try:
            tx.execute(insert_into(aliases).values(_row(alias)))
        except IntegrityError:
            raise ResourceConflictException(f"Alias already exists: {alias.arn}") from None

    def find(self, tx: Connection, function: Key, name: str) -> Alias | None:
        row = tx.execute(select(aliases).where(_is(function, name))).mappings().first()
        return None if row is None else _alias(row)

    def replace(self, tx: Connection, alias: Alias) -> None:
        tx.execute(update_in(aliases).where(_is(alias.function_key, alias.name)).values(_row(alias)))

    def delete(self, tx: Connection, function: Key, name: str) -> bool:
        """False where there was none."""
        return bool(tx.execute(delete(aliases).where(_is(function, name))).rowcount)

    def delete_of_function(self, tx: Connection, function: Key) -> None:
        tx.execute(delete(aliases).where(_of(function)))

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(aliases))

    def of_function(self, tx: Connection, function: Key) -> list[Alias]:
        """In the order of their names."""
        rows = tx.execute(select(aliases).where(_of(function)).order_by(aliases.c.name))
        return [_alias(row) for row in rows.mappings()]

    def all(self, tx: Connection) -> list[Alias]:
        return [_alias(row) for row in tx.execute(select(aliases)).mappings()]


def _row(alias: Alias) -> dict[str, Any]:
    return {
        "account": alias.account,
        "region": alias.region,
        "function": alias.function,
        "name": alias.name,
        "version": alias.version,
        "weights": _encode(alias.weights),
        "description": alias.description,
        "revision_id": alias.revision_id,
    }


def _alias(row: Any) -> Alias:
    return Alias(**{**row, "weights": _decode_weights(row["weights"])})


def _of(function: Key) -> Any:
    account, region, name = function
    return and_(aliases.c.account == account, aliases.c.region == region, aliases.c.function == name)


def _is(function: Key, name: str) -> Any:
    return and_(_of(function), aliases.c.name == name)
