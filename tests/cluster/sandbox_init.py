"""The first process of a cluster's namespaces: when it ends, the kernel ends all others and forgets their mounts.

Run as `python3 sandbox_init.py PID_FILE KUBELET_DIRECTORY`. It makes network, mount, IPC and process id
namespaces, tidies the mounts, and from then on only collects processes that have ended. It imports nothing of its
package, to be small.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x8000000, 0x20000000, 0x40000000
MS_NOSUID_NODEV_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 2 | 4 | 8, 4096, 16384, 1 << 18, 1 << 20

SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""Settings of the whole machine that a kubelet changes when it starts. Here it changes copies."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(kind: str, target: str, flags: int = 0, options: str = "", source: str = "") -> None:
    arguments = ((source or kind).encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(_libc.mount(*arguments), f"mount {kind or 'propagation or bind'} on {target}")


def _tidy_mounts(kubelet_directory: str) -> None:
    """Give the cluster its own view of the directories it writes to outside its state.

    First nothing may travel back to the machine. At last everything is shared among the namespaces that pods will
    have, as volumes with mount propagation ask for.
    """
    _mount("", "/", MS_REC | MS_PRIVATE)
    _mount("proc", "/proc", MS_NOSUID_NODEV_NOEXEC)
    _mount("tmpfs", "/run", options="mode=755")  # sockets of containerd, network namespaces of pods, locks
    _mount("tmpfs", "/var/log", options="mode=755")  # the kubelet's links in /var/log/containers
    _mount("tmpfs", "/var/lib/cni", options="mode=755")
    _mount("", "/var/lib/kubelet", MS_BIND, source=kubelet_directory)
    for number, name in enumerate(SETTINGS):
        copy = Path(f"/run/setting-{number}")
        copy.write_text(Path("/proc/sys", name).read_text())
        _mount("", f"/proc/sys/{name}", MS_BIND, source=str(copy))
    _mount("", "/", MS_REC | MS_SHARED)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _serve() -> None:
    """Collect what has ended, for ever. A first process has no other duty, and only a kill from outside ends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        signal.sigwait([signal.SIGCHLD])


def main() -> None:
    """Fork into the new namespaces and record the child before it does anything, so that a kill leaves no stray."""
    pid_file, kubelet_directory = Path(sys.argv[1]), sys.argv[2]
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET), "unshare")
    recorded, record = os.pipe()
    child = os.fork()
    if child:
        os.close(recorded)
        new = pid_file.with_suffix(".new")
        new.write_text(str(child))
        new.replace(pid_file)
        os.write(record, b"1")
        return
    os.close(record)
    if os.read(recorded, 1) != b"1":
        return  # the parent was killed before it could record this process
    os.setsid()
    _tidy_mounts(kubelet_directory)
    ready = pid_file.with_suffix(".ready")
    ready.touch()
    _serve()


if __name__ == "__main__":
    main()
