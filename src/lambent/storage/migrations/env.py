"""What Alembic runs for every command: our connection, our transaction. Called by `upgrade` alone."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
