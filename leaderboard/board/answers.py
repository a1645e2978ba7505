"""What methods change, task by task: every entry less its dense twin, and a sentence for each method.

All verdicts of a task are adjusted together, for all that are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board.duels import TURNED, Duel
from leaderboard.board.report import TaskData
from leaderboard.board.standings import normalized_scores, picked
from leaderboard.board.twins import Twin
from leaderboard.board.views import Entry, Standing, TaskPage
from leaderboard.statistics.averages import mean_difference
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import Scores
from leaderboard.statistics.pairs import MARGIN, Verdict
from leaderboard.statistics.sentences import p_text, signed

WORDS: dict[Verdict, str] = {"better": "better", "worse": "worse", "equal": "practically equal", "open": "open"}
"""Verdicts in the order in which they are told."""

ALONE: dict[Verdict, str] = {"better": "Yes", "worse": "No", "equal": "It makes no difference"}
UNKNOWN = "It cannot be told yet"
"""What one comparison alone says, and where none says anything."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An entry less its dense twin: difference of interquartile means, verdict on the entry, p over all of the task.

    Without a twin that it can be compared with there is nothing of it, and `why` says so. `sparse`: the share of zero
    weights at the end, None where nothing is zero.
    """

    entry: Entry
    twin: Entry | None
    why: str
    sparse: float | None = None
    difference: Estimate | None = None
    verdict: Verdict = "open"
    duel: Duel | None = None

    @property
    def judged(self) -> bool:
        """Whether there are enough runs for a verdict."""
        return self.difference is not None and self.difference.low is not None


@dataclass(frozen=True, slots=True)
class MethodAnswer:
    """What a method, or a combination, changes on a task: its answers, and the mean of their differences, if any."""

    answers: tuple[Answer, ...]
    mean: Estimate | None

    @property
    def methods(self) -> tuple[str, ...]:
        """Ids of the method, or of those combined."""
        return self.answers[0].entry.methods

    @property
    def method(self) -> str:
        """What the method is called."""
        return self.answers[0].entry.method

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """How many entries with a verdict there are of each, those that there are."""
        found = Counter(answer.verdict for answer in self.answers if answer.judged)
        return tuple((word, found[verdict]) for verdict, word in WORDS.items() if found[verdict])

    @property
    def sentence(self) -> str:
        """What the method changes, in a sentence."""
        judged = [answer for answer in self.answers if answer.judged]
        if not judged:
            return f"{self.answers[0].why or 'too few seeds for a verdict'}."
        if len(judged) == 1:
            return _alone(judged[0])
        counts = ", ".join(f"{word} in {count}" for word, count in self.counts)
        mean = "" if self.mean is None else f"; on average {_interval(self.mean)}"
        return f"{counts} of {len(judged)} entries{mean}."


@dataclass(frozen=True, slots=True)
class TaskAnswers:
    """What methods change on a task, methods with zero weights first, then by their mean difference."""

    methods: tuple[MethodAnswer, ...]
    pairs: int

    @property
    def answers(self) -> tuple[Answer, ...]:
        """All answers, by method."""
        return tuple(answer for method in self.methods for answer in method.answers)

    @property
    def headline(self) -> str:
        """Whether pruning helps here, in a sentence."""
        sparse = [answer for answer in self.answers if answer.sparse and answer.judged]
        if not sparse:
            return "No pruned network has a dense twin to be compared with yet."
        found = Counter(answer.verdict for answer in sparse)
        parts = [f"{word} in {found[verdict]}" for verdict, word in WORDS.items() if found[verdict]]
        if len(sparse) == 1:
            only = sparse[0]
            return f"{ALONE.get(only.verdict, UNKNOWN)}. {only.entry.label}: {_alone(only)}"
        mostly = ", mostly" if len(found) > 1 else ""
        opening = {"better": f"Yes{mostly}", "worse": f"No{mostly}"}
        first, count = max(found.items(), key=lambda item: item[1])
        word = opening.get(first, UNKNOWN) if 2 * count > len(sparse) else "It depends"
        return f"{word}: pruned networks are {', '.join(parts)} of {len(sparse)} comparisons with their dense twins."


def answers(task: TaskPage, data: TaskData, duels: Sequence[Duel]) -> TaskAnswers:
    """Return what methods change on a task's full budget, from the pairs that have a page."""
    rows = {
        row.entry.config_id: row for row in task.full.standings if row.estimate is not None and not row.entry.published
    }
    plain = {key: data.twins[key] for key in rows if key in data.twins}
    pairs = {frozenset((duel.a.config_id, duel.b.config_id)): duel for duel in duels if duel.twins}
    found = [_answer(rows[config_id], twin, rows, pairs) for config_id, twin in plain.items()]
    methods = dict.fromkeys(answer.entry.methods for answer in found)
    scores = _scores(found, plain, data)
    groups = [_method([one for one in found if one.entry.methods == ids], plain, scores) for ids in methods]
    return TaskAnswers(tuple(sorted(groups, key=_place)), len(pairs))


