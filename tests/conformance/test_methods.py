"""Every registered agent trains with every registered method, in lanes, and goes on exactly from a checkpoint.

Agents and methods that register later are tested without a change here, and all pairs of methods with them. On every
change, DQN trains with each method and each pair with magnitude pruning, and a fourth of the other agents' combinations
is traced; at night those train, and all combinations and pairs.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from functools import partial

import pytest

from suite.checks.method.promises import MANY_ACTIONS, check_learner, check_pair, check_programs, has_masks
from suite.checks.method.trial import Trial, arrays_of, first_difference, quick_compilation, registration, round_trip
from suite.contracts import registry
from suite.errors import UnfitEnvironment, UsageError
from suite.learning import measures
from suite.learning.batching import Form
from suite.learning.inspection import Subject, inspect
from suite.learning.learners import Learners, LoopLearners, StackedLearners
from suite.rng import Streams
from suite.tasks import Inspection

pytestmark = pytest.mark.slow

FIRST = "dqn"
OTHERS = sorted(set(registry.registered("agent")) - {FIRST})
OF_GAMES = [name for name in OTHERS if "continuous" not in registry.card("agent", name).families]
METHODS = sorted(registry.registered("method"))
LANES = 2
UPDATES = 24


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """A tiny network, and programs compiled fast."""
    with registration(), quick_compilation():
        yield


def trial_of(agent: str, methods: str, actions: int = 4) -> Trial:
    no_convolutions = "continuous" in registry.card("agent", agent).families and methods == "shrink_and_perturb"
    settings = ("method.shrink_and_perturb.layers=all",) if no_convolutions else ()
    trial = Trial(methods, agent, actions, settings)
    try:
        _ = trial.built
    except (UnfitEnvironment, UsageError) as error:
        if isinstance(error, UsageError) and agent == FIRST:
            raise
        pytest.skip(str(error))
    return trial


def allowed(one: str, other: str) -> bool:
    return not registry.card("method", one).refusal(registry.card("method", other))


def streams() -> list[Streams]:
    return [Streams("conformance@1", "game", lane) for lane in range(LANES)]


def advance(learners: Learners, trials: list[Trial], counts: list[int]) -> None:
    for count in counts:
        learners.update(count, {lane: partial(trial.data, count) for lane, trial in enumerate(trials)})


def check_lanes(learners: Learners, trials: list[Trial], counts: list[int]) -> None:
    """Train lanes, bring them back to the middle from checkpoints, and train them to the same end."""
    half = len(counts) // 2
    for lane, trial in enumerate(trials):
        if trial.programs.sources:
            learners.put(lane, trial.learner())
    advance(learners, trials, counts[:half])
    middle = [arrays_of(learners.get(lane)) for lane in range(LANES)]
    advance(learners, trials, counts[half:])
    end = [arrays_of(learners.get(lane)) for lane in range(LANES)]
    for lane, trial in enumerate(trials):
        check_learner(trial, learners.get(lane), "at the end")
        assert first_difference(middle[lane], end[lane])
        learners.put(lane, round_trip(trial, middle[lane]))
        assert first_difference(middle[lane], arrays_of(learners.get(lane))) == ""
    advance(learners, trials, counts[half:])
    for lane in range(LANES):
        assert first_difference(end[lane], arrays_of(learners.get(lane))) == ""
    learners.close()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("agent", [FIRST, *(pytest.param(name, marks=pytest.mark.nightly) for name in OTHERS)])
def test_an_agent_trains_and_resumes_with_a_method(agent: str, method: str) -> None:
    trial = trial_of(agent, method)
    learners = LoopLearners([trial.programs] * LANES, streams(), 1)
    counts = trial.counts(UPDATES)
    assert all(any(count in own.due for count in counts) for own in trial.built if own.due)
    check_lanes(learners, [trial] * LANES, counts)


def combinations() -> Iterator[object]:
    """Yield all other agents with all methods; seven of eight at night, so that each meets some by day.

    What goes wrong lies in an agent's shapes or in a method's, and hardly in one combination alone.
    """
    for (row, agent), (column, method) in itertools.product(enumerate(OTHERS), enumerate(METHODS)):
        yield pytest.param(agent, method, marks=() if (row + column) % 8 == 0 else pytest.mark.nightly)


@pytest.mark.parametrize(("agent", "method"), list(combinations()))
def test_every_update_of_an_agent_with_a_method_can_be_traced(agent: str, method: str) -> None:
    assert check_programs(trial_of(agent, method))


@pytest.mark.parametrize("agent", [FIRST, *(pytest.param(name, marks=pytest.mark.nightly) for name in OF_GAMES)])
def test_games_of_several_action_counts_share_a_program_with_many_methods_at_once(agent: str) -> None:
    few = trial_of(agent, "+".join(many_at_once(agent)))
    trials = [few, dataclasses.replace(few, actions=MANY_ACTIONS)]
    learners = StackedLearners([trial.programs for trial in trials], streams(), Form.VMAP)
    check_lanes(learners, trials, [count for count in few.counts(2 * UPDATES) if not few.programs.signals(count)])


def many_at_once(agent: str) -> list[str]:
    """Return methods that can all be combined, in the order of their names."""
    together: list[str] = []
    for method in METHODS:
        alone = "alone" in registry.card("method", method).claims
        if not alone and all(allowed(method, other) for other in together) and can_be_built(agent, method):
            together.append(method)
    return together


def can_be_built(agent: str, method: str) -> bool:
    try:
        return bool(Trial(method, agent).built)
    except (UnfitEnvironment, UsageError):
        return False


def pairs() -> Iterator[object]:
    """Yield all pairs; those that train without the paper's own method do so at night."""
    for one, other in itertools.combinations(METHODS, 2):
        late = allowed(one, other) and "magnitude_pruning" not in (one, other)
        yield pytest.param(one, other, marks=pytest.mark.nightly if late else ())


@pytest.mark.parametrize(("one", "other"), list(pairs()))
def test_a_pair_of_methods_is_refused_with_a_reason_or_runs(one: str, other: str) -> None:
    if allowed(one, other):
        assert check_pair(trial_of(FIRST, f"{one}+{other}"))
    else:
        assert registry.card("method", one).refusal(registry.card("method", other))


def inspections() -> Iterator[object]:
    """Yield every agent with one method each, by turns: at night; by day one of them."""
    yield FIRST, "magnitude_pruning"
    for place, agent in enumerate([*OTHERS, FIRST]):
        yield pytest.param(agent, METHODS[place % len(METHODS)], marks=pytest.mark.nightly)


@pytest.mark.parametrize(("agent", "method"), list(inspections()))
def test_an_agent_with_a_method_can_be_inspected(agent: str, method: str) -> None:
    trial = trial_of(agent, method)
    learner, calm = trial.learner(), trial.examples()[0]
    before = arrays_of(learner)
    subject = Subject(trial.programs, learner, trial.streams, calm, trial.transitions, {})
    found = inspect(subject, Inspection(every=1, states=8, gradients=3)).values
    assert first_difference(before, arrays_of(learner)) == ""
    wanted = {"srank", "stable_rank", "effective_rank", "q_variance", "q_norm", "gradient_norm", "gradient_cosine"}
    wanted |= {"weight_change", "update_size", "value_churn"} | {f"dormant_{one:g}" for one in measures.THRESHOLDS}
    assert wanted <= found.keys()
    assert ("mask_explored" in found) == has_masks(trial)
    assert ("policy_churn" in found) == trial.programs.inputs.numbered_actions
    assert 1 <= found["srank"] <= 8
    assert found["gradient_norm"] > 0 < found["update_size"]
