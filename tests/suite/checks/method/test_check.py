"""`suite method new` writes what `suite method check` approves, and the latter finds what is wrong with others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from suite.checks.method.check import Report, check
from suite.cli.main import cli
from suite.contracts import registry

pytestmark = pytest.mark.slow

HEAD = """
import itertools, random
import jax, jax.numpy as jnp
from suite.contracts.card import Settings
from suite.contracts.method import Method

class Typed(Settings):
    pass

def each(params, function):
    return jax.tree.map(function, params)

def kernels(params, function):
    return jax.tree.map(lambda leaf: function(leaf) if leaf.ndim > 1 else None, params)
"""
NUMBER = '[settings.{}]\nvalue = 1.0\ndoc = "A number."\nsource = "a test"\nminimum = 0\nmaximum = 2\n'
FLAWS = {
    # name: (body of make, rest of the card, the check that fails, what it says)
    "needs_more": ("return Method(settings['lacking'])", "", "card", "KeyError: 'lacking' (needs_more.py, line"),
    "other_id": ("return Method('another')", "", "card", "the id 'another'; the card says 'other_id'"),
    "unread": (
        "return Method(NAME, features=lambda x: x + call(x))",
        NUMBER.format("idle"),
        "card",
        "Typed of the method 'unread' does not take its settings: idle: Extra inputs are not permitted",
    ),
    "calls_back": ("return Method(NAME, features=lambda x: x + call(x))", "", "programs", "calls back to the host"),
    "divides": (
        "1 / settings['by']; return Method(NAME, masks=lambda state: {'params': jnp.ones(1)})",
        NUMBER.format("by"),
        "settings",
        "by = 0.0, which the card allows, gives ZeroDivisionError: float division by zero (divides.py, line",
    ),
    "unclaimed": ("return Method(NAME, masks=lambda state: {'a': jnp.ones(1)})", "", "programs", "does not claim"),
    "bias_mask": (
        "return Method(NAME, init=lambda key, params: each(params, lambda x: x > 2), masks=lambda state: state)",
        'claims = ["masks"]',
        "programs",
        "is of a bias: have None there",
    ),
    "grows": (
        "return Method(NAME, init=lambda key, params: jnp.zeros(1), due=range(3, 9), refresh=grow)",
        "",
        "programs",
        "is float32 (2,) update 3, and was float32 (1,)",
    ),
    "new_signals": (
        "return Method(NAME, due=range(9), signal=lambda updates: (updates,) * (1 + updates % 2))",
        "",
        "programs",
        "signal() of new_signals changes its structure",
    ),
    "no_project": (
        "return Method(NAME, init=lambda key, params: kernels(params, lambda x: x > 0), masks=lambda state: state)",
        'claims = ["masks"]',
        "updates",
        "masked by no_project and not zero at initialization: `project` must put them to zero",
    ),
    "diverges": (
        "return Method(NAME, project=lambda state, params: each(params, lambda x: x / 0))",
        "",
        "updates",
        "is not finite at initialization",
    ),
    "draws": (
        "drawn = random.random(); return Method(NAME, project=lambda state, params: each(params, lambda x: x * drawn))",
        "",
        "determinism",
        "The same key gave other bits",
    ),
    "remembers": (
        "count = itertools.count(); return Method(NAME, init=lambda key, params: jnp.int32(0), due=range(40), "
        "signal=lambda updates: next(count), refresh=store)",
        "",
        "checkpoint",
        "differs where a run went on from a checkpoint",
    ),
    "knows_names": (
        "return Method(NAME, project=lambda state, params: jax.tree_util.tree_map_with_path("
        "lambda path, leaf: leaf * 0.5 if 'conv' in str(path) else leaf, params))",
        "",
        "layers",
        "comes out otherwise where layers have other names: find layers by their roles",
    ),
    "counts_units": (
        "return Method(NAME, project=lambda state, params: each(params, lambda x: x * (1 - 0.01 * x.shape[-1])))",
        "",
        "actions",
        "comes out otherwise where the head is padded",
    ),
}
HELPERS = """
def call(x):
    jax.debug.callback(lambda y: None, x)
    return 0

