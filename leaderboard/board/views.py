"""Values that the pages show, frozen: templates loop over them and format, nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from leaderboard.board.flops import Flops
from leaderboard.bundles.levels import is_proven
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.ranks import Ranking
from suite.contracts.card import Value

FEATURED = 6
"""How many entries a chart shows."""


@dataclass(frozen=True, slots=True)
class Span:
    """The lowest and the highest of a quantity over an entry's runs."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Departure:
    """A setting that is not the published one."""

    path: str
    value: Value
    published: Value


@dataclass(frozen=True, slots=True)
class Style:
    """How an entry is drawn, everywhere and always."""

    colour: str
    dash: list[int]
    shape: str
    width: float


@dataclass(frozen=True, slots=True)
class Entry:
    """Who competes: a configuration under names for people. `label` tells it from all others of its budget.

    `method` is what its methods are called, `methods` are their ids, as in `--method one+other`.
    `told` are the settings beside agent, network and method that the label has, with their values: those that depart
    from the published ones, and those in which entries alike otherwise differ. `look` is how it is drawn.
    """

    config_id: str
    agent: str
    network: str
    method: str
    methods: tuple[str, ...]
    label: str
    published: bool
    departures: tuple[Departure, ...]
    footnotes: tuple[int, ...]
    command: str
    told: tuple[tuple[str, Value], ...] = ()
    look: Style | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of the forest plot: positions on the shared axis, 0 to 100.

    `low` and `high` are the interval's ends, the percentiles those of the conventional one; ends beyond the axis are
    at its end. `beyond` says that the value itself is: `low`, `high` or "".
    """

    value: float
    low: float | None
    high: float | None
    percentile_low: float | None = None
    percentile_high: float | None = None
    beyond: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position, 0 to 100, on the forest plot's axis."""

    position: float
    label: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the standings. `estimate` is None where the entry has no aggregate; `why` says what is missing.

    `rliable` is the interquartile mean as rliable trims it, which stands beside the board's.

    `ranking` is None for those that are not ranked. `level` says how far the least proven of its runs is proven:
    `claimed`, `recomputed`, `sampled n of N`, `replayed`, `rerun`, or `published`. `seconds` and `updates` are those of
    one run. `skipped` are default seeds that some game lacks though it has a later one.
    """

    entry: Entry
    ranking: Ranking | None
    estimate: Estimate | None
    rliable: float | None
    bar: Bar | None
    why: str
    balanced: bool
    games: int
    seeds: Span | None
    sparsity: Span | None
    parameters: Span | None
    active_parameters: Span | None
    flops: Flops
    seconds: Span | None
    updates: Span | None
    level: str
    notes: tuple[str, ...]
    skipped: tuple[int, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether all of its results were played or trained again: only then it is ranked, and judged."""
        return is_proven(self.level)

    @property
    def judged(self) -> bool:
        """Whether it is ranked and judged: proven, and no default seed left out before one that it has."""
        return self.proven and not self.skipped

    @property
    def unproven(self) -> bool:
        """Whether it was run here and is not proven: it stands below."""
        return not self.entry.published and not self.proven

    @property
    def mark(self) -> str:
        """What follows its name on paper if it is not proven."""
        return " (not replayed)" if self.unproven else ""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The IQM over the episodes that ended in the iteration up to `frames`.

    `carried`: how many runs diverged before and count with their last value.
    """

    frames: int
    estimate: Estimate
    carried: int = 0


@dataclass(frozen=True, slots=True)
class Curve:
    """An entry's sample-efficiency curve. `area` is its mean height: the area under it over the distance."""

    entry: Entry
    points: tuple[CurvePoint, ...]
    area: Estimate | None = None


@dataclass(frozen=True, slots=True)
class GameCell:
    """An entry on a game: mean raw return, normalized mean (None without a reference), number of seeds."""

    score: float
    normalized: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class GameRow:
    """A game: its reference scores, and a cell for each entry in the table's order."""

    game: str
    random: float | None
    human: float | None
    cells: tuple[GameCell | None, ...]

    @property
    def aggregated(self) -> bool:
        """Whether the game enters the aggregate."""
        return self.random is not None and self.human is not None


