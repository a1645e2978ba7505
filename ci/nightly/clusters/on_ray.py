"""The same cells as tasks of Ray on two nodes of this machine, one of which is lost with a cell midway."""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clusters.cells import FRAMES, STUDY, NotRun, call, command, compared, midway, wait_for
from suite.records.ownership import read_owner

FAST = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_niceness": "0",
}
"""A lost node is missed after seconds; memory that others take on this machine kills nothing."""
STORE_BYTES = 80_000_000


def proof() -> tuple[str, dict[str, float]]:
    """Run it; the figures."""
    os.environ.update(FAST)
    try:
        import ray  # noqa: F401
        from ray.cluster_utils import Cluster
    except ImportError as error:
        raise NotRun("ray is not installed (pip install -r docker/requirements-ray.txt)") from error
    with tempfile.TemporaryDirectory(prefix="ray-") as name:
        folder = Path(name)
        study, local, out = folder / "cluster.toml", folder / "local", folder / "runs"
        study.write_text(STUDY, encoding="utf-8")
        call(command(study, local))
        head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
            figures = _on_ray(cluster, nodes, study, out)
        finally:
            cluster.shutdown()
        return "suite study run --launcher ray, on two nodes of this machine", figures | compared(local, out)


def _on_ray(cluster: Any, nodes: list[Any], study: Path, out: Path) -> dict[str, float]:
    words = command(study, out, "--launcher", "ray", "--cluster", f"address={cluster.address}", "--json")
    driver = subprocess.Popen([*words, "--cluster", "memory=1"], stdout=subprocess.PIPE, text=True)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(driver.stdout or ()))
    reader.start()
    paths = wait_for("the plan", lambda: _paths(out))
    node = wait_for("a node midway", lambda: next((node for node in nodes if _is_midway(node, out, paths)), None))
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    code = driver.wait()
    reader.join()
    states = [json.loads(line)["state"] for line in said if line.startswith("{")]  # Ray prints of lost nodes beside
    if code or len(states) != len(paths) or set(states) != {"done"}:
        raise SystemExit(f"the driver ended with {code}: {states}")
    return {"frames": FRAMES, "tasks": len(states), "nodes_killed": 1}


def _is_midway(node: Any, out: Path, paths: list[str]) -> bool:
    """Whether a cell that is midway is run by a process below one of the node's."""
    own = {one.process.pid for started in node.all_processes.values() for one in started}
    owners = [read_owner(out / path, 1) for path in paths if midway(out, path)]
    return any(owner is not None and own & set(_above(owner.pid)) for owner in owners)


def _above(pid: int) -> Iterator[int]:
    """A process and all those that it descends from; nothing of one that has ended."""
    while pid > 1:
        yield pid
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return
        pid = int(stat.rpartition(")")[2].split()[1])


def _paths(out: Path) -> list[str] | None:
    """The runs of the launch, once its plan is written."""
    for plan in out.glob("launches/*/plan.json"):
        return [cell["path"] for group in json.loads(plan.read_text())["groups"] for cell in group["cells"]]
    return None
