"""The only SQL for layers. Works on a transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, and_, delete, func, select
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_in
from sqlalchemy.dialects.sqlite import insert as upsert_into

from lambent.services.lambda_.domain import Package
from lambent.services.lambda_.layers.domain import LayerName, LayerPolicy, LayerVersion
from lambent.services.lambda_.permissions.domain import ResourcePolicy

_metadata = MetaData()
#: The last number given: AWS never gives a number twice, also where all versions are deleted.
layer_numbers = Table(
    "lambda_layer_numbers",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("last", Integer, nullable=False),
)
versions = Table(
    "lambda_layer_versions",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("description", String, nullable=False),
    #: JSON arrays, NULL where none were given.
    Column("runtimes", String),
    Column("architectures", String),
    Column("license_info", String),
    Column("code_sha256", String, nullable=False),
    Column("code_size", Integer, nullable=False),
    Column("unzipped_size", Integer, nullable=False),
    Column("created_ms", Integer, nullable=False),
    #: The policy's as JSON, NULL without.
    Column("statements", LargeBinary),
    #: The policy's RevisionId.
    Column("revision_id", String),
)

_encode = msgspec.json.encode
_decode_statements = msgspec.json.Decoder(tuple[dict[str, Any], ...]).decode
_decode_strings = msgspec.json.Decoder(tuple[str, ...]).decode


class LayerStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def take_number(self, tx: Connection, name: LayerName) -> int:
        """The next version's."""
        statement = upsert_into(layer_numbers).values(account=name.account, region=name.region, name=name.name, last=1)
        statement = statement.on_conflict_do_update(
            index_elements=["account", "region", "name"], set_={"last": layer_numbers.c.last + 1}
        )
        return int(tx.execute(statement.returning(layer_numbers.c.last)).scalar_one())

    def insert(self, tx: Connection, layer: LayerVersion) -> None:
        tx.execute(insert_into(versions).values(_row(layer)))

    def find(self, tx: Connection, name: LayerName, number: int) -> LayerVersion | None:
        row = tx.execute(select(versions).where(_is(name, number))).mappings().first()
        return None if row is None else _layer(row)

    def set_policy(self, tx: Connection, layer: LayerVersion, policy: LayerPolicy | None) -> None:
        tx.execute(update_in(versions).where(_is(layer.name, layer.number)).values(_policy_columns(policy)))

    def delete(self, tx: Connection, name: LayerName, number: int) -> None:
        tx.execute(delete(versions).where(_is(name, number)))

    def delete_all(self, tx: Connection) -> None:
        for table in (versions, layer_numbers):
            tx.execute(delete(table))

    def newest(
        self, tx: Connection, account: str, region: str, after: str, limit: int, **wanted: str | None
    ) -> list[LayerVersion]:
        """The newest version of each layer of those that suit `wanted` (runtime, architecture), by name."""
        newest = (
            select(versions.c.name, func.max(versions.c.number).label("number"))
            .where(
                versions.c.account == account,
                versions.c.region == region,
                versions.c.name > after,
                *_suitable(**wanted),
            )
            .group_by(versions.c.name)
            .order_by(versions.c.name)
            .limit(limit)
        ).subquery()
        rows = tx.execute(
            select(versions)
            .join(newest, and_(versions.c.name == newest.c.name, versions.c.number == newest.c.number))
            .where(versions.c.account == account, versions.c.region == region)
            .order_by(versions.c.name)
        )
        return [_layer(row) for row in rows.mappings()]

    def page(
        self, tx: Connection, name: LayerName, before: int | None, limit: int, **wanted: str | None
    ) -> list[LayerVersion]:
        """Up to `limit` versions of a layer, newest first, those older than `before`."""
        rows = tx.execute(
            select(versions)
            .where(
                versions.c.account == name.account,
                versions.c.region == name.region,
                versions.c.name == name.name,
                *([] if before is None else [versions.c.number < before]),
                *_suitable(**wanted),
            )
            .order_by(versions.c.number.desc())
            .limit(limit)
        )
        return [_layer(row) for row in rows.mappings()]

    def with_policies(self, tx: Connection) -> list[LayerVersion]:
        """Every version that has one, of all accounts."""
        return [
            _layer(row) for row in tx.execute(select(versions).where(versions.c.statements.is_not(None))).mappings()
        ]

    def referenced_packages(self, tx: Connection) -> set[str]:
        return set(tx.execute(select(versions.c.code_sha256).distinct()).scalars())

    def stored_bytes(self, tx: Connection, account: str, region: str) -> int:
        """Of the packages of all layer versions."""
        return int(
            tx.execute(
                select(func.coalesce(func.sum(versions.c.code_size), 0)).where(
                    versions.c.account == account, versions.c.region == region
                )
            ).scalar_one()
        )


def _suitable(runtime: str | None = None, architecture: str | None = None) -> list[Any]:
    wanted = ((versions.c.runtimes, runtime), (versions.c.architectures, architecture))
    return [func.instr(column, f'"{value}"') > 0 for column, value in wanted if value is not None]


def _row(layer: LayerVersion) -> dict[str, Any]:
    return {
        "account": layer.name.account,
        "region": layer.name.region,
        "name": layer.name.name,
        "number": layer.number,
        "description": layer.description,
        "runtimes": None if layer.runtimes is None else _encode(layer.runtimes).decode(),
        "architectures": None if layer.architectures is None else _encode(layer.architectures).decode(),
        "license_info": layer.license_info,
        "code_sha256": layer.package.sha256,
        "code_size": layer.package.size,
        "unzipped_size": layer.unzipped,
        "created_ms": layer.created_ms,
        **_policy_columns(layer.policy),
    }


def _policy_columns(policy: LayerPolicy | None) -> dict[str, Any]:
    if policy is None:
        return {"statements": None, "revision_id": None}
    return {"statements": _encode(policy.policy.statements), "revision_id": policy.revision_id}


def _layer(row: Any) -> LayerVersion:
    return LayerVersion(
        name=LayerName(row["account"], row["region"], row["name"]),
        number=row["number"],
        package=Package(row["code_sha256"], row["code_size"]),
        unzipped=row["unzipped_size"],
        created_ms=row["created_ms"],
        description=row["description"],
        runtimes=None if row["runtimes"] is None else _decode_strings(row["runtimes"]),
        architectures=None if row["architectures"] is None else _decode_strings(row["architectures"]),
        license_info=row["license_info"],
        policy=None
        if row["statements"] is None
        else LayerPolicy(ResourcePolicy(_decode_statements(row["statements"])), row["revision_id"]),
    )


def _is(name: LayerName, number: int) -> Any:
    return and_(
        versions.c.account == name.account,
        versions.c.region == name.region,
        versions.c.name == name.name,
        versions.c.number == number,
    )
