"""The lock files, written by ci/lock, fit pyproject.toml and each other and name no machine; so do the Dockerfiles."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from suite.experience.envs.minatar import INSTALL

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CPU, CUDA, TEST = "docker/requirements-cpu.txt", "docker/requirements-cuda.txt", "ci/requirements-test.txt"
MINATAR = "docker/requirements-minatar.txt"
SINKS = "docker/requirements-sinks.txt"
LAUNCHERS = {"docker/requirements-slurm.txt": "slurm", "docker/requirements-ray.txt": "ray"}
EXTRAS = {CPU: (), CUDA: ("cuda",), TEST: ("test",)}
PIN = re.compile(r"(?P<requirement>[a-z0-9][^\\\n]*==[^\\\n]*?)(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def read_lock(name):
    text = (ROOT / name).read_text()
    assert PIN.sub("", text) == "", f"{name} holds something else than pins with hashes"
    requirements = [Requirement(found["requirement"]) for found in PIN.finditer(text)]
    pins = {requirement.name: requirement for requirement in requirements}
    assert len(pins) == len(requirements), f"{name} pins something twice"
    return pins


def version(requirement):
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    return pin.version


@pytest.mark.parametrize("name", [*EXTRAS, MINATAR, SINKS, *LAUNCHERS])
def test_a_lock_holds_nothing_but_pins_with_hashes(name):
    assert read_lock(name)
    assert "://" not in (ROOT / name).read_text()


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_satisfies_pyproject(name):
    pins = read_lock(name)
    project = PYPROJECT["project"]
    wanted = [*PYPROJECT["build-system"]["requires"], *project["dependencies"]]
    for extra in EXTRAS[name]:
        wanted += project["optional-dependencies"][extra]
    for requirement in map(Requirement, wanted):
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version(pin)), f"{name}: {pin} is not {requirement}; run ci/lock"


def test_the_images_have_minatar_alone_in_the_version_that_is_tested_and_named_where_it_is_missing():
    (pin,) = read_lock(MINATAR).values()
    assert pin == read_lock(TEST)["minatar"]
    assert PYPROJECT["project"]["optional-dependencies"]["minatar"] == [str(pin)]
    assert INSTALL.lower() == f"pip install --no-deps {pin}"
    assert not {"minatar", "matplotlib", "seaborn"} & (set(read_lock(CPU)) | set(read_lock(CUDA)))


def test_every_sink_comes_with_what_it_needs_in_the_versions_that_are_tested():
    pins, tested = read_lock(SINKS), read_lock(TEST)
    for extra in ("tensorboard", "trackio", "wandb"):
        (wanted,) = map(Requirement, PYPROJECT["project"]["optional-dependencies"][extra])
        assert wanted.specifier.contains(version(pins[canonicalize_name(wanted.name)]))
    others = {key for key, pin in pins.items() if key in tested and version(pin) != version(tested[key])}
    assert others <= {"pillow"}  # trackio wants an older one


@pytest.mark.parametrize(("name", "extra"), LAUNCHERS.items())
def test_a_launchers_package_comes_with_what_it_needs_in_the_versions_that_are_tested(name, extra):
    pins, tested = read_lock(name), read_lock(TEST)
    (wanted,) = PYPROJECT["project"]["optional-dependencies"][extra]
    assert f"{pins[Requirement(wanted).name]}".partition(";")[0].strip() == wanted
    assert all(version(pin) == version(tested[key]) for key, pin in pins.items() if key in tested)


@pytest.mark.parametrize("name", EXTRAS)
def test_every_python_gets_the_same_jax(name):
    pins = read_lock(name)
    assert pins["jax"].marker is None
    assert version(pins["jax"]) == version(pins["jaxlib"])


@pytest.mark.parametrize("name", [CPU, CUDA])
def test_an_image_runs_the_versions_that_the_tests_ran(name):
    tested = read_lock(TEST)
    for key, pin in read_lock(name).items():
        if not key.startswith(("jax-cuda", "nvidia-")):
            assert pin == tested[key]


def test_cuda_is_an_addition_to_cpu():
    cpu, cuda = read_lock(CPU), read_lock(CUDA)
    added = {key: pin for key, pin in cuda.items() if key not in cpu}
    assert cpu == {key: pin for key, pin in cuda.items() if key in cpu}
    assert all(key.startswith(("jax-cuda", "nvidia-")) for key in added), added
    assert version(cuda["jax-cuda13-plugin"]) == version(cuda["jax"])


@pytest.mark.parametrize("name", EXTRAS)
def test_only_jax_brings_a_deep_learning_framework(name):
    assert not {"torch", "tensorflow", "tensorflow-cpu", "tensorflow-cpu-aws"} & set(read_lock(name))


def test_the_cuda_image_differs_from_the_tested_one_only_where_it_must():
    def steps(name):
        lines = (ROOT / name).read_text().splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    cpu, cuda = steps("docker/Dockerfile"), steps("docker/Dockerfile.cuda")
    differences = set(cpu) ^ set(cuda)
    assert all(re.search(r"requirements-c|description|licenses|SUITE_IMAGE|NVIDIA_", line) for line in differences), (
        differences
    )
    assert len(cuda) == len(cpu) + 1


@pytest.mark.parametrize("name", ["docker/Dockerfile", "docker/Dockerfile.cuda"])
def test_an_image_states_the_version_of_the_project(name):
    assert f"\nARG VERSION={PYPROJECT['project']['version']}\n" in (ROOT / name).read_text()
