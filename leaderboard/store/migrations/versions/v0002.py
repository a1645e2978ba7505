"""Schema 2: submissions, attestations, and what a run recorded in detail in a table of its own."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    "ALTER TABLE run ADD COLUMN own INTEGER DEFAULT 1 NOT NULL",
    """CREATE TABLE recording (
        run_id INTEGER NOT NULL,
        source TEXT NOT NULL,
        digest TEXT NOT NULL,
        points INTEGER NOT NULL,
        diagnostics BLOB,
        checkpoints BLOB,
        evaluation BLOB,
        episodes BLOB,
        PRIMARY KEY (run_id, source),
        FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
    ) STRICT""",
    "INSERT INTO recording SELECT id, '', '', 0, NULL, NULL, NULL, episodes FROM run WHERE episodes IS NOT NULL",
    "ALTER TABLE run DROP COLUMN episodes",
    """CREATE TABLE submission (
        sha256 TEXT NOT NULL,
        slug TEXT NOT NULL,
        title TEXT NOT NULL,
        authors TEXT NOT NULL,
        license TEXT NOT NULL,
        links TEXT NOT NULL,
        submitted_at TEXT NOT NULL,
        level TEXT NOT NULL,
        report TEXT NOT NULL,
        documents BLOB,
        PRIMARY KEY (sha256)
    ) STRICT""",
    "CREATE INDEX ix_submission_slug ON submission (slug)",
    """CREATE TABLE attestation (
        sha256 TEXT NOT NULL,
        digest TEXT NOT NULL,
        level TEXT,
        by TEXT NOT NULL,
        date TEXT NOT NULL,
        evidence TEXT NOT NULL,
        flags TEXT NOT NULL,
        PRIMARY KEY (sha256, digest),
        FOREIGN KEY(sha256) REFERENCES submission (sha256)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE run_submission (
        run_id INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (run_id, sha256),
        FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE,
        FOREIGN KEY(sha256) REFERENCES submission (sha256)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX run_submission_bundle ON run_submission (sha256)",
)


def upgrade() -> None:
    """Add the tables and move the episodes; every run of schema 1 came from a run directory or a published table."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: the copy made before the migration is the way back."""
    raise RuntimeError("There is no way back but the copy that was made.")
