"""The section of runs: short trainings through the command line, dense and pruned, one of them stopped and resumed."""

import json
import platform
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from golden_product import write_logs
from golden_text import short

from suite.records.attempts import home, parts

PROCESSES = 2
PRUNED = "--method magnitude_pruning"
EARLY = "--set method.start_fraction=0 --set method.end_fraction=0.005 --set method.mask_period=5"
ATARI = "--task smoke --network nature_cnn --games Pong --checkpoint-every 3200"
HUNDRED = "--task smoke100k --agent der --games Breakout --frames 2120"
MUJOCO = "--task smoke-mujoco --games Hopper --set agent.hidden_units=8 --checkpoint-every 1000"
OFFLINE = "--task smoke-offline --games Pong --frames 500 --checkpoint-every 250 --data DATA"
RUNS = {
    "dqn pruned": f"{ATARI} {PRUNED} --frames 6400",
    "dqn dense": f"{ATARI} --frames 3600",
    "der": HUNDRED,
    "der pruned": f"{HUNDRED} {PRUNED} {EARLY}",
    "cql pruned": f"{OFFLINE} {PRUNED}",
    "sac": f"{MUJOCO} --agent sac --set agent.batch_size=16 --frames 2000",
    "sac pruned": f"{MUJOCO} --agent sac --set agent.batch_size=16 --frames 2000 {PRUNED}",
    "ppo": f"{MUJOCO} --agent ppo --frames 2048",
    "ppo pruned": f"{MUJOCO} --agent ppo --frames 2048 {PRUNED}",
}
STOPPED = "dqn pruned"
"""Which of them is also done by a process that is stopped on the way and another that goes on."""
STOP_AFTER = 4
"""Rows of diagnostics, of eight, after which it is stopped."""
LOGS = ("episodes", "evaluation", "checkpoints", "actions", "diagnostics")
INTERRUPTED = 75


def runs() -> dict[str, Any]:
    """Return what each run recorded: what any machine must give, and the bits, which are this processor's."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(PROCESSES) as pool:
        root = Path(folder)
        write_logs(root / "data")
        _suite(root, f"data sample {root / 'data'} --fraction 0.5")
        whole = {name: pool.submit(_run, root, name, arguments) for name, arguments in RUNS.items()}
        resumed = pool.submit(_run_stopped, root)
        found = {name: future.result() for name, future in whole.items()}
        bits = {**found[STOPPED], "stopped": True}
        found[f"{STOPPED}, stopped and resumed"] = {"independent": {"the same bits": resumed.result() == bits}}
    return {"processor": processor(), "runs": found}


def comparable(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return what of two records can be compared, and a remark if that is not all of it."""
    recorded, here = old.get("processor", "nothing"), new["processor"]
    if recorded == here or not old:
        return old, new, ""
    remark = f"recorded on {recorded}, this is {here}: bits not comparable"
    return _independent(old), _independent(new), remark


def processor() -> str:
    """Return the processor's name, and a hash of its abilities, which compilers look at."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    abilities = " ".join(sorted(fields.get("flags", fields.get("Features", "")).split()))
    return f"{fields.get('model name', platform.processor())} ({platform.machine()}, abilities {short(abilities)})"


def _independent(record: dict[str, Any]) -> dict[str, Any]:
    return {name: run["independent"] for name, run in record["runs"].items()}


def _run(root: Path, name: str, arguments: str) -> dict[str, Any]:
    out = root / name.replace(" ", "-")
    _suite(root, _command(root, arguments, out))
    return _content(out)


def _run_stopped(root: Path) -> dict[str, Any]:
    """Stop a run with SIGUSR1 on its way, issue its command again, and return what came of it."""
    out = root / "stopped"
    command = _command(root, RUNS[STOPPED], out)
    process = subprocess.Popen(
        [sys.executable, "-m", "suite", *command.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and _rows(out) < STOP_AFTER:
        time.sleep(0.02)
    process.send_signal(signal.SIGUSR1)
    if process.wait() != INTERRUPTED:
        sys.exit(f"golden: the run that was to be stopped exited with {process.returncode}")
    _suite(root, command)
    (spec,) = out.rglob("spec.json")
    attempts = json.loads((home(spec.parent) / "status.json").read_text(encoding="utf-8"))["attempt"]
    return _content(out) | {"stopped": attempts == 2}


def _rows(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.rglob("diagnostics.jsonl"))


def _command(root: Path, arguments: str, out: Path) -> str:
    given = arguments.replace("DATA", str(root / "data"))
    return f"run {given} --seeds 0 --threads 1 --lanes 1 --inspect-every 0 --out {out}"


def _suite(root: Path, arguments: str) -> None:
    command = [sys.executable, "-m", "suite", *arguments.split()]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"golden: {arguments} exited with {done.returncode}: {done.stderr}")


def _content(out: Path) -> dict[str, Any]:
    """Return what the only run directory below `out` holds, without times and numbers of attempts."""
    (spec_file,) = out.rglob("spec.json")
    last = home(spec_file.parent)
    spec, status, provenance = (
        json.loads(file.read_text(encoding="utf-8"))
        for file in (spec_file, last / "status.json", last / "provenance.json")
    )
    logs = {name: b"".join(part.read(f"{name}.jsonl") for part in parts(spec_file.parent)) for name in LOGS}
    rows = {name: [json.loads(line) for line in log.splitlines()] for name, log in logs.items()}
    for row in (row for table in rows.values() for row in table):
        del row["attempt"]
    summary = {key: value for key, value in status["summary"].items() if key != "wall_seconds"}
    return {
        "independent": _facts(rows, spec, status) | {"environment": _fingerprint(provenance)},
        "bits": {f"{name}.jsonl": short(table) for name, table in rows.items()}
        | {"summary": short(summary), "score": summary["score"], "scored episodes": summary["scored_episodes"]}
        | {"episodes": len(rows["episodes"]), "evaluation episodes": len(rows["evaluation"])},
    }


def _fingerprint(provenance: dict[str, Any]) -> str:
    """Return what the last attempt says of the environment, and what is said of an attempt."""
    last = provenance["attempts"][-1]
    return f"{last['environment_fingerprint']} {short([last['environment'], sorted(last)])}"


def _facts(rows: dict[str, list[dict[str, Any]]], spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    """Return what a run records on any machine: its identity, its schedule, and how much was pruned."""
    schedule = ("agent_step", "frame", "updates")
    sizes = ("parameters", "active_parameters", "sparsity")
    facts = {key: status[key] for key in ("state", "agent_steps", "frames", "budget_frames", "updates")}
    facts |= {key: status["summary"][key] for key in sizes}
    for name in ("diagnostics", "checkpoints"):
        plan = [[*(row[key] for key in schedule), sorted(row.get("values", ()))] for row in rows[name]]
        facts[name] = f"{len(plan)} rows {short(plan)}"
    facts["pruned"] = short([[row["values"][key] for key in sizes] for row in rows["diagnostics"]])
    facts["evaluated at"] = sorted({row["agent_step"] for row in rows["evaluation"]})
    return facts | {"config_id": spec["config_id"], "spec.json": short(spec), "status.json": short(sorted(status))}
