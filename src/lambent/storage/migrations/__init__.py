"""The schema and its history: Alembic revisions in `versions/`, numbered `0001_what_it_does.py`, one after another.

A new database is made from `schema.sql`, the snapshot of what the revisions come to, and one at head is left alone, so
that only an old database pays for loading Alembic. `python -m lambent.storage.migrations.snapshot` writes the snapshot
after a revision is added; a test compares the two.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from sqlalchemy import Engine

from lambent.storage.faults import StorageError

FOLDER = Path(__file__).parent
SNAPSHOT = FOLDER / "schema.sql"


def head() -> str:
    """The newest revision, from the file names: `0003`."""
    return max(file.name for file in (FOLDER / "versions").glob("[0-9]*.py"))[:4]


def bring_to_head(engine: Engine, path: Path) -> None:
    """Make or upgrade the schema of the database at `path`. Raises StorageError for one made by a newer Lambent."""
    found, wanted = _revision(engine), head()
    if found == wanted:
        return
    if found is None:
        _create(engine)
    elif found > wanted:
        raise StorageError(
            f"The database {path} was written by a newer Lambent (schema {found}, this one knows {wanted}): "
            "use that version, or another --data-dir."
        )
    else:
        # By name, so that Alembic (a third of a second) is imported only where there is something to upgrade.
        importlib.import_module("lambent.storage.migrations.upgrade").upgrade(engine)


def _revision(engine: Engine) -> str | None:
    with engine.begin() as tx:
        table = tx.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
        if table is None:
            return None
        row = tx.exec_driver_sql("SELECT version_num FROM alembic_version").first()
        return None if row is None else str(row[0])


def _create(engine: Engine) -> None:
    # One transaction: a start killed here leaves an empty database, never half a schema.
    with engine.begin() as tx:
        for statement in SNAPSHOT.read_text().split(";\n"):
            if statement.strip():
                tx.exec_driver_sql(statement)
