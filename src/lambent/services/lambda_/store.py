"""The only SQL for functions and their published versions. Works on a transaction.

Environment variables are sealed on their way in. The row of a published version changes when it settles, and when its
RevisionId does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    and_,
    delete,
    func,
    literal,
    select,
    tuple_,
    union,
)
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_in
from sqlalchemy.dialects.sqlite import insert as upsert_into
from sqlalchemy.exc import IntegrityError

from lambent.services.lambda_.domain import Function, Package, Settings, State, UpdateStatus
from lambent.services.lambda_.errors import ResourceConflictException
from lambent.services.lambda_.names import LATEST, version_number
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
    #: NULL: never given.
    Column("recursive_loop", String),
)

versions = Table(
    "lambda_versions",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    #: Given at publication; NULL: the settings' one.
    Column("description", String),
    Column("settings", LargeBinary, nullable=False),
    Column("environment", LargeBinary),
    Column("code_sha256", String, nullable=False),
    Column("code_size", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("revision_id", String, nullable=False),
    Column("generation", String, nullable=False),
    Column("modified_ms", Integer, nullable=False),
    Column("state_reason", String),
    Column("state_reason_code", String),
    Column("snapshot_ms", Integer),
)

#: The last number given. It outlives the function: AWS never gives a number twice under one name.
version_numbers = Table(
    "lambda_version_numbers",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("last", Integer, nullable=False),
)

_encode = msgspec.json.encode
_decode_settings = msgspec.json.Decoder(Settings).decode
_decode_strings = msgspec.json.Decoder(dict[str, str]).decode


class FunctionStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def __init__(self, secrets: SecretBox) -> None:
        self._secrets = secrets

    # ---- functions, with their $LATEST ----

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
        """With all its versions; False where there was none."""
        tx.execute(delete(versions).where(_of(versions, key)))
        return bool(tx.execute(delete(functions).where(_is(key))).rowcount)

    def delete_all(self, tx: Connection) -> None:
        for table in (versions, version_numbers, functions):
            tx.execute(delete(table))

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
        """Every function of every account, then every published version."""
        latest = [self._function(row) for row in tx.execute(select(functions)).mappings()]
        published = [self._published(row) for row in tx.execute(_joined()).mappings()]
        return latest + published

    # ---- published versions ----

    def find_version(self, tx: Connection, key: Key, version: str) -> Function | None:
        """A published one, or $LATEST."""
        if version == LATEST:
            return self.find(tx, key)
        row = tx.execute(_joined().where(_is_version(key, version))).mappings().first()
        return None if row is None else self._published(row)

    def exists(self, tx: Connection, key: Key) -> bool:
        return tx.execute(select(functions.c.name).where(_is(key))).first() is not None

    def newest_version(self, tx: Connection, key: Key) -> Function | None:
        """The version published last, if it still exists."""
        last = tx.execute(select(version_numbers.c.last).where(_of(version_numbers, key))).scalar()
        return None if last is None else self.find_version(tx, key, str(last))

    def take_number(self, tx: Connection, key: Key) -> int:
        """The next version's."""
        account, region, name = key
        statement = upsert_into(version_numbers).values(account=account, region=region, name=name, last=1)
        statement = statement.on_conflict_do_update(
            index_elements=["account", "region", "name"], set_={"last": version_numbers.c.last + 1}
        )
        return int(tx.execute(statement.returning(version_numbers.c.last)).scalar_one())

    def insert_version(self, tx: Connection, function: Function) -> None:
        tx.execute(insert_into(versions).values(self._version_row(function)))

    def delete_version(self, tx: Connection, key: Key, version: str) -> bool:
        """False where there was none."""
        return bool(tx.execute(delete(versions).where(_is_version(key, version))).rowcount)

    def versions_page(self, tx: Connection, key: Key, after: int, limit: int) -> list[Function]:
        """Up to `limit` published versions in order, those behind number `after`."""
        rows = tx.execute(
            _joined().where(_of(versions, key), versions.c.version > after).order_by(versions.c.version).limit(limit)
        )
        return [self._published(row) for row in rows.mappings()]

    def page_of_all(
        self, tx: Connection, account: str, region: str, after: tuple[str, int], limit: int
    ) -> list[Function]:
        """$LATEST (number 0) and published versions of all functions, in the order of name and number."""
        name, number = after
        published = tx.execute(
            _joined()
            .where(
                versions.c.account == account,
                versions.c.region == region,
                tuple_(versions.c.name, versions.c.version) > tuple_(literal(name), literal(number)),
            )
            .order_by(versions.c.name, versions.c.version)
            .limit(limit)
        )
        found = self.page(tx, account, region, name, limit) + [self._published(row) for row in published.mappings()]
        return sorted(found, key=lambda function: (function.name, function.number))[:limit]

    # ---- all of them ----

    def touch(self, tx: Connection, function: Function, revision_id: str) -> None:
        """Give $LATEST or a published version a new RevisionId, as changes beside its row (of its policy) do."""
        self.write_state(tx, dataclasses.replace(function, revision_id=revision_id))

    def write_settings(self, tx: Connection, function: Function) -> None:
        """Settings and RevisionId, of $LATEST or of a published version."""
        table, where = (
            (functions, _is(function.key))
            if function.version == LATEST
            else (versions, _is_version(function.key, function.version))
        )
        values = {"settings": _encode(function.settings), "revision_id": function.revision_id}
        tx.execute(update_in(table).where(where).values(values))

    def write_state(self, tx: Connection, function: Function) -> None:
        """State and RevisionId, of $LATEST or of a published version."""
        values: dict[str, Any] = {"state": function.state.value, "revision_id": function.revision_id}
        if function.version == LATEST:
            values["update_status"] = function.update_status.value
            tx.execute(update_in(functions).where(_is(function.key)).values(values))
        else:
            values.update(_snapshot_fields(function))
            tx.execute(update_in(versions).where(_is_version(function.key, function.version)).values(values))

    def referenced_packages(self, tx: Connection) -> set[str]:
        """Those of code and of layers, which functions keep when the layer version is deleted."""
        own = set(tx.execute(union(select(functions.c.code_sha256), select(versions.c.code_sha256))).scalars())
        layered = union(
            *(
                select(table.c.settings).where(func.instr(table.c.settings, '"layers":['))
                for table in (functions, versions)
            )
        )
        settings = (_decode_settings(encoded) for encoded in tx.execute(layered).scalars())
        return own | {layer.sha256 for of_one in settings for layer in of_one.layers}

    def usage(self, tx: Connection, account: str, region: str) -> tuple[int, int]:
        """Functions, and the bytes of the packages of all their versions."""
        (count, latest), (_versions, published) = (
            tx.execute(
                select(func.count(), func.coalesce(func.sum(table.c.code_size), 0)).where(
                    table.c.account == account, table.c.region == region
                )
            ).one()
            for table in (functions, versions)
        )
        return count, latest + published

    def reserved_concurrency(self, tx: Connection, account: str, region: str, *, but: str = "") -> int:
        """What all functions (`but` one) have reserved together."""
        return int(
            tx.execute(
                select(func.coalesce(func.sum(functions.c.reserved_concurrency), 0)).where(
                    functions.c.account == account, functions.c.region == region, functions.c.name != but
                )
            ).scalar_one()
        )

    # ---- rows ----

    def _row(self, function: Function) -> dict[str, Any]:
        return {
            **self._common(function),
            "tags": _encode(function.tags),
            "update_status": function.update_status.value,
            "reserved_concurrency": function.reserved_concurrency,
            "recursive_loop": function.recursive_loop,
        }

    def _version_row(self, function: Function) -> dict[str, Any]:
        return {
            **self._common(function),
            "version": int(function.version),
            "description": function.published_description,
            **_snapshot_fields(function),
        }

    def _common(self, function: Function) -> dict[str, Any]:
        environment = function.environment
        return {
            "account": function.account,
            "region": function.region,
            "name": function.name,
            "settings": _encode(function.settings),
            "environment": None if environment is None else self._secrets.seal(_encode(environment)),
            "code_sha256": function.package.sha256,
            "code_size": function.package.size,
            "state": function.state.value,
            "revision_id": function.revision_id,
            "generation": function.generation,
            "modified_ms": function.modified_ms,
        }

    def _function(self, row: Any) -> Function:
        return self._value(row, update_status=UpdateStatus(row["update_status"]))

    def _published(self, row: Any) -> Function:
        """From a row of `_joined`."""
        return self._value(
            row,
            version=str(row["version"]),
            published_description=row["description"],
            state_reason=row["state_reason"],
            state_reason_code=row["state_reason_code"],
            snapshot_ms=row["snapshot_ms"],
        )

    def _value(self, row: Any, **more: Any) -> Function:
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
            revision_id=row["revision_id"],
            generation=row["generation"],
            reserved_concurrency=row["reserved_concurrency"],
            recursive_loop=row["recursive_loop"] or "Terminate",
            **more,
        )


def _snapshot_fields(function: Function) -> dict[str, Any]:
    """What the row of a published version has beside the state."""
    return {
        "state_reason": function.state_reason,
        "state_reason_code": function.state_reason_code,
        "snapshot_ms": function.snapshot_ms,
    }


def _joined() -> Select[Any]:
    """Published versions with what their functions say of all versions."""
    return select(versions, functions.c.tags, functions.c.reserved_concurrency, functions.c.recursive_loop).join(
        functions,
        and_(
            functions.c.account == versions.c.account,
            functions.c.region == versions.c.region,
            functions.c.name == versions.c.name,
        ),
    )


def _is(key: Key) -> Any:
    return _of(functions, key)


def _is_version(key: Key, version: str) -> Any:
    return and_(_of(versions, key), versions.c.version == version_number(version))


def _of(table: Table, key: Key) -> Any:
    account, region, name = key
    return and_(table.c.account == account, table.c.region == region, table.c.name == name)
