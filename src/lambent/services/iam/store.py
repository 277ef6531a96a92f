"""The only SQL for IAM's tables: one document per entity, with an index of what each one refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from lambent.services.iam import managed
from lambent.services.iam.domain import (
    KINDS,
    Entity,
    InstanceProfile,
    KeyUse,
    ManagedPolicy,
    Relation,
    Role,
    key_of,
    path_and_name,
)
from lambent.services.iam.errors import EntityAlreadyExistsException

E = TypeVar("E", bound=Entity)

_metadata = MetaData()
entities = Table(
    "iam_entities",
    _metadata,
    Column("account", String, primary_key=True),
    #: user, group, role, policy, instance-profile
    Column("kind", String, primary_key=True),
    #: `domain.key_of` its name.
    Column("key", String, primary_key=True),
    #: AIDA… of all accounts.
    Column("id", String, nullable=False),
    Column("path", String, nullable=False),
    #: JSON.
    Column("document", LargeBinary, nullable=False),
)
#: `Entity.references` of every entity, to be found from the other end.
references = Table(
    "iam_references",
    _metadata,
    Column("account", String, primary_key=True),
    Column("relation", String, primary_key=True),
    Column("target", String, primary_key=True),
    #: Of the entity that refers.
    Column("id", String, primary_key=True),
)
#: Written behind requests, never on their path.
key_uses = Table(
    "iam_key_uses",
    _metadata,
    #: Of an access key or a role.
    Column("id", String, primary_key=True),
    Column("used", Integer, nullable=False),
    Column("service", String, nullable=False),
    Column("region", String, nullable=False),
)

_encode = msgspec.json.encode
_decoders: Mapping[str, msgspec.json.Decoder[Any]] = {kind.kind: msgspec.json.Decoder(kind) for kind in KINDS}


class EntityStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    # ---- one entity ----

    def insert(self, tx: Connection, entity: Entity) -> None:
        """Raises EntityAlreadyExistsException where the account has one of that kind and name."""
        row = {
            "account": entity.account,
            "kind": entity.kind,
            "key": key_of(entity.name),
            "id": entity.id,
            "path": entity.path,
            "document": _encode(entity),
        }
        try:
            tx.execute(insert(entities).values(row))
        except IntegrityError:
            raise already_exists(entity) from None
        self._write_references(tx, entity)

    def find(self, tx: Connection, kind: type[E], account: str, name: str) -> E | None:
        """By name, in any case."""
        document = tx.execute(select(entities.c.document).where(_is(kind, account, name))).scalar_one_or_none()
        return None if document is None else _decoded(kind, document)

    def find_policy(self, tx: Connection, account: str, arn: str) -> ManagedPolicy | None:
        """The account's own or AWS's, by ARN; None also for those of other accounts."""
        of_aws = managed.POLICIES.get(arn)
        if of_aws is not None:
            return of_aws
        parts = path_and_name(arn)
        policy = None if parts is None else self.find(tx, ManagedPolicy, account, parts[2])
        return policy if policy is not None and policy.arn == arn else None

    def replace(self, tx: Connection, entity: Entity) -> None:
        """Write `entity` over the row of its id; a new name or path is a rename.

        Raises EntityAlreadyExistsException where another one has the new name.
        """
        values = {"key": key_of(entity.name), "path": entity.path, "document": _encode(entity)}
        try:
            tx.execute(update(entities).where(entities.c.id == entity.id).values(values))
        except IntegrityError:
            raise already_exists(entity) from None
        self._forget_references(tx, entity)
        self._write_references(tx, entity)

    def delete(self, tx: Connection, entity: Entity) -> None:
        tx.execute(delete(entities).where(entities.c.id == entity.id))
        self._forget_references(tx, entity)

    # ---- many ----

    def page(
        self, tx: Connection, kind: type[E], account: str, *, after: str = "", limit: int, prefix: str = "/"
    ) -> list[E]:
        """Up to `limit` in the order of their names, those behind the name `after` whose path begins with `prefix`."""
        rows = tx.execute(
            select(entities.c.document)
            .where(
                entities.c.account == account,
                entities.c.kind == kind.kind,
                entities.c.key > key_of(after),
                # Not LIKE: it minds neither case nor the wildcards in a path.
                func.substr(entities.c.path, 1, len(prefix)) == prefix,
            )
            .order_by(entities.c.key)
            .limit(limit)
        )
        return [_decoded(kind, document) for document in rows.scalars()]

    def by_ids(self, tx: Connection, kind: type[E], account: str, ids: Iterable[str]) -> list[E]:
        """In the order of their names."""
        rows = tx.execute(
            select(entities.c.document)
            .where(entities.c.account == account, entities.c.kind == kind.kind, entities.c.id.in_(list(ids)))
            .order_by(entities.c.key)
        )
        return [_decoded(kind, document) for document in rows.scalars()]

    def referring(self, tx: Connection, kind: type[E], account: str, relation: Relation, target: str) -> list[E]:
        """Entities of `kind` that refer so to `target` (an ARN or id), in the order of their names."""
        rows = tx.execute(
            select(entities.c.document)
            .join(references, references.c.id == entities.c.id)
            .where(_refers(account, relation, target), entities.c.account == account, entities.c.kind == kind.kind)
            .order_by(entities.c.key)
        )
        return [_decoded(kind, document) for document in rows.scalars()]

    def trusting(self, tx: Connection, entity_id: str) -> list[Role]:
        """Roles of any account whose trust policies name the user or role."""
        rows = tx.execute(
            select(entities.c.document)
            .join(references, references.c.id == entities.c.id)
            .where(references.c.relation == Relation.TRUSTED.value, references.c.target == entity_id)
        )
        return [_decoded(Role, document) for document in rows.scalars()]

    def count_referring(self, tx: Connection, account: str, relation: Relation, target: str) -> int:
        """Entities of any kind that refer so to `target`."""
        return int(
            tx.execute(
                select(func.count()).select_from(references).where(_refers(account, relation, target))
            ).scalar_one()
        )

    def reference_counts(self, tx: Connection, account: str, relation: Relation) -> Mapping[str, int]:
        """How many entities refer so to each target that any refers to."""
        rows = tx.execute(
            select(references.c.target, func.count())
            .where(references.c.account == account, references.c.relation == relation.value)
            .group_by(references.c.target)
        )
        return {target: count for target, count in rows}

    def counts(self, tx: Connection, account: str) -> Mapping[str, int]:
        """How many entities of each kind the account has; kinds without any are left out."""
        rows = tx.execute(
            select(entities.c.kind, func.count()).where(entities.c.account == account).group_by(entities.c.kind)
        )
        return {kind: count for kind, count in rows}

    def count(self, tx: Connection, kind: type[Entity], account: str) -> int:
        own = (entities.c.account == account, entities.c.kind == kind.kind)
        return int(tx.execute(select(func.count()).select_from(entities).where(*own)).scalar_one())

    def all(self, tx: Connection) -> list[Entity]:
        """Every entity of every account, policies and groups before those that refer to them."""
        found: list[Entity] = []
        for kind in sorted(KINDS, key=lambda kind: kind.kind):
            rows = tx.execute(select(entities.c.document).where(entities.c.kind == kind.kind))
            found += [_decoded(kind, document) for document in rows.scalars()]
        return found

    def delete_all(self, tx: Connection) -> None:
        for table in (entities, references, key_uses):
            tx.execute(delete(table))

    # ---- uses of access keys ----

    def write_key_uses(self, tx: Connection, uses: Mapping[str, KeyUse]) -> None:
        for access_key_id, use in uses.items():
            values = {"used": use.at, "service": use.service, "region": use.region}
            tx.execute(
                upsert(key_uses)
                .values(id=access_key_id, **values)
                .on_conflict_do_update(index_elements=["id"], set_=values)
            )

    def delete_key_uses(self, tx: Connection, ids: Sequence[str]) -> None:
        tx.execute(delete(key_uses).where(key_uses.c.id == bindparam("gone")), [{"gone": one} for one in ids])

    def key_uses(self, tx: Connection) -> Mapping[str, KeyUse]:
        rows = tx.execute(select(key_uses))
        return {row.id: KeyUse(row.used, row.service, row.region) for row in rows}

    # ---- what entities refer to ----

    def _write_references(self, tx: Connection, entity: Entity) -> None:
        rows: Sequence[dict[str, str]] = [
            {"account": entity.account, "relation": relation.value, "target": target, "id": entity.id}
            for relation, target in entity.references
        ]
        if rows:
            tx.execute(insert(references), rows)

    def _forget_references(self, tx: Connection, entity: Entity) -> None:
        tx.execute(delete(references).where(references.c.id == entity.id))


def already_exists(entity: Entity) -> EntityAlreadyExistsException:
    if isinstance(entity, ManagedPolicy):
        return EntityAlreadyExistsException(
            f"A policy called {entity.name} already exists. Duplicate names are not allowed."
        )
    if isinstance(entity, InstanceProfile):
        return EntityAlreadyExistsException(f"Instance Profile {entity.name} already exists.")
    noun = entity.noun[0].upper() + entity.noun[1:]
    return EntityAlreadyExistsException(f"{noun} with name {entity.name} already exists.")


def _is(kind: type[Entity], account: str, name: str) -> Any:
    return and_(entities.c.account == account, entities.c.kind == kind.kind, entities.c.key == key_of(name))


def _refers(account: str, relation: Relation, target: str) -> Any:
    return and_(references.c.account == account, references.c.relation == relation.value, references.c.target == target)


def _decoded(kind: type[E], document: bytes) -> E:
    entity: E = _decoders[kind.kind].decode(document)
    return entity
