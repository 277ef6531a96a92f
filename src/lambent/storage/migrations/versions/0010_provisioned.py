"""Provisioned concurrency of versions and aliases; what becomes of functions that run in loops."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "lambda_provisioned",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("function", sa.String, primary_key=True),
        sa.Column("qualifier", sa.String, primary_key=True),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.Column("modified_ms", sa.Integer, nullable=False),
    )
    op.add_column("lambda_functions", sa.Column("recursive_loop", sa.String))
