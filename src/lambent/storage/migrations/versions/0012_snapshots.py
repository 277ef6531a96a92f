"""SnapStart of published versions: why they are in their state, since when there is a snapshot, what that costs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("lambda_versions", sa.Column("state_reason", sa.String))
    op.add_column("lambda_versions", sa.Column("state_reason_code", sa.String))
    op.add_column("lambda_versions", sa.Column("snapshot_ms", sa.Integer))
    for column in ("cached_mb_ms", "restored_mb"):
        op.add_column("ledger", sa.Column(column, sa.Integer, nullable=False, server_default="0"))
