"""A whole Slurm on this machine: controller and two nodes of a core each, without cgroups, accounting or systemd."""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from clusters.cells import NotRun, call

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
PACKAGES = "slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins"
NODES = ("n1", "n2")
CONF = """\
ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# How long a requeued job waits for its next start, too: 120 seconds if nothing is said.
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
SlurmdTimeout=15
SlurmctldTimeout=15
InactiveLimit=0
KillWait=20
MinJobAge=3600
{nodes}
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=30 PreemptMode=REQUEUE
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


class Slurm:
    """A running Slurm; `environment` is what its clients need. NotRun where it cannot be had."""

    def __init__(self, folder: Path) -> None:
        missing = [name for name in NEEDED if shutil.which(name, path=_path()) is None]
        if missing:
            raise NotRun(f"{missing[0]} is not installed (Debian: apt-get install {PACKAGES})")
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "spool"):
            (folder / name).mkdir()
        for place in (folder, folder.parent):
            place.chmod(0o711)  # munge asks for it
        nodes = zip(NODES, _ports(len(NODES)), strict=True)
        lines = [
            f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000"
            for name, port in nodes
        ]
        conf = CONF.format(folder=folder, user=getpass.getuser(), ports=_ports(1), nodes="\n".join(lines))
        (folder / "slurm.conf").write_text(conf, encoding="utf-8")

    def __enter__(self) -> Self:
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        places = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        words = [f"--{option}={self.folder}/munge.{ending}" for option, ending in places.items()]
        try:
            self._start("munged", ["munged", "--foreground", *words])
            self._start("slurmctld", ["slurmctld", "-D", "-c"])
            for node in NODES:
                self.start_node(node)
            self._wait_for_nodes()
        except NotRun:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in NODES:
            self._kill(self.processes(node))
        for daemon in reversed(self._daemons.values()):
            daemon.kill()
            daemon.wait()

    def start_node(self, node: str) -> None:
        """Start the daemon of a node, or start it again."""
        self._start(node, ["slurmd", "-D", "-N", node])

    def kill_node(self, node: str) -> int:
        """Kill a node's daemon and everything that runs there, at once; how many processes that was."""
        victims = [self._daemons[node].pid, *self.processes(node)]
        self._kill(victims)
        self._daemons.pop(node).wait()
        return len(victims)

    def processes(self, node: str) -> list[int]:
        """The steps of a node's jobs and all that they started, by their environment."""
        jobs = self.client("squeue", "-h", "-a", "-t", "R,CG", "-w", node, "-o", "%A", check=False).split()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "environ").read_bytes().split(b"\0")
                name = (place / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            ours = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode() in words
            step = any(name.startswith(f"slurmstepd: [{job}.") for job in jobs)
            if ours and (step or f"SLURMD_NODENAME={node}".encode() in words):
                found.append(int(place.name))
        return found

    def client(self, *words: str, check: bool = True) -> str:
        """What a client of Slurm says."""
        if check:
            return call(words, self.environment)
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout

    def _start(self, name: str, words: list[str]) -> None:
        log = (self.folder / f"{name}.out").open("ab")
        self._daemons[name] = subprocess.Popen(
            words, env=self.environment, stdout=log, stderr=log, start_new_session=True, cwd=self.folder
        )
        time.sleep(0.5)
        if (code := self._daemons[name].poll()) is not None:
            said = (self.folder / f"{name}.out").read_text(errors="replace").strip().splitlines()
            raise NotRun(f"{words[0]} ended with {code}: {said[-1] if said else 'no message'}")

    def _wait_for_nodes(self) -> None:
        deadline = time.monotonic() + 60
        while self.client("sinfo", "-h", "-p", "low", "-o", "%T %D", check=False).split() != ["idle", f"{len(NODES)}"]:
            if time.monotonic() > deadline:
                raise NotRun(f"the nodes did not come up: {self.client('sinfo', check=False)}")
            time.sleep(0.5)

    @staticmethod
    def _kill(numbers: list[int]) -> None:
        for number in numbers:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _path() -> str:
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


def _ports(count: int) -> list[int]:
    """Free ports of this machine."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
