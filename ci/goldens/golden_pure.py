"""The pure sections: identities, cards, help, plans and schemas; seconds, and the same on every machine."""

import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result
from golden_product import (
    KINDS,
    PACKAGES,
    ROOT,
    WRITTEN,
    Request,
    SuiteError,
    cli,
    load_task,
    registry,
    resolve,
    task_names,
    uncompiled,
    write_logs,
)
from golden_text import short

OVERRIDDEN = (
    Request("atari40m", width=3),
    Request("atari40m", "dqn", "nature_cnn", ("magnitude_pruning",), ("method.sparsity=0.9",)),
    Request("atari40m", methods=("magnitude_pruning+redo",), settings=("method.redo.period=500",)),
    Request("atari40m", methods=("magnitude_pruning",), settings=("method.distribution=global", "agent.n_step=5")),
    Request("atari40m", settings=("network.layer_norm=true", "agent.learning_rate=1e-4"), frames=4_000_000),
    Request("atari100k", methods=("magnitude_pruning+weight_decay",), settings=("agent.batch_size=16",)),
    Request("mujoco", "ppo", width=5, methods=("rigl",), settings=("agent.hidden_units=32",)),
    Request("smoke", frames=6400),
    Request("smok"),
    Request("smoke", "dqm"),
    Request("smoke", methods=("dense+dense",)),
    Request("smoke", frames=-4),
    Request("smoke", settings=("agent.gamma=2",)),
    Request("smoke", settings=("agent.gama=0.9",)),
    Request("smoke", settings=("agent.gamma=high",)),
    Request("smoke", settings=("task.frames=4",)),
    Request("smoke", settings=("agent.gamma",)),
    Request("smoke", methods=("magnitude_pruning",), settings=("method.distribution=none",)),
)
PLANS = {
    "defaults": "--task atari40m",
    "pruned wide": "--task atari40m --width 3 --method dense,magnitude_pruning --set method.sparsity=0.9",
    "short": "--task atari40m --games Pong,Breakout --seeds 0-1 --frames 4000000 --set agent.gamma=0.9",
    "all games": "--task atari60 --agent iqn --network nature_cnn --method rigl",
    "rainbow": "--task smoke --agent rainbow --method redo+weight_decay",
    "100k": "--task atari100k --method magnitude_pruning+redo",
    "drq": "--task smoke100k --agent drq_eps --method l2_init --games Breakout --seeds 3",
    "sac": "--task mujoco --agent sac --width 5 --method static_sparse --games Hopper",
    "ppo": "--task mujoco-v5 --agent ppo --method shrink_and_perturb --seeds 0 --set method.layers=all",
    "no score": "--task smoke-mujoco --agent ppo --frames 1024",
    "offline": "--task smoke-offline --games Pong --data DATA --method magnitude_pruning",
    "offline distributional": "--task smoke-offline --agent cql_c51 --games Pong --seeds 0 --data DATA",
    "never due": "--task atari100k --method reset",
    "no such layer": "--task mujoco-v5 --agent ppo --method shrink_and_perturb",
    "no data": "--task offline5",
    "no such game": "--task smoke --games Pongg",
    "no such seeds": "--task smoke --seeds x",
    "no pair": "--task smoke --method rigl+magnitude_pruning",
    "no lanes": "--task smoke --lanes 0",
}
HOST = (
    *("out", "data", "groups", "lanes", "replay", "lane_bytes", "memory_bytes", "device_memory_bytes", "disk_bytes"),
    *("projected_seconds", "seconds_per_cell", "device"),
)
"""What a plan says of this machine."""


def config_ids() -> dict[str, Any]:
    """Return the identity of every task x agent x network x method, of pairs of methods and of changed settings."""
    agents, networks, methods = (sorted(registry.registered(kind)) for kind in KINDS)
    alone: dict[str, Any] = {}
    for task, agent, network in itertools.product(task_names(), agents, networks):
        found = {method: _identity(Request(task, agent, network, (method,))) for method in methods}
        same = set(found.values())
        alone.setdefault(task, {})[f"{agent}/{network}"] = same.pop() if len(same) == 1 else found
    pairs = {f"{a}+{b}": _identity(Request("smoke", methods=(f"{a}+{b}",))) for a in methods for b in methods if a != b}
    return {"alone": alone, "pairs": pairs, "overridden": {_named(item): _identity(item) for item in OVERRIDDEN}}


def _identity(request: Request) -> str:
    try:
        return ",".join(item.spec.config_id for item in resolve(request))
    except SuiteError as error:
        return f"refused {int(error.exit_code)} {short([error.problem, error.remedy])}"


