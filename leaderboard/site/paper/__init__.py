"""The paper kit: tables, figures, captions and bibliography of one task for LaTeX."""
