"""Asynchronous invocation: events that wait, and how those of a function, version or alias are treated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "async_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("region", sa.String, nullable=False),
        sa.Column("function", sa.String, nullable=False),
        sa.Column("qualifier", sa.String, nullable=False),
        sa.Column("accepted_at", sa.Float, nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "lambda_event_configs",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("function", sa.String, primary_key=True),
        sa.Column("qualifier", sa.String, primary_key=True),
        sa.Column("settings", sa.LargeBinary, nullable=False),
        sa.Column("modified_ms", sa.Integer, nullable=False),
    )
