"""X-Ray segments: one row for each trace with its span and size, one for each document."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "xray_traces",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("region", sa.String, nullable=False),
        sa.Column("trace_id", sa.String, nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("limit_exceeded", sa.Integer, nullable=False),
    )
    op.create_index("xray_traces_id", "xray_traces", ["account", "region", "trace_id"], unique=True)
    op.create_index("xray_traces_time", "xray_traces", ["account", "region", "started_at"])
    op.create_table(
        "xray_segments",
        sa.Column("trace", sa.Integer, primary_key=True),
        sa.Column("segment_id", sa.String, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
