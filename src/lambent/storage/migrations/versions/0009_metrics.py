"""Metrics by the minute, and the ledger of what invocations cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "metric_series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("region", sa.String, nullable=False),
        sa.Column("namespace", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("dimensions", sa.String, nullable=False),
        sa.Column("last_minute", sa.Integer, nullable=False),
    )
    op.create_index(
        "metric_series_key",
        "metric_series",
        ["account", "region", "namespace", "name", "dimensions"],
        unique=True,
    )
    op.create_table(
        "metric_minutes",
        sa.Column("series", sa.Integer, primary_key=True),
        sa.Column("minute", sa.Integer, primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("count", sa.Float, nullable=False),
        sa.Column("sum", sa.Float, nullable=False),
        sa.Column("minimum", sa.Float, nullable=False),
        sa.Column("maximum", sa.Float, nullable=False),
        sa.Column("buckets", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    op.create_index("metric_minutes_age", "metric_minutes", ["minute"])
    op.create_table(
        "ledger",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("function", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("architecture", sa.String, primary_key=True),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("billed_ms", sa.Integer, nullable=False),
        sa.Column("mb_ms", sa.Integer, nullable=False),
        sa.Column("provisioned_mb_ms", sa.Integer, nullable=False),
        sa.Column("kept_mb_ms", sa.Integer, nullable=False),
        sa.Column("tmp_mb_ms", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
