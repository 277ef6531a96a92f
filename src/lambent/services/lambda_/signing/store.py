"""The only SQL for code signing configurations and for which functions have one. Works on a transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, and_, delete, select
from sqlalchemy.dialects.sqlite import insert

from lambent.services.lambda_.signing.domain import CodeSigningConfig, ConfigKey
from lambent.services.lambda_.store import Key

_metadata = MetaData()
configs = Table(
    "lambda_code_signing_configs",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("description", String),
    #: ARNs of signing profile versions, as JSON.
    Column("publishers", LargeBinary, nullable=False),
    #: Warn | Enforce
    Column("policy", String, nullable=False),
    #: JSON.
    Column("tags", LargeBinary, nullable=False),
    Column("modified_ms", Integer, nullable=False),
)
uses = Table(
    "lambda_code_signing",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("function", String, primary_key=True),
    #: Id of the configuration.
    Column("config", String, nullable=False),
)

_encode = msgspec.json.encode
_decode_publishers = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_tags = msgspec.json.Decoder(dict[str, str]).decode


class SigningStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def put(self, tx: Connection, config: CodeSigningConfig) -> None:
        """Write it, over what was there."""
        row = _row(config)
        tx.execute(
            insert(configs).values(row).on_conflict_do_update(index_elements=list(configs.primary_key), set_=row)
        )

    def find(self, tx: Connection, key: ConfigKey) -> CodeSigningConfig | None:
        row = tx.execute(select(configs).where(_is(key))).mappings().first()
        return None if row is None else _config(row)

    def delete(self, tx: Connection, key: ConfigKey) -> None:
        tx.execute(delete(configs).where(_is(key)))

    def page(self, tx: Connection, account: str, region: str, after: str, limit: int) -> list[CodeSigningConfig]:
        """Up to `limit` configurations in the order of their ids, those behind `after`."""
        rows = tx.execute(
            select(configs)
            .where(configs.c.account == account, configs.c.region == region, configs.c.id > after)
            .order_by(configs.c.id)
            .limit(limit)
        )
        return [_config(row) for row in rows.mappings()]

    # ---- of functions ----

    def use(self, tx: Connection, function: Key, config_id: str) -> None:
        """Put the configuration on the function, in place of another."""
        account, region, name = function
        tx.execute(
            insert(uses)
            .values(account=account, region=region, function=name, config=config_id)
            .on_conflict_do_update(index_elements=list(uses.primary_key), set_={"config": config_id})
        )

    def used_by(self, tx: Connection, function: Key) -> CodeSigningConfig | None:
        """The configuration that is on the function."""
        account, region, _name = function
        config_id = tx.execute(select(uses.c.config).where(_of(function))).scalar()
        return None if config_id is None else self.find(tx, (account, region, config_id))

    def release(self, tx: Connection, function: Key) -> None:
        """Take it off the function."""
        tx.execute(delete(uses).where(_of(function)))

    def users(self, tx: Connection, key: ConfigKey, after: str, limit: int) -> list[str]:
        """Names of functions with the configuration, in their order, those behind `after`."""
        account, region, config_id = key
        rows = tx.execute(
            select(uses.c.function)
            .where(
                uses.c.account == account,
                uses.c.region == region,
                uses.c.config == config_id,
                uses.c.function > after,
            )
            .order_by(uses.c.function)
            .limit(limit)
        )
        return list(rows.scalars())

    def delete_all(self, tx: Connection) -> None:
        for table in (uses, configs):
            tx.execute(delete(table))


def _row(config: CodeSigningConfig) -> dict[str, Any]:
    return {
        "account": config.account,
        "region": config.region,
        "id": config.id,
        "description": config.description,
        "publishers": _encode(config.publishers),
        "policy": config.policy,
        "tags": _encode(config.tags),
        "modified_ms": config.modified_ms,
    }


def _config(row: Any) -> CodeSigningConfig:
    return CodeSigningConfig(
        account=row["account"],
        region=row["region"],
        id=row["id"],
        publishers=_decode_publishers(row["publishers"]),
        modified_ms=row["modified_ms"],
        policy=row["policy"],
        description=row["description"],
        tags=_decode_tags(row["tags"]),
    )


def _is(key: ConfigKey) -> Any:
    account, region, config_id = key
    return and_(configs.c.account == account, configs.c.region == region, configs.c.id == config_id)


def _of(function: Key) -> Any:
    account, region, name = function
    return and_(uses.c.account == account, uses.c.region == region, uses.c.function == name)
