"""The only SQL for `lambda_urls`. Works on a transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, and_, delete, select
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_in
from sqlalchemy.exc import IntegrityError

from lambent.services.lambda_.errors import ResourceConflictException
from lambent.services.lambda_.store import Key
from lambent.services.lambda_.urls.domain import FunctionUrl, UrlSettings

_metadata = MetaData()
urls = Table(
    "lambda_urls",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("function", String, primary_key=True),
    #: An alias, or $LATEST: which so comes first.
    Column("qualifier", String, primary_key=True),
    #: One region of one account may have each id once; so may all together, for its host names no account.
    Column("id", String, nullable=False, unique=True),
    #: UrlSettings as JSON.
    Column("settings", LargeBinary, nullable=False),
    Column("created_ns", Integer, nullable=False),
    Column("modified_ns", Integer, nullable=False),
)

_decode = msgspec.json.Decoder(UrlSettings).decode


class UrlStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def insert(self, tx: Connection, url: FunctionUrl) -> None:
        """Raises ResourceConflictException where the qualifier has one, or somebody else the id."""
        if self.find(tx, url.key, url.qualifier) is not None:
            raise ResourceConflictException(
                f"Failed to create function url config for [functionArn = {url.function_arn}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        try:
            tx.execute(insert_into(urls).values(_row(url)))
        except IntegrityError:
            raise ResourceConflictException(
                f"Failed to create function url config for [functionArn = {url.function_arn}]. "
                f"Error message:  the id {url.id} belongs to another function URL"
            ) from None

    def find(self, tx: Connection, key: Key, qualifier: str) -> FunctionUrl | None:
        row = tx.execute(select(urls).where(_is(key), urls.c.qualifier == qualifier)).mappings().first()
        return None if row is None else _url(row)

    def replace(self, tx: Connection, url: FunctionUrl) -> None:
        tx.execute(update_in(urls).where(_is(url.key), urls.c.qualifier == url.qualifier).values(_row(url)))

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> bool:
        """Of one qualifier, or (None) of all; False where there was none."""
        chosen = _is(key) if qualifier is None else and_(_is(key), urls.c.qualifier == qualifier)
        return bool(tx.execute(delete(urls).where(chosen)).rowcount)

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(urls))

    def page(self, tx: Connection, key: Key, after: str, limit: int) -> list[FunctionUrl]:
        """Up to `limit` of one function in the order of their qualifiers, those behind `after`."""
        rows = tx.execute(
            select(urls).where(_is(key), urls.c.qualifier > after).order_by(urls.c.qualifier).limit(limit)
        )
        return [_url(row) for row in rows.mappings()]

    def all(self, tx: Connection) -> list[FunctionUrl]:
        return [_url(row) for row in tx.execute(select(urls)).mappings()]


def _row(url: FunctionUrl) -> dict[str, Any]:
    return {
        "account": url.account,
        "region": url.region,
        "function": url.function,
        "qualifier": url.qualifier,
        "id": url.id,
        "settings": msgspec.json.encode(url.settings),
        "created_ns": url.created_ns,
        "modified_ns": url.modified_ns,
    }


def _url(row: Any) -> FunctionUrl:
    return FunctionUrl(**{**row, "settings": _decode(row["settings"])})


def _is(key: Key) -> Any:
    account, region, function = key
    return and_(urls.c.account == account, urls.c.region == region, urls.c.function == function)