def grow(key, learner, gradients, signal):
    return learner._replace(methods=learner.methods | {NAME: jnp.zeros(2)})

def store(key, learner, gradients, signal):
    return learner._replace(methods=learner.methods | {NAME: jnp.asarray(signal, jnp.int32)})
"""


def suite(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["method", *arguments])


def failures(report: Report) -> dict[str, str]:
    return {result.name: result.detail for result in report.results if result.state == "FAILED"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of methods, each with a flaw."""
    folder = tmp_path_factory.mktemp("flaws")
    source = folder / "src" / "flawed"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("")
    for name, (body, card, _, _) in FLAWS.items():
        settings = "settings: Typed" if name == "unread" else "settings"
        code = f"{HEAD}\nNAME = {name!r}\n{HELPERS}\ndef make({settings}, context):\n    {body}\n"
        (source / f"{name}.py").write_text(code)
        (source / f"{name}.toml").write_text(f'id = "{name}"\nversion = 1\ntitle = "x"\nsummary = "y."\n{card}\n')
    return folder


@pytest.mark.parametrize("name", FLAWS)
def test_every_flaw_is_found_and_named(name: str, package: Path) -> None:
    (package / "pyproject.toml").write_text(f'[project.entry-points."suite.methods"]\n{name} = "flawed.{name}:make"\n')
    _, _, where, sentence = FLAWS[name]
    (report,) = check(str(package), alone=True)
    assert not report.ok
    assert sentence in failures(report).get(where, ""), failures(report)
    assert name not in registry.registered("method")
    assert not [module for module in sys.modules if module.startswith("flawed")]


def test_the_template_passes(tmp_path: Path) -> None:
    assert suite("new", "fine_method", "--into", str(tmp_path)).exit_code == 0
    (report,) = check(str(tmp_path / "fine_method"), alone=True)
    assert report.ok, failures(report)
    assert report.method == "fine_method"
    names = [result.name for result in report.results]
    assert names == ["card", "settings", "programs", "updates", "determinism", "checkpoint", "actions", "layers"]


def test_a_failed_check_ends_with_4_and_json_holds_the_same(package: Path) -> None:
    (package / "pyproject.toml").write_text(
        '[project.entry-points."suite.methods"]\nother_id = "flawed.other_id:make"\n'
    )
    command = [sys.executable, "-m", "suite", "method", "check", str(package), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert "1 checks of" in done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "suite.method_check/1"
    (method,) = document["methods"]
    assert (method["method"], method["ok"]) == ("other_id", False)
    assert [(row["name"], row["state"]) for row in method["checks"]] == [("card", "FAILED")]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("dense", "The method 'dense' is there already."),
        ("numpy", "Python has a module 'numpy' already"),
        ("Mine", "'Mine' cannot name a method."),
        ("my-method", "'my-method' cannot name a method."),
        ("class", "'class' cannot name a method."),
        ("../x", "'../x' cannot name a method."),
    ],
)
def test_names_that_would_not_work_are_refused(name: str, problem: str, tmp_path: Path) -> None:
    result = suite("new", name, "--into", str(tmp_path))
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "fine_method").mkdir()
    result = suite("new", "fine_method", "--into", str(tmp_path))
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert not list((tmp_path / "fine_method").iterdir())


@pytest.mark.parametrize(
    ("content", "code", "problem"),
    [
        (None, 2, "has no pyproject.toml"),
        ("[project]\n", 4, "registers no method"),
        ("[project", 4, "cannot be read"),
        ('[project.entry-points."suite.methods"]\nx = "nowhere.x:make"\n', 4, "has no package nowhere"),
    ],
)
def test_a_folder_without_a_method_is_said_to_have_none(
    content: str | None, code: int, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suite.learning.device.prepare", lambda threads, deterministic: None)
    if content is not None:
        (tmp_path / "pyproject.toml").write_text(content)
    result = suite("check", str(tmp_path))
    assert result.exit_code == code, result.stderr
    assert problem in result.stderr


def test_an_unknown_name_is_answered_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.learning.device.prepare", lambda threads, deterministic: None)
    result = suite("check", "dens")
    assert result.exit_code == 2
    assert "Did you mean 'dense'?" in result.stderr
