"""Schema 3: a hash of every run's episodes, by which copies are found."""

import json
import zlib

from alembic import op

from suite.records.claims import trace_of

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column and fill it from the stored episodes, or evaluations where a run has no others."""
    op.execute("ALTER TABLE run ADD COLUMN trace TEXT")
    connection = op.get_bind()
    held = connection.exec_driver_sql("SELECT run_id, episodes, evaluation FROM recording ORDER BY run_id, source")
    for number, *columns in held:
        rows = next((rows for rows in map(_rows, columns) if rows), [])
        if trace := trace_of((length, value) for _, length, value, _ in rows):
            connection.exec_driver_sql("UPDATE run SET trace = ? WHERE id = ?", (trace, number))


def downgrade() -> None:
    """Refuse: the copy made before the migration is the way back."""
    raise RuntimeError("There is no way back but the copy that was made.")


def _rows(column: bytes | None) -> list[tuple[int, int, float, str]]:
    return [] if column is None else json.loads(zlib.decompress(column))
