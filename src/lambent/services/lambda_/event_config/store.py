"""The only SQL for `lambda_event_configs`. Works on a transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, and_, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert_into

from lambent.services.lambda_.event_config.domain import EventConfig, EventSettings
from lambent.services.lambda_.store import Key

_metadata = MetaData()
configs = Table(
    "lambda_event_configs",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("function", String, primary_key=True),
    #: A version, an alias, or $LATEST: which so comes first.
    Column("qualifier", String, primary_key=True),
    #: EventSettings as JSON.
    Column("settings", LargeBinary, nullable=False),
    Column("modified_ms", Integer, nullable=False),
)

_decode = msgspec.json.Decoder(EventSettings).decode


class EventConfigStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def put(self, tx: Connection, config: EventConfig) -> None:
        """Whether or not there was one."""
        row = _row(config)
        tx.execute(upsert_into(configs).values(row).on_conflict_do_update(set_=row))

    def find(self, tx: Connection, key: Key, qualifier: str) -> EventConfig | None:
        row = tx.execute(select(configs).where(_is(key), configs.c.qualifier == qualifier)).mappings().first()
        return None if row is None else _config(row)

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> bool:
        """Of one qualifier, or (None) of all; False where there was none."""
        chosen = _is(key) if qualifier is None else and_(_is(key), configs.c.qualifier == qualifier)
        return bool(tx.execute(delete(configs).where(chosen)).rowcount)

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(configs))

    def page(self, tx: Connection, key: Key, after: str, limit: int) -> list[EventConfig]:
        """Up to `limit` of one function in the order of their qualifiers, those behind `after`."""
        rows = tx.execute(
            select(configs).where(_is(key), configs.c.qualifier > after).order_by(configs.c.qualifier).limit(limit)
        )
        return [_config(row) for row in rows.mappings()]

    def all(self, tx: Connection) -> list[EventConfig]:
        return [_config(row) for row in tx.execute(select(configs)).mappings()]


def _row(config: EventConfig) -> dict[str, Any]:
    return {
        "account": config.account,
        "region": config.region,
        "function": config.function,
        "qualifier": config.qualifier,
        "settings": msgspec.json.encode(config.settings),
        "modified_ms": config.modified_ms,
    }


def _config(row: Any) -> EventConfig:
    return EventConfig(**{**row, "settings": _decode(row["settings"])})


def _is(key: Key) -> Any:
    account, region, function = key
    return and_(configs.c.account == account, configs.c.region == region, configs.c.function == function)
