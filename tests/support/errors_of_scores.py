"""The standard error of one entry's interquartile mean, alone: what the vectorised statistics are held against."""

from leaderboard.statistics.influence import error_of, iqm_influence
from leaderboard.statistics.metrics import Scores


def standard_error(scores: Scores) -> float | None:
    """Return the standard error; None where no game has two runs or none of them differ."""
    return error_of(iqm_influence(scores)[1])[0]


def degrees_of_freedom(scores: Scores) -> float | None:
    """Return its degrees of freedom by Welch and Satterthwaite; None where there is no error."""
    return error_of(iqm_influence(scores)[1])[1]
