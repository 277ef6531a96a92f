"""What streamed responses cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("streamed_bytes", sa.Integer, nullable=False, server_default="0"))
