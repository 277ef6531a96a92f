"""HTTP APIs of `services/apigatewayv2`: one document each, and one per deployment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "http_apis",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("region", sa.String, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("http_apis_region", "http_apis", ["account", "region"])
    op.create_table(
        "http_api_deployments",
        sa.Column("api_id", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("auto_deployed", sa.Integer, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
