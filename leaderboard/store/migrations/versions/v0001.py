"""Schema 1: configurations, runs and iterations. Databases of that time are stamped with it, none is made so."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: what is stamped has its tables."""
    raise RuntimeError("Schema 1 is where migration starts.")


def downgrade() -> None:
    """Refuse: nothing came before."""
    raise RuntimeError("Nothing came before schema 1.")
