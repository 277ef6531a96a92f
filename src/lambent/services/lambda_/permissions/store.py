"""The only SQL for `lambda_policies`: those on functions, versions and aliases. Works on a transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, and_, delete, select
from sqlalchemy.dialects.sqlite import insert

from lambent.services.lambda_.permissions.domain import ResourcePolicy

#: Account, region, function.
Key = tuple[str, str, str]

_metadata = MetaData()
policies = Table(
    "lambda_policies",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("function", String, primary_key=True),
    #: A version or an alias; `$LATEST` for the function itself.
    Column("qualifier", String, primary_key=True),
    #: As JSON.
    Column("statements", LargeBinary, nullable=False),
)

_decode = msgspec.json.Decoder(tuple[dict[str, Any], ...]).decode


class PolicyStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def find(self, tx: Connection, key: Key, qualifier: str) -> ResourcePolicy | None:
        row = tx.execute(select(policies.c.statements).where(_is(key), policies.c.qualifier == qualifier)).first()
        return None if row is None else ResourcePolicy(_decode(row[0]))

    def put(self, tx: Connection, key: Key, qualifier: str, policy: ResourcePolicy | None) -> None:
        """None: there is none any more."""
        if policy is None:
            self.delete(tx, key, qualifier)
            return
        account, region, function = key
        statements = msgspec.json.encode(policy.statements)
        tx.execute(
            insert(policies)
            .values(account=account, region=region, function=function, qualifier=qualifier, statements=statements)
            .on_conflict_do_update(index_elements=list(policies.primary_key), set_={"statements": statements})
        )

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        """Of one qualifier; None: of all."""
        chosen = _is(key) if qualifier is None else and_(_is(key), policies.c.qualifier == qualifier)
        tx.execute(delete(policies).where(chosen))

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(policies))

    def all(self, tx: Connection) -> list[tuple[Key, str, ResourcePolicy]]:
        return [
            ((row.account, row.region, row.function), row.qualifier, ResourcePolicy(_decode(row.statements)))
            for row in tx.execute(select(policies))
        ]


def _is(key: Key) -> Any:
    account, region, function = key
    return and_(policies.c.account == account, policies.c.region == region, policies.c.function == function)
