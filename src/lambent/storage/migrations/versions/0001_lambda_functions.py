"""Functions of `services/lambda_`: one row each, with their $LATEST version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "lambda_functions",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("settings", sa.LargeBinary, nullable=False),
        sa.Column("environment", sa.LargeBinary),
        sa.Column("tags", sa.LargeBinary, nullable=False),
        sa.Column("code_sha256", sa.String, nullable=False),
        sa.Column("code_size", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("update_status", sa.String, nullable=False),
        sa.Column("revision_id", sa.String, nullable=False),
        sa.Column("generation", sa.String, nullable=False),
        sa.Column("modified_ms", sa.Integer, nullable=False),
        sa.Column("reserved_concurrency", sa.Integer),
    )
    op.create_index("lambda_functions_code", "lambda_functions", ["code_sha256"])
