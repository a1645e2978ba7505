"""Films: scenes show the state, bodies are drawn where that is possible, and a film is there whole or not at all."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from suite.checks import scenes
from suite.checks.cameras import camera_of
from suite.checks.film import Film
from suite.checks.scenes import BODY, GOAL, INK, JOINT, ROD, acrobot, cart_pole, mountain_car
from suite.errors import UnfitEnvironment
from suite.experience.domains.discrete import Classic
from suite.experience.envs.mujoco import MujocoEnvs
from suite.tasks import GAMES, MujocoEnvironment, load_task

TASK = load_task("classic")


def at(picture: np.ndarray, x: int, y: int) -> tuple[int, ...]:
    return tuple(picture[y, x].tolist())


def test_a_cart_stands_at_its_place_and_its_pole_leans_by_its_angle() -> None:
    upright = cart_pole([1.2, 0.0, 0.0, 0.0])  # 100 pixels a unit, the left edge at -2.4, the top at 1.5
    assert upright.shape == (220, 480, 3)
    assert at(upright, 345, 150) == INK  # of the cart, 0.15 to the left of its middle
    assert at(upright, 360, 150 - 6 - 90) == ROD
    assert at(upright, 360, 144) == BODY  # the axle
    leaning = cart_pole([0.0, 0.0, math.pi / 6, 0.0])  # to the right
    assert at(leaning, 240 + 45, 144 - round(90 * math.cos(math.pi / 6))) == ROD
    assert at(leaning, 240, 144 - 90) == (255, 255, 255)


def test_two_links_hang_by_their_angles_and_a_line_is_the_height_to_be_reached() -> None:
    hanging = acrobot([1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    middle, unit = 240, 480 / 4.4
    assert at(hanging, middle, round(middle + 0.5 * unit)) == BODY
    assert at(hanging, middle, round(middle + 1.5 * unit)) == ROD
    assert at(hanging, middle, middle) == at(hanging, middle, round(middle + unit)) == JOINT
    assert at(hanging, 20, round(middle - unit)) == GOAL
    bent = acrobot([0.0, 1.0, 0.0, 1.0, 0.0, 0.0])  # the first to the right, the second upright on its end
    assert at(bent, round(middle + 0.5 * unit), middle) == BODY
    assert at(bent, round(middle + unit), round(middle - 0.8 * unit)) == ROD


def test_a_car_stands_on_its_hills_and_a_flag_where_it_is_to_go() -> None:
    unit = 480 / 1.8
    for x in (-0.5235988, 0.2):  # the valley, and a slope
        picture = mountain_car([x, 0.0])
        slope = math.atan(1.35 * math.cos(3 * x))
        centre = (x - 0.06 * math.sin(slope), 0.45 * math.sin(3 * x) + 0.55 + 0.06 * math.cos(slope))
        assert at(picture, round((centre[0] + 1.2) * unit), round((1.2 - centre[1]) * unit)) == BODY
        assert at(picture, round((0.52 + 1.2) * unit), round((1.2 - 0.45 * math.sin(1.5) - 0.55 - 0.13) * unit)) == GOAL


@pytest.mark.parametrize("game", TASK.games)
def test_a_scene_is_drawn_from_an_observation_as_from_gymnasiums_own_state(game: str) -> None:
    environment = Classic(TASK).make(GAMES[game])
    camera = camera_of(TASK, GAMES[game])
    envs = Classic(TASK).evaluation_envs(GAMES[game], 1, 1)
    seen = environment.reset(3)
    for action in (0, 1, 1, 0):
        seen = environment.step(action)[0]
    state = np.asarray(environment._env.state, np.float64).tolist()  # type: ignore[attr-defined]
    if game == "Acrobot":
        first, second = state[:2]
        state = [math.cos(first), math.sin(first), math.cos(second), math.sin(second)]
    wanted = scenes.SCENES[game](state).astype(int)
    drawn = camera.picture(envs, seen)
    assert drawn.dtype == np.uint8
    assert np.mean(np.abs(drawn - wanted)) < 0.5
    assert len(np.unique(drawn)) > 5
    assert camera.rate(envs) == environment._env.metadata["render_fps"]  # type: ignore[attr-defined]


def test_a_body_is_drawn_as_it_stands_or_it_is_said_that_nothing_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    task, options = load_task("mujoco"), MujocoEnvironment(version="v4", max_episode_steps=50)
    try:
        camera = camera_of(task, GAMES["HalfCheetah"])
    except UnfitEnvironment as error:
        assert "no context can be made here by egl" in str(error)  # noqa: PT017 - where Mesa is not installed
        return
    envs = MujocoEnvs(GAMES["HalfCheetah"], options, 1)
    first = camera.picture(envs, envs.reset([0])[0])
    for _ in range(10):
        seen = envs.step([np.ones(6, np.float32)]).observation[0]
    moved = camera.picture(envs, seen)
    envs.close()
    assert first.shape == moved.shape == (480, 480, 3)
    assert len(np.unique(first)) > 50
    assert np.mean(first != moved) > 0.01
    assert camera.rate(envs) == pytest.approx(20)


def test_where_nothing_can_draw_a_body_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "paper")
    with pytest.raises(UnfitEnvironment, match="no context can be made here by paper") as caught:
        camera_of(load_task("mujoco"), GAMES["Hopper"])
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_a_film_has_the_pictures_that_it_was_given_and_is_not_there_if_one_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.mp4"
    with Film(path) as film:
        for x in np.linspace(-2, 2, 7).tolist():
            film.add(cart_pole([x, 0.0, 0.0, 0.0]), 50.0)
    assert film.pictures == 7
    read = cv2.VideoCapture(str(path))
    columns = []
    while (found := read.read())[0]:
        columns.append(float(np.mean(np.nonzero(found[1][155:161, :, 2] < 100)[1])))
    assert read.get(cv2.CAP_PROP_FPS) == 50
    np.testing.assert_allclose(columns, (np.linspace(-2, 2, 7) + 2.4) * 100, atol=6)
    with pytest.raises(ZeroDivisionError), Film(tmp_path / "y.mp4") as film:
        film.add(cart_pole([0.0, 0.0, 0.0, 0.0]), 1 / 0)
    assert sorted(tmp_path.iterdir()) == [path.parent]