def _named(request: Request) -> str:
    parts = [request.task, request.agent, request.network, *request.methods, *request.settings]
    numbers = {"frames": request.frames, "width": request.width}
    return " ".join([*filter(None, parts), *(f"--{name} {value}" for name, value in numbers.items() if value)])


def cards() -> dict[str, Any]:
    """Return what every card says once it is read, whatever file each line of it came from."""
    found: dict[str, Any] = {
        f"{kind}s": {name: _card(kind, name) for name in sorted(registry.registered(kind))} for kind in KINDS
    }
    return found | {"tasks": {name: _task(name) for name in task_names()}}


def _card(kind: registry.Kind, name: str) -> dict[str, Any]:
    card = registry.card(kind, name)
    content = card.model_dump(mode="json")
    rest = ("title", "summary", "paper", "deviations", "claims", "conflicts", "families")
    fields = ("value", "doc", "source", "unit", "minimum", "maximum", "above", "choices")
    settings = {
        key: f"{json.dumps(setting['value'])} {short({field: setting[field] for field in fields})}"
        for key, setting in content["settings"].items()
    }
    own = {"id": card.id, "version": card.version, "digest": card.digest, "settings": settings}
    return own | {field: short(content[field]) for field in rest}


def _task(name: str) -> dict[str, Any]:
    """Return what `suite show task` publishes, notes on sources included, and all fields of the task as read."""
    shown = json.loads(_call("show", "task", name, "--json").stdout)
    read = load_task(name).model_dump(mode="json")
    plain = {key: value for key, value in read.items() if isinstance(value, int)}
    return {"read": {key: short(value) for key, value in read.items()} | plain, "shown": short(shown)}


def help_texts() -> dict[str, list[str]]:
    """Return the lines of every command's --help."""
    return {" ".join(("suite", *path)): _call(*path, "--help").stdout.splitlines() for path in _commands(cli, ())}


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, (*path, name))


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="suite", terminal_width=100, color=False)


def plans() -> dict[str, Any]:
    """Return what `suite run --dry-run --json` says of some requests, this machine left out, or how it refuses them.

    Nothing is compiled: what a program costs is left out too.
    """
    with tempfile.TemporaryDirectory() as folder, uncompiled():
        write_logs(Path(folder) / "data")
        _call("data", "sample", f"{folder}/data", "--fraction", "0.5")
        return {name: _plan(text.replace("DATA", f"{folder}/data"), folder) for name, text in PLANS.items()}


def _plan(text: str, folder: str) -> dict[str, Any]:
    done = _call("run", *text.split(), "--dry-run", "--json", "--out", f"{folder}/out")
    found: dict[str, Any] = {"request": text.replace(folder, "."), "exit": done.exit_code}
    if done.exit_code:
        return found | {"said": done.stderr.replace(folder, ".").splitlines()}
    plan: dict[str, Any] = _without(json.loads(done.stdout), HOST)
    plan["cells"] = {"number": len(plan["cells"]), "are": short(plan["cells"])}
    plan["configurations"] = {item["label"]: item for item in plan["configurations"]}
    return found | plan


def _without(content: Any, names: tuple[str, ...]) -> Any:
    """Return JSON content without the keys of these names."""
    if isinstance(content, list):
        return [_without(item, names) for item in content]
    if not isinstance(content, dict):
        return content
    return {key: _without(value, names) for key, value in content.items() if key not in names}


def schemas() -> dict[str, Any]:
    """Return the schemas that `suite submit schema` prints, those in the packages, and those of files that are read."""
    (argument,) = (item for item in _command("submit", "schema").params if isinstance(item, click.Argument))
    assert isinstance(argument.type, click.Choice)
    names = sorted(argument.type.choices)
    files = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("schemas/*.json"))
    return {
        "printed": {name: _parts(json.loads(_call("submit", "schema", name).stdout)) for name in names},
        "in packages": {path.name: short(path.read_bytes()) for path in files},
        "run directories and data": {
            name: _parts(_without(model.model_json_schema(by_alias=True), ("description",)))
            for name, model in WRITTEN.items()
        },
    }


def _command(*path: str) -> click.Command:
    found: click.Command = cli
    for name in path:
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name) or found
    return found


def _parts(schema: dict[str, Any]) -> dict[str, str]:
    """Return the hash of every property and definition of a schema, and of the rest."""
    grouped = ("properties", "$defs")
    rest = {key: value for key, value in schema.items() if key not in grouped}
    named = {f"{group}.{key}": short(value) for group in grouped for key, value in schema.get(group, {}).items()}
    return {"rest": short(rest)} | named


SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "config_ids": config_ids,
    "cards": cards,
    "help": help_texts,
    "plans": plans,
    "schemas": schemas,
}
