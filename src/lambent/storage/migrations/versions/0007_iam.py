"""IAM's entities, what they refer to, when access keys were last used; accounts, and the aliases of these."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "iam_entities",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("iam_entities_id", "iam_entities", ["id"], unique=True)
    op.create_table(
        "iam_references",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("relation", sa.String, primary_key=True),
        sa.Column("target", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
    )
    op.create_index("iam_references_id", "iam_references", ["id"])
    op.create_table(
        "iam_key_uses",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("used", sa.Integer, nullable=False),
        sa.Column("service", sa.String, nullable=False),
        sa.Column("region", sa.String, nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("created", sa.Integer, nullable=False),
        sa.Column("access_key_id", sa.String, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "account_aliases",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("alias", sa.String, nullable=False, unique=True),
    )
