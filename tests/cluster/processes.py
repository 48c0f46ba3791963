"""Starts, recognises and ends the components' processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.errors import ClusterError
from tests.cluster.state import INIT, recorded_pid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cluster.paths import ClusterPaths
    from tests.cluster.state import Cluster

MARK = "MODELOPS_CLUSTER_PROCESS"
"""Set in every process we start. A recorded process id is trusted only if its process carries the mark, since ids are
used again for other processes after a crash or a reboot."""

GOING_SECONDS = 15.0
"""For a process that was killed, or an interface that was removed, to be gone."""
PF_KTHREAD = 0x200000
"""Flag of the kernel's own threads in /proc/PID/stat."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The inner shell writes its process id before it becomes the component, so there is no moment at which a component
# runs unrecorded, even if the launcher is killed. The outer one ends at once, which leaves the component to the first
# process of its namespace: killing the launcher does not touch it.
_START = """setsid /bin/sh -c 'echo $$ >"$0" && exec "$@"' "$@" </dev/null >>"$0" 2>&1 &"""


def mark(paths: ClusterPaths, component: str) -> str:
    """What the component's process carries in its environment."""
    return f"{paths.state}/{component}"


def environment(paths: ClusterPaths, component: str) -> dict[str, str]:
    """A small environment: a proxy or credentials meant for the person at the shell are not the cluster's."""
    return {
        "PATH": SYSTEM_PATH,
        "HOME": str(paths.state),
        MARK: mark(paths, component),
    }


def ensure(cluster: Cluster, component: str, command: Sequence[str]) -> None:
    """Start a component that does not run, or runs with other arguments than it should."""
    if alive(cluster, component):
        if _command(cluster, component) == list(command):
            return
        kill(cluster, component)
    spawn(cluster, component, command)


def spawn(cluster: Cluster, component: str, command: Sequence[str]) -> None:
    """Start a component, within the cluster's namespaces if it has them; its output goes to its log."""
    paths = cluster.paths
    pid_file = paths.pids / component
    pid_file.unlink(missing_ok=True)
    start = ["/bin/sh", "-c", _START, str(log(paths, component)), str(pid_file), *command]
    subprocess.run([*inside(cluster), *start], env=environment(paths, component), cwd="/", check=True)
    deadline = time.monotonic() + 10
    while not (pid_file.exists() and pid_file.read_text().strip()):
        if time.monotonic() > deadline:
            raise ClusterError(f"{component} could not be started.{tail(paths, component)}")
        time.sleep(0.005)


def spawn_init(cluster: Cluster, kubelet_directory: str) -> int:
    """Make the cluster's namespaces; return the process id of their first process."""
    paths = cluster.paths
    pid_file = paths.pids / INIT
    ready = pid_file.with_suffix(".ready")
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-I", str(Path(__file__).with_name("sandbox_init.py")), str(pid_file), kubelet_directory]
    with log(paths, INIT).open("ab") as output:
        subprocess.run(
            command,
            env=environment(paths, INIT),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            check=False,
        )
    deadline = time.monotonic() + 10
    while not ready.exists():
        pid = recorded_pid(paths, INIT)
        if time.monotonic() > deadline or not _carries(Path("/proc"), pid, mark(paths, INIT)):
            raise ClusterError(f"The cluster's namespaces could not be made.{tail(paths, INIT)}")
        time.sleep(0.005)
    return recorded_pid(paths, INIT)


def inside(cluster: Cluster) -> list[str]:
    """What to put before a command so that it runs within the cluster's namespaces; nothing if it has none."""
    if not cluster.init:
        return []
    return ["nsenter", f"--target={cluster.init}", "--mount", "--net", "--pid", "--"]


def log(paths: ClusterPaths, component: str) -> Path:
    """The component's log."""
    return paths.logs / f"{component}.log"


def tail(paths: ClusterPaths, component: str, lines: int = 15) -> str:
    """The end of a component's log, to be put after a message."""
    file = log(paths, component)
    text = file.read_text(errors="replace") if file.exists() else ""
    return "\n".join([f" The end of {file}:", *(f"    {line[:300]}" for line in text.splitlines()[-lines:])])


