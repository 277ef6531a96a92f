"""Layer versions of `services/lambda_` and the number that each layer has come to; code signing configurations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "lambda_layer_numbers",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
    )
    op.create_table(
        "lambda_layer_versions",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("runtimes", sa.String),
        sa.Column("architectures", sa.String),
        sa.Column("license_info", sa.String),
        sa.Column("code_sha256", sa.String, nullable=False),
        sa.Column("code_size", sa.Integer, nullable=False),
        sa.Column("unzipped_size", sa.Integer, nullable=False),
        sa.Column("created_ms", sa.Integer, nullable=False),
        sa.Column("statements", sa.LargeBinary),
        sa.Column("revision_id", sa.String),
    )
    op.create_table(
        "lambda_code_signing_configs",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("description", sa.String),
        sa.Column("publishers", sa.LargeBinary, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("tags", sa.LargeBinary, nullable=False),
        sa.Column("modified_ms", sa.Integer, nullable=False),
    )
    op.create_table(
        "lambda_code_signing",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("function", sa.String, primary_key=True),
        sa.Column("config", sa.String, nullable=False),
    )
    op.create_index("lambda_code_signing_config", "lambda_code_signing", ["account", "region", "config"])
