"""The only SQL for `lambda_provisioned`. Works on a transaction."""

from __future__ import annotations

import dataclasses
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, and_, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert_into

from lambent.services.lambda_.provisioned.domain import ProvisionedConfig
from lambent.services.lambda_.store import Key, functions

_metadata = MetaData()
provisioned = Table(
    "lambda_provisioned",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("function", String, primary_key=True),
    #: A version or an alias.
    Column("qualifier", String, primary_key=True),
    Column("amount", Integer, nullable=False),
    Column("modified_ms", Integer, nullable=False),
)


class ProvisionedStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def put(self, tx: Connection, config: ProvisionedConfig) -> None:
        row = dataclasses.asdict(config)
        statement = upsert_into(provisioned).values(row)
        tx.execute(
            statement.on_conflict_do_update(
                index_elements=["account", "region", "function", "qualifier"],
                set_={"amount": config.amount, "modified_ms": config.modified_ms},
            )
        )

    def find(self, tx: Connection, key: Key, qualifier: str) -> ProvisionedConfig | None:
        row = tx.execute(select(provisioned).where(_is(key, qualifier))).mappings().first()
        return None if row is None else ProvisionedConfig(**row)

    def of_function(self, tx: Connection, key: Key) -> list[ProvisionedConfig]:
        """In the order of their qualifiers."""
        rows = tx.execute(select(provisioned).where(_of(key)).order_by(provisioned.c.qualifier))
        return [ProvisionedConfig(**row) for row in rows.mappings()]

    def total(self, tx: Connection, key: Key) -> int:
        """Of all versions and aliases of the function."""
        return sum(config.amount for config in self.of_function(tx, key))

    def unreserved(self, tx: Connection, account: str, region: str, *, but: str = "") -> int:
        """What functions without a reservation (`but` one) have provisioned together."""
        joined = provisioned.join(
            functions,
            and_(
                functions.c.account == provisioned.c.account,
                functions.c.region == provisioned.c.region,
                functions.c.name == provisioned.c.function,
            ),
        )
        return int(
            tx.execute(
                select(func.coalesce(func.sum(provisioned.c.amount), 0))
                .select_from(joined)
                .where(
                    provisioned.c.account == account,
                    provisioned.c.region == region,
                    provisioned.c.function != but,
                    functions.c.reserved_concurrency.is_(None),
                )
            ).scalar_one()
        )

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        """Of one version or alias; None: of the function."""
        tx.execute(delete(provisioned).where(_of(key) if qualifier is None else _is(key, qualifier)))

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(provisioned))

    def all(self, tx: Connection) -> list[ProvisionedConfig]:
        return [ProvisionedConfig(**row) for row in tx.execute(select(provisioned)).mappings()]


def _of(key: Key) -> Any:
    account, region, name = key
    return and_(provisioned.c.account == account, provisioned.c.region == region, provisioned.c.function == name)


def _is(key: Key, qualifier: str) -> Any:
    return and_(_of(key), provisioned.c.qualifier == qualifier)
