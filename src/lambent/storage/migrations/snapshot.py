"""Writes `schema.sql` from the revisions: `python -m lambent.storage.migrations.snapshot`."""

from __future__ import annotations

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from lambent.storage.migrations import SNAPSHOT
from lambent.storage.migrations.upgrade import upgrade


def schema_of(connection: Connection) -> str:
    """The statements that make this schema, tables before indexes, and its revision."""
    rows = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name"
    ).scalars()
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    stamp = f"INSERT INTO alembic_version (version_num) VALUES ('{revision}')"  # noqa: S608 - our own file names
    return "".join(f"{statement.strip()};\n" for statement in [*rows, stamp])


def migrated_schema() -> str:
    """The schema that all revisions come to, from nothing."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    upgrade(engine)
    with engine.connect() as connection:
        return schema_of(connection)


if __name__ == "__main__":
    SNAPSHOT.write_text(migrated_schema())
