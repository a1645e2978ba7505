"""Schema 4: which run directories were replayed, when bundles arrived, and what was trained again."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    "ALTER TABLE run ADD COLUMN replayed INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE submission ADD COLUMN arrived INTEGER",
    "ALTER TABLE attestation ADD COLUMN reruns TEXT DEFAULT '[]' NOT NULL",
)


def upgrade() -> None:
    """Add the columns; what a database of schema 3 holds is found out at the next ingest."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: the copy made before the migration is the way back."""
    raise RuntimeError("There is no way back but the copy that was made.")