@dataclass(frozen=True, slots=True)
class Board:
    """All that is comparable with each other: the entries of one budget; `twins` maps entries to their dense twins."""

    frames: int
    shortened: bool
    iteration_length: int
    games_needed: int
    standings: tuple[Standing, ...]
    ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]
    games: tuple[GameRow, ...]
    twins: Mapping[str, str] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries, in the order of the standings."""
        return tuple(standing.entry for standing in self.standings)

    @property
    def here(self) -> bool:
        """Whether any entry was run here."""
        return any(not entry.published for entry in self.entries)

    @property
    def ranked(self) -> int:
        """How many entries are ranked."""
        return sum(row.ranking is not None for row in self.standings)

    @property
    def featured(self) -> tuple[Entry, ...]:
        """The entries that charts show, tables having all: the best run here, each with its dense twin, up to six.

        Published ones follow while there is room, one at least.
        """
        here = [entry for entry in self.entries if not entry.published]
        by_id = {entry.config_id: entry for entry in here}
        shown: dict[str, Entry] = {}
        for entry in here:
            twin = by_id.get(self.twins.get(entry.config_id, ""))
            both = {one.config_id: one for one in (entry, twin) if one is not None}
            if len(shown | both) <= FEATURED:
                shown |= both
        published = [entry for entry in self.entries if entry.published]
        return (*shown.values(), *published[: max(FEATURED - len(shown), 1)])

    @property
    def bare(self) -> Board:
        """The board without its entries: what pages about one of them know of the others."""
        return replace(self, standings=(), ticks=(), curves=(), games=(), twins={})

    @property
    def no_flops(self) -> tuple[str, ...]:
        """Why some entries run here have no count of operations."""
        return tuple(sorted({row.flops.why for row in self.standings if row.flops.why and not row.entry.published}))

    @property
    def unbalanced(self) -> bool:
        """Whether some entry's games have different numbers of seeds."""
        return any(standing.estimate and not standing.balanced for standing in self.standings)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that is no result: where it stands, or what ended it."""

    label: str
    game: str
    seed: int
    state: str
    frames: int
    budget_frames: int
    attempt: int


TOPS = {
    "human": "a professional human tester",
    "dense DQN": "this suite's dense DQN",
    "threshold": "the return from which Gymnasium calls an environment solved",
}
"""A game's reference -> what a normalized score of 1 is."""


def scale_of(reference: str) -> str:
    """Return what scores that are normalized by a reference are called."""
    return "human-normalized" if reference == "human" else "normalized"


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A task's page; `unit` is what its budgets count.

    `full` is the ranked board; `shortened` are boards of smaller budgets, never mixed with it.
    """

    name: str
    key: str
    title: str
    summary: str
    official: bool
    protocol: str
    deviations: tuple[str, ...]
    unit: str
    games: int
    unnormalized: tuple[str, ...]
    default_seeds: int
    full: Board
    shortened: tuple[Board, ...]
    unfinished: tuple[Unfinished, ...]
    footnotes: tuple[str, ...]
    entries_here: int
    entries_published: int
    runs_here: int
    reference: str = "human"

    @property
    def bare(self) -> TaskPage:
        """The task without its results and its texts: what pages about one entry, and the links of all, show of it."""
        return replace(
            self,
            full=self.full.bare,
            shortened=(),
            unfinished=(),
            entries_here=0,
            entries_published=0,
            runs_here=0,
            protocol="",
            summary="",
            deviations=(),
        )

    @property
    def scale(self) -> str:
        """What its normalized scores are called."""
        return scale_of(self.reference)

    @property
    def top(self) -> str:
        """What a normalized score of 1 is."""
        return TOPS[self.reference]

    @property
    def games_word(self) -> str:
        """What the games are called."""
        return "games" if self.aggregated else "environments"

    @property
    def aggregated(self) -> bool:
        """Whether the games have a common scale, so that there can be aggregates and ranks."""
        return self.full.games_needed > 0


@dataclass(frozen=True, slots=True)
class Parameter:
    """A method's parameter with its published value."""

    name: str
    value: Value
    unit: str
    allowed: str
    doc: str
    source: str


@dataclass(frozen=True, slots=True)
class MethodCard:
    """A method. `refusals` says for every method of the page, in its order, why the two cannot be combined, or ""."""

    id: str
    version: int
    digest: str
    title: str
    summary: str
    paper: str
    deviations: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """All pages, and what they were made from."""

    tasks: tuple[TaskPage, ...]
    methods: tuple[MethodCard, ...]
    database: str
    suite_version: str

    @property
    def bare(self) -> Site:
        """The site without results: the tasks and methods that links lead to."""
        return replace(
            self,
            tasks=tuple(task.bare for task in self.tasks),
            methods=tuple(
                replace(card, paper="", summary="", deviations=(), parameters=(), refusals=()) for card in self.methods
            ),
        )
