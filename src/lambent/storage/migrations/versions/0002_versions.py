"""Versions and aliases of `services/lambda_`'s functions, and the number that each name's versions have come to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "lambda_versions",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("description", sa.String),
        sa.Column("settings", sa.LargeBinary, nullable=False),
        sa.Column("environment", sa.LargeBinary),
        sa.Column("code_sha256", sa.String, nullable=False),
        sa.Column("code_size", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("revision_id", sa.String, nullable=False),
        sa.Column("generation", sa.String, nullable=False),
        sa.Column("modified_ms", sa.Integer, nullable=False),
    )
    op.create_index("lambda_versions_code", "lambda_versions", ["code_sha256"])
    op.create_table(
        "lambda_version_numbers",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
    )
    op.create_table(
        "lambda_aliases",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("function", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("weights", sa.LargeBinary, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("revision_id", sa.String, nullable=False),
    )
    # Every creation and publication counts what the account keeps: from these alone, without the rows.
    op.create_index("lambda_functions_usage", "lambda_functions", ["account", "region", "code_size"])
    op.create_index("lambda_versions_usage", "lambda_versions", ["account", "region", "code_size"])
