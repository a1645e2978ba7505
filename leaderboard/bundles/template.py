"""submission.toml: what a person has to fill in."""

from __future__ import annotations

from pathlib import Path

from leaderboard.bundles.strict import TOML_BYTES
from suite.durable import replace_file
from suite.errors import UsageError
from suite.records.reading import open_regular

TEMPLATE = """\
# Who submits what. Fill in every field that says FILL IN; `suite submit check` says what is still wrong.
# Text stands on one line. `docs/submitting.md` explains each field.
schema = 2
title = "FILL IN"               # what was tried, in a few words
contact = "FILL IN"             # an e-mail address, which is published
license = "CC0-1.0"             # of these results: an SPDX identifier
relationship = "FILL IN"        # first_party: the method is yours; third_party: it is not
partial = false                 # true: games or seeds are knowingly left out
deviations = []                 # what differs from the method's paper, one sentence each
known_issues = []               # what a reader should know, one sentence each

[[authors]]                     # once for each author
name = "FILL IN"
# orcid = "0000-0000-0000-0000"
# affiliation = ""
# github = ""

[code]
url = "FILL IN"                 # https://...
commit = "FILL IN"              # the commit that ran, 7 to 64 hexadecimal digits

# [paper]                       # one of these
# doi = ""
# arxiv = "2402.12479"
# url = "https://"

[tuning]
budget_runs = 0                 # runs that were made to choose the settings; 0 for published settings
games_used = []                 # the games on which they were chosen
selection_rule = "FILL IN"      # how they were chosen; "published settings" if they were not

[compute]
device = "FILL IN"              # such as "1 x H200"
# hours = 0.0                   # of all runs together
"""


def read_submission(toml: Path | None, out: Path) -> bytes:
    """Return the bytes of the submission.toml for the bundle `out`.

    Raises UsageError if it is not there, or still has something to fill in; where there is none beside the bundle, a
    template is written first.
    """
    path = out.with_name("submission.toml") if toml is None else toml
    if toml is None and not path.exists():
        replace_file(path, TEMPLATE.removesuffix("\n"))
        raise UsageError(f"There was no submission.toml: {path} is a template now.", "Fill it in and pack again.")
    try:
        with open_regular(path) as file:
            content = file.read(TOML_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Name it with --toml.") from error
    left = [
        line.split(b"=")[0].strip().decode("utf-8", "replace") for line in content.splitlines() if b'"FILL IN"' in line
    ]
    if left:
        raise UsageError(f"{path} is not filled in: {', '.join(left)}.", "Fill it in and pack again.")
    return content
