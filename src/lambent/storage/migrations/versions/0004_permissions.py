"""Resource policies and URLs of functions, versions and aliases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "lambda_policies",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("function", sa.String, primary_key=True),
        sa.Column("qualifier", sa.String, primary_key=True),
        sa.Column("statements", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "lambda_urls",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("region", sa.String, primary_key=True),
        sa.Column("function", sa.String, primary_key=True),
        sa.Column("qualifier", sa.String, primary_key=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("settings", sa.LargeBinary, nullable=False),
        sa.Column("created_ns", sa.Integer, nullable=False),
        sa.Column("modified_ns", sa.Integer, nullable=False),
    )
    op.create_index("lambda_urls_id", "lambda_urls", ["id"], unique=True)