def _proc(cluster: Cluster) -> Path:
    """/proc as the component's recorded ids count: through the first process's root it is that of the namespaces."""
    return Path(f"/proc/{cluster.init}/root/proc") if cluster.init else Path("/proc")


def _command(cluster: Cluster, component: str) -> list[str]:
    try:
        line = (_proc(cluster) / str(recorded_pid(cluster.paths, component)) / "cmdline").read_text()
    except OSError:
        return []
    return line.rstrip("\0").split("\0")


def alive(cluster: Cluster, component: str) -> bool:
    """Whether the component's process runs. One that has ended but waits for its parent has no environment."""
    if cluster.init and not init_alive(cluster):
        return False
    return _carries(_proc(cluster), recorded_pid(cluster.paths, component), mark(cluster.paths, component))


def init_alive(cluster: Cluster) -> bool:
    """Whether the namespaces' first process runs, and so the namespaces exist."""
    return _carries(Path("/proc"), cluster.init, mark(cluster.paths, INIT))


def host_pid(cluster: Cluster, component: str) -> int:
    """The component's process id as the machine counts, which within a process id namespace is another; 0 if gone."""
    if not alive(cluster, component):
        return 0
    pid = recorded_pid(cluster.paths, component)
    if not cluster.init:
        return pid
    namespace = Path(f"/proc/{cluster.init}/ns/pid").readlink()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "ns/pid").readlink() == namespace and _innermost_pid(entry) == pid:
                return int(entry.name)
    return 0


def kill(cluster: Cluster, component: str) -> None:
    """End a component and wait until it is gone, so that its ports are free.

    There is no gentle way first: what has to last is in etcd's log, which a killed etcd finds again, while an API
    server that is asked to stop waits a minute for its watches to end.
    """
    pid = host_pid(cluster, component)
    if not pid:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    # It loses its environment, by which it is known, a moment before its ports.
    wait_gone(lambda: alive(cluster, component) or not _has_ended(Path(f"/proc/{pid}")), component)


def kill_marked(paths: ClusterPaths) -> None:
    """End every process that carries the cluster's mark, recorded or not, and whatever these start meanwhile.

    A launcher that is killed leaves behind what it was starting, which may record itself only after this.
    """
    deadline = time.monotonic() + GOING_SECONDS
    while found := _marked(paths):
        if time.monotonic() > deadline:
            raise ClusterError(f"Processes {found} are still there after they were killed; run `down` again.")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _marked(paths: ClusterPaths) -> list[int]:
    """The machine's ids of the processes that carry the cluster's mark and have not ended."""
    start = f"{MARK}={paths.state}/".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        variables = _variables(entry)
        if any(variable.startswith(start) for variable in variables):
            found.append(int(entry.name))
    return found


def wait_gone(is_there: Callable[[], bool], what: str, seconds: float = GOING_SECONDS) -> None:
    """Wait until the callable `is_there` says no."""
    deadline = time.monotonic() + seconds
    while is_there():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} is still there {seconds:.0f} s after it was told to go; run `down` again.")
        time.sleep(0.01)


def _has_ended(entry: Path) -> bool:
    """Whether a process has nothing left but its exit status, if as much."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _carries(proc: Path, pid: int, value: str) -> bool:
    return bool(pid) and f"{MARK}={value}".encode() in _variables(proc / str(pid))


def _variables(entry: Path) -> list[bytes]:
    """The environment of a process; nothing if it has ended."""
    for _ in range(100):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            status = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []
        # No environment, and yet not ended: for a moment so is a process that becomes a program. The kernel's own
        # threads never have one.
        if variables != [b""] or status[0] in "ZX" or int(status[6]) & PF_KTHREAD:
            return variables
        time.sleep(0.001)
    return []


def _innermost_pid(entry: Path) -> int:
    for line in (entry / "status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return 0
