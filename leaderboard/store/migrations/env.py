"""Alembic's environment: the steps, on the connection and within the transaction of `leaderboard.store.schema`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
