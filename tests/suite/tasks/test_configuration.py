"""A configuration's identity: what enters it, what does not, and what a user may ask for."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.contracts import registry
from suite.errors import BadData, ExitCode, UsageError
from suite.learning.build import build
from suite.running.request import Request, parse_games, parse_seeds, resolve
from suite.tasks import ATARI, GAMES, files, games_of_cells, human_normalized, load_task, task_names
from suite.tasks.configuration import Cell, Spec
from suite.tasks.files import require_same_protocol
from suite.tasks.specification import fits


def one(**changes: object) -> Spec:
    return resolve(Request("atari40m", **changes))[0].spec  # type: ignore[arg-type]


def test_equal_questions_have_equal_identities_and_different_ones_differ() -> None:
    base = one()
    assert base.config_id == one(settings=("agent.gamma=0.99",)).config_id
    variants = [
        one(settings=("agent.gamma=0.98",)),
        one(width=3),
        one(network="nature_cnn"),
        one(methods=("magnitude_pruning",)),
        one(methods=("magnitude_pruning",), settings=("method.sparsity=0.9",)),
        one(frames=4_000_000),
        resolve(Request("atari100m"))[0].spec,
        resolve(Request("smoke"))[0].spec,
    ]
    assert len({spec.config_id for spec in [base, *variants]}) == len(variants) + 1


def test_a_cell_of_two_lists_of_games_over_one_protocol_is_one_cell() -> None:
    agents = [name for name in registry.registered("agent") if fits(registry.card("agent", name), load_task("atari60"))]
    assert {"dqn", "iqn", "rainbow"} <= set(agents)
    for agent in agents:
        few, many = (resolve(Request(name, agent, frames=4_000_000))[0] for name in ("atari40m", "atari60"))
        assert few.spec == many.spec, agent
        assert few.spec.config_id == many.spec.config_id, agent
        assert (few.task.id, many.task.id) == ("atari40m", "atari60")
    assert Cell(many.spec, "Alien", 0).path == f"atari40m@1/{many.spec.config_id}/Alien/seed-0"


def test_a_cell_can_have_the_games_of_every_list_over_its_protocol() -> None:
    few, many = load_task("atari40m"), load_task("atari60")
    found = games_of_cells("atari40m")
    assert found[:15] == few.games
    assert sorted(found) == sorted(many.games)
    assert games_of_cells("atari100m") == few.games
    assert games_of_cells("smoke") == load_task("smoke").games
    assert {name for name in task_names() if load_task(name).cells_of is not None} == {"atari60"}
    assert (load_task("dqn-replay").games, load_task("dqn-replay").protocol) == (many.games, "dqn-replay")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": 2}, "they differ in version"),
        ({"budget": load_task("atari100m").budget, "agent": "iqn"}, "they differ in agent, budget"),
        ({"environment": load_task("atari100k").environment}, "they differ in environment"),
        ({"score": load_task("dqn-replay").score}, "they differ in score"),
        ({"evaluation": load_task("atari100k").evaluation}, "they differ in evaluation"),
        ({"overrides": {"agent": {"gamma": 0.9}}}, "they differ in overrides"),
        ({"official": False}, "they differ in official"),
    ],
)
def test_a_list_over_another_protocol_is_refused_with_what_differs(changes: dict[str, object], named: str) -> None:
    few, many = load_task("atari40m"), load_task("atari60")
    with pytest.raises(BadData, match=f"atari60 cannot have the cells of atari40m: {named}\\."):
        require_same_protocol(many.model_copy(update=changes), few)


def test_a_list_has_names_games_seeds_and_prose_of_its_own_and_no_list_below_it() -> None:
    few, many = load_task("atari40m"), load_task("atari60")
    own = {"id": "x", "title": "X", "summary": "x", "games": ("Pong",), "default_seeds": (0,), "deviations": ()}
    require_same_protocol(many.model_copy(update=own), few)
    with pytest.raises(BadData, match="atari60 itself has the cells of atari40m"):
        require_same_protocol(few.model_copy(update={"cells_of": "atari60"}), many)


def test_an_unequal_list_is_refused_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    read = files._content
    monkeypatch.setattr(files, "_content", lambda name: read(name) | {"diagnostics_frames": 4} | {"cells_of": "smoke"})
    with pytest.raises(BadData, match=r"atari60 cannot have the cells of smoke: they differ in .*diagnostics_every"):
        files.load_task.__wrapped__("atari60")


def test_the_identity_is_the_hash_of_the_canonical_text() -> None:
    spec = one()
    again = Spec.model_validate_json(spec.canonical())
    assert again == spec
    assert again.config_id == spec.config_id
    assert len(spec.config_id) == 16
    assert Cell(spec, "Pong", 3).path == f"atari40m@1/{spec.config_id}/Pong/seed-3"


def test_defaults_are_the_published_protocol() -> None:
    spec = one()
    task = load_task("atari40m")
    assert (spec.agent.id, spec.network.id, spec.method_label) == ("dqn", "impala", "dense")
    assert (len(task.games), task.default_seeds) == (15, (0, 1, 2, 3, 4))
    assert (spec.frames, spec.shortened) == (40_000_000, False)
    agent = spec.agent.settings
    published = {
        "learning_rate": 6.25e-5,
        "adam_epsilon": 1.5e-4,
        "batch_size": 32,
        "n_step": 1,
        "gamma": 0.99,
        "replay_capacity": 1_000_000,
        "warm_up": 20_000,
        "update_period": 4,
        "target_update_period": 8_000,
        "epsilon_train": 0.01,
        "epsilon_decay": 250_000,
        "loss": "mse",
    }
    assert {name: agent[name] for name in published} == published
    environment = task.atari
    assert (environment.sticky_action_probability, environment.frame_skip, environment.max_pool) == (0.25, 4, True)
    assert (environment.no_op_max, environment.fire_reset, environment.terminal_on_life_loss) == (0, False, False)
    assert (environment.max_episode_frames, environment.reward_clip) == (108_000, 1.0)


def test_the_smoke_task_scales_settings_down_and_says_so() -> None:
    spec = resolve(Request("smoke", methods=("magnitude_pruning",)))[0]
    agent, method = spec.spec.agent.settings, spec.spec.methods[0].settings
    assert (agent["warm_up"], agent["replay_capacity"], agent["epsilon_decay"]) == (500, 4000, 500)
    assert (agent["target_update_period"], method["mask_period"]) == (200, 20)
    assert spec.departures == {}


def test_a_method_departs_from_its_own_card_whatever_is_chosen_for_all() -> None:
    both, one = resolve(
        Request(
            "smoke",
            methods=("magnitude_pruning", "rigl"),
            settings=("method.sparsity=0.9", "method.rigl.sparsity=0.8"),
        )
    )
    published = registry.card("method", "rigl").settings["sparsity"].value
    assert published not in (0.9, 0.8)
    assert (one.spec.methods[0].settings["sparsity"], one.departures) == (0.8, {"method.rigl.sparsity": published})
    assert both.departures == {"method.magnitude_pruning.sparsity": published}
    (back,) = resolve(
        Request("smoke", methods=("rigl",), settings=("method.sparsity=0.9", f"method.rigl.sparsity={published}"))
    )
    assert (back.spec.methods[0].settings["sparsity"], back.departures) == (published, {})


def test_departures_name_the_published_value() -> None:
    resolved = resolve(
        Request("atari40m", methods=("magnitude_pruning",), settings=("agent.batch_size=16", "method.sparsity=0.95"))
    )[0]
    assert resolved.departures == {"agent.batch_size": 32}


def test_one_setting_reaches_those_methods_that_have_it() -> None:
    dense, pruned = resolve(
        Request("atari40m", methods=("dense", "magnitude_pruning"), settings=("method.sparsity=0.8",))
    )
    assert dense.spec.methods[0].settings == {}
    assert pruned.spec.methods[0].settings["sparsity"] == 0.8
    exact = resolve(
        Request("atari40m", methods=("magnitude_pruning",), settings=("method.magnitude_pruning.sparsity=0.8",))
    )
    assert exact[0].spec == pruned.spec


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Request("atari40"), "Unknown task 'atari40'. Did you mean 'atari40m'?"),
        (Request("smoke", agent="dqm"), "Unknown agent 'dqm'. Did you mean 'dqn'?"),
        (Request("smoke", methods=("prunning",)), "Unknown method 'prunning'. Did you mean 'random_pruning'?"),
        (Request("smoke", settings=("agent.learning_rat=1",)), "Did you mean 'agent.learning_rate'?"),
        (Request("smoke", settings=("method.sparsity=0.9",)), "Unknown setting 'method.sparsity'."),
        (Request("smoke", settings=("agent.batch_size=0",)), "agent.batch_size = 0 is out of range."),
        (Request("smoke", settings=("agent.batch_size=many",)), "agent.batch_size takes a whole number, not 'many'."),
        (Request("smoke", settings=("agent.gamma=true",)), "a number, not true. The published value is 0.99."),
        (Request("smoke", settings=("network.layer_norm=1",)), "true or false, not 1. The published value is false."),
        (Request("smoke", settings=("agent.gamma=nan",)), "agent.gamma = nan is out of range."),
        (Request("smoke", settings=("agent.loss=mae",)), "agent.loss cannot be 'mae'. Choose one of: mse, huber."),
        (Request("smoke", settings=("task.frame_skip=2",)), "task.frame_skip belongs to the protocol"),
        (Request("smoke", settings=("agent.gamma",)), "cannot be read. Write PATH=VALUE"),
        (Request("smoke", settings=("agent.gamma=0.9", "agent.gamma=0.8")), "--set gives agent.gamma twice."),
        (Request("smoke", methods=("dense+dense",)), "names dense twice"),
        (Request("smoke", frames=15), "--frames 15 is no budget for smoke."),
        (Request("smoke", frames=16_004), "up to 16_000"),
        (Request("smoke", width=0), "network.width = 0 is out of range."),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(request_: Request, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(request_)
    assert sentence in str(caught.value)
    assert caught.value.remedy
    assert caught.value.exit_code == ExitCode.USAGE


def test_games_and_seeds_are_parsed_or_refused() -> None:
    task = load_task("atari40m")
    assert parse_games("pong, Breakout,Pong", task) == ("Pong", "Breakout")
    assert parse_games("all", task) == task.games
    assert parse_seeds("0-2,5,1") == (0, 1, 2, 5)
    with pytest.raises(UsageError, match="Did you mean 'Breakout'"):
        parse_games("Brekout", task)
    with pytest.raises(UsageError, match="Alien is not a game of the task atari40m"):
        parse_games("Alien", task)
    with pytest.raises(UsageError, match="names no game"):
        parse_games(" ,", task)
    for text in ("", "a", "-1", "3-1", "1-", "0-10000", "²"):
        with pytest.raises(UsageError):
            parse_seeds(text)


@given(st.text(max_size=20))
def test_any_text_as_seeds_gives_seeds_or_a_usage_error(text: str) -> None:
    try:
        seeds = parse_seeds(text)
    except UsageError:
        return
    assert seeds
    assert all(0 <= seed <= 9999 for seed in seeds)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_setting_gives_a_spec_or_a_usage_error(path: str, value: str) -> None:
    with contextlib.suppress(UsageError):  # anything else is a defect
        resolve(Request("smoke", settings=(f"{path}={value}",)))


def test_tasks_are_complete_and_the_reference_scores_are_the_published_ones() -> None:
    ranked = {"atari40m", "atari60", "atari100m", "atari100k", "atari100k-extended", "offline5", "mujoco", "mujoco-v5"}
    ranked |= {"classic", "minatar"}
    smoke = {"smoke", "smoke100k", "smoke-offline", "smoke-mujoco", "smoke-classic", "smoke-minatar"}
    assert set(task_names()) == ranked | smoke | {"dqn-replay"}
    assert {name for name in task_names() if load_task(name).official} == ranked
    sixty = load_task("atari60")
    assert len(sixty.games) == 60
    assert set(sixty.games) == set(ATARI)
    missing = {name for name in sixty.games if not GAMES[name].normalizable}
    assert missing == {"AirRaid", "Carnival", "ElevatorAction", "JourneyEscape", "Pooyan"}
    assert sixty.environment == load_task("atari40m").environment
    assert human_normalized("Pong", 14.6) == pytest.approx(1.0)
    assert human_normalized("Pong", -20.7) == 0.0
    assert human_normalized("Breakout", 30.5) == pytest.approx(1.0)
    assert human_normalized("AirRaid", 1.0) is None
    assert human_normalized("CartPole", 195.0) == human_normalized("Acrobot", -100.0) == 1.0
    assert human_normalized("MountainCar", -600.0) == 0.0


def test_the_offline_task_is_the_papers() -> None:
    task = load_task("offline5")
    assert (len(task.games), task.family, task.unit) == (17, "offline", "gradient steps")
    assert (task.budget.length, task.agent_steps(task.budget.length)) == (200 * 62_500, 12_500_000)
    assert task.data is not None
    assert (task.data.reading, task.data.fraction) == ("blocks", 0.05)
    assert task.evaluation is not None
    assert (task.evaluation.every, task.evaluation.agent_steps, task.evaluation.epsilon) == (62_500, 125_000, 0.001)
    for agent in ("cql", "cql_c51"):
        resolved = resolve(Request("offline5", agent, None, ("magnitude_pruning",)))[0]
        _, (method,) = build(resolved.spec, GAMES["Pong"])
        assert method.milestones == {"pruning starts": 2_500_000, "pruning ends": 10_000_000}


@pytest.mark.parametrize(("name", "version"), [("mujoco", "v4"), ("mujoco-v5", "v5")])
def test_the_tasks_of_continuous_control_are_those_of_the_cited_code(name: str, version: str) -> None:
    task = load_task(name)
    assert task.games == ("HalfCheetah", "Hopper", "Walker2d", "Ant", "Humanoid")
    assert (task.budget.length, len(task.default_seeds), task.unit) == (1_000_000, 10, "environment steps")
    assert (task.mujoco.version, task.mujoco.max_episode_steps) == (version, 1000)
    assert task.evaluation is not None
    assert (task.evaluation.every, task.evaluation.episodes, task.evaluation.epsilon) == (10_000, 30, 0.0)
    assert task.score_window(1_000_000) == (900_000, 1_000_000)
    sac = resolve(Request(name, None, None, ("magnitude_pruning",)))[0]
    assert (sac.spec.agent.id, sac.spec.network.id) == ("sac", "mlp")
    assert build(sac.spec, GAMES["Ant"])[1][0].milestones == {"pruning starts": 200_000, "pruning ends": 800_000}


def test_an_agent_or_network_of_another_family_is_refused_and_the_fitting_ones_are_named() -> None:
    for request, told in (
        (Request("smoke", "sac"), "agent sac is for continuous tasks.*dqn"),
        (Request("atari40m", "cql"), "agent cql is for offline tasks"),
        (Request("mujoco", "dqn"), "agent dqn is for atari and classic and minatar tasks.*ppo, sac"),
        (Request("mujoco", "sac", "impala"), "network impala is for atari and offline tasks.*mlp"),
        (Request("smoke", "dqn", data=Path("here")), "--data makes no sense"),
    ):
        with pytest.raises(UsageError) as caught:
            resolve(request)
        assert re.search(told, str(caught.value), re.DOTALL), caught.value


def test_atari_100k_is_that_of_the_published_runner() -> None:
    task, extended = load_task("atari100k"), load_task("atari100k-extended")
    assert task.games == extended.games
    assert len(task.games) == 26
    assert task.agent_steps(task.budget.length) == 100_000
    assert (extended.budget.length, extended.evaluation) == (40_000_000, None)
    environment = task.atari
    assert environment == extended.environment
    assert (environment.sticky_action_probability, environment.no_op_max) == (0.0, 30)
    assert environment.terminal_on_life_loss
    assert task.evaluation is not None
    assert (task.evaluation.episodes, task.evaluation.epsilon) == (100, 0.001)
    assert (task.score.rule, extended.score.rule) == ("mean_evaluation_return", "mean_training_return")
    assert (task.agent, task.network) == ("der", "nature_cnn")


@pytest.mark.parametrize(
    ("task", "agent", "start", "end"),
    [
        ("atari40m", "dqn", 500_000, 2_000_000),
        ("atari100m", "dqn", 1_250_000, 5_000_000),
        ("atari100k", "der", 20_000, 80_000),
        ("atari100k-extended", "drq_eps", 2_000_000, 8_000_000),
    ],
)
def test_pruning_follows_the_gradient_steps_of_each_task(task: str, agent: str, start: int, end: int) -> None:
    (resolved,) = resolve(Request(task, agent, "nature_cnn", ("magnitude_pruning",)))
    _, (method,) = build(resolved.spec, GAMES["Pong"])
    assert method.milestones == {"pruning starts": start, "pruning ends": end}


def test_the_extended_atari_100k_runs_figure_7_by_default_and_the_short_one_table_1() -> None:
    (long,), (short,) = resolve(Request("atari100k-extended")), resolve(Request("atari100k"))
    assert (long.spec.network.id, long.spec.network.settings["width"], long.departures) == ("impala", 3, {})
    assert (short.spec.network.id, short.spec.network.settings["width"]) == ("nature_cnn", 1)
    assert (long.spec.task_key, short.spec.task_key) == ("atari100k-extended@2", "atari100k@1")
    (narrow,) = resolve(Request("atari100k-extended", width=1))
    assert narrow.departures == {"network.width": 3}


def test_tf32_is_another_configuration_that_departs_from_the_protocol() -> None:
    (plain,) = resolve(Request("smoke"))
    (same,) = resolve(Request("smoke", settings=("precision=float32",)))
    (tf32,) = resolve(Request("smoke", settings=("precision=tf32",)))
    assert (same.spec.config_id, same.departures) == (plain.spec.config_id, {})
    assert tf32.spec.config_id != plain.spec.config_id
    assert (tf32.spec.precision, tf32.departures) == ("tf32", {"precision": "float32"})
    with pytest.raises(UsageError, match="precision cannot be 'bf16'"):
        resolve(Request("smoke", settings=("precision=bf16",)))


def test_the_schedule_of_40m_frames_in_100m() -> None:
    settings = ("method.start_fraction=0.08", "method.end_fraction=0.32")
    (resolved,) = resolve(Request("atari100m", "dqn", "nature_cnn", ("magnitude_pruning",), settings))
    _, (method,) = build(resolved.spec, GAMES["Pong"])
    assert method.milestones == {"pruning starts": 500_000, "pruning ends": 2_000_000}


@pytest.mark.parametrize(
    ("updates_per_period", "update_period", "ratio"), [(1, 4, 0.25), (1, 2, 0.5), (1, 1, 1), (2, 1, 2)]
)
def test_the_replay_ratio_is_a_setting_and_schedules_follow(
    updates_per_period: int, update_period: int, ratio: float
) -> None:
    settings = (f"agent.updates_per_period={updates_per_period}", f"agent.update_period={update_period}")
    (resolved,) = resolve(Request("atari40m", "dqn", "nature_cnn", ("magnitude_pruning",), settings))
    agent, (method,) = build(resolved.spec, GAMES["Pong"])
    assert agent.plan.nominal_updates(10_000_000) == ratio * 10_000_000
    assert method.milestones is not None
    assert method.milestones["pruning starts"] == ratio * 2_000_000