def _answer(row: Standing, twin: Twin, rows: Mapping[str, Standing], pairs: Mapping[frozenset[str], Duel]) -> Answer:
    sparse = row.sparsity.high if row.sparsity is not None and row.sparsity.high > 0 else None
    other = rows[twin.config_id].entry if twin.config_id in rows else None
    duel = pairs.get(frozenset((row.entry.config_id, twin.config_id)))
    if duel is None or other is None:
        left = row.skipped or (rows[twin.config_id].skipped if other is not None else ())
        return Answer(row.entry, other, twin.why or f"no verdict: {picked(left) if left else 'not replayed'}", sparse)
    difference, verdict = oriented(duel, row.entry)
    why = "" if difference.low is not None else "no verdict: too few seeds"
    return Answer(row.entry, other, why, sparse, difference, verdict, duel)


def oriented(duel: Duel, entry: Entry) -> tuple[Estimate, Verdict]:
    """Return a pair's difference and verdict as those of one of the two less the other."""
    difference = duel.comparison.difference
    if duel.a.config_id == entry.config_id:
        return difference, duel.verdict
    low, high = (None if end is None else -end for end in (difference.high, difference.low))
    return Estimate(-difference.value, low, high), TURNED.get(duel.verdict, duel.verdict)


def _scores(found: Iterable[Answer], plain: Mapping[str, Twin], data: TaskData) -> dict[tuple[str, str], Scores]:
    """Return the scores of both sides of all judged answers, by configuration and whose twin's runs they are."""
    scores: dict[tuple[str, str], Scores] = {}
    for answer in found:
        if answer.judged and answer.twin is not None:
            entry, twin = answer.entry.config_id, plain[answer.entry.config_id]
            scores[entry, ""] = normalized_scores(data.runs_of(entry))
            scores[twin.config_id, twin.same_submission] = normalized_scores(twin.runs)
    return scores


def _method(
    found: Sequence[Answer], plain: Mapping[str, Twin], scores: Mapping[tuple[str, str], Scores]
) -> MethodAnswer:
    ids = [answer.entry.config_id for answer in found if answer.judged]
    pairs = [((one, ""), (plain[one].config_id, plain[one].same_submission)) for one in ids]
    mean = mean_difference(pairs, scores) if pairs else None
    return MethodAnswer(tuple(sorted(found, key=_row_place)), mean)


def _row_place(answer: Answer) -> tuple[bool, str, str, float, float, str]:
    """Return what the rows of a method are ordered by: agent, network, width, zeros."""
    name, width = _network(answer)
    return not answer.judged, answer.entry.agent, name, width, answer.sparse or 0.0, answer.entry.label


def _network(answer: Answer) -> tuple[str, float]:
    """Return what networks are ordered by: the name, then the width."""
    name, _, width = answer.entry.network.partition(" \N{MULTIPLICATION SIGN}")
    return name, float(width) if width.replace(".", "", 1).isdigit() else 0.0


def _place(group: MethodAnswer) -> tuple[bool, bool, float, str]:
    sparse = any(answer.sparse for answer in group.answers)
    return group.mean is None, not sparse, -len(group.answers), group.method


def _alone(answer: Answer) -> str:
    assert answer.difference is not None
    assert answer.duel is not None
    to = "to" if answer.verdict == "equal" else "than"
    word = "open" if answer.verdict == "open" else f"{WORDS[answer.verdict]} {to} its dense twin"
    p = p_text(answer.duel.p)
    if answer.verdict == "equal":
        p = f"{p_text(answer.duel.p_equal)} for a difference of {100 * MARGIN:g} % or more"
    return f"{word}: {_interval(answer.difference)}, p {p}."


def _interval(found: Estimate) -> str:
    text = f"{signed(found.value, 2)} IQM"
    if found.low is None or found.high is None:
        return text
    return f"{text} (95 % interval {signed(found.low, 2)} to {signed(found.high, 2)})"
