"""Our own Docker Engine: containerd and dockerd with their state in .machine and their sockets in /run.

containerd is started by us too: dockerd would join a system containerd where one runs, and leave our images there.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from pathlib import Path

import processes
from common import CHECKOUT, STATE, MachineError, need_root, remove_tree, run, say, substituted, wait_until

DATA = STATE / "engine"
# Socket paths end at 107 bytes and a checkout can lie anywhere, so sockets get a short folder, one for each checkout.
NAME = f"envgen-{hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:8]}"
RUN = Path("/run") / NAME
BRIDGE = NAME  # its 15 characters are what Linux allows
SOCKET = RUN / "docker.sock"
CONTAINERD_SOCKET = RUN / "containerd.sock"
HOST = f"unix://{SOCKET}"
HINT = "the whole log is in .machine/log; the kernel must allow overlay mounts, cgroups and iptables"
CONTAINERD_CONFIG = """\
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
"""


def other_engine_runs() -> bool:
    """Whether a dockerd runs already, when ours does not: two of them must not share firewall rules."""
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            if name.read_text("utf-8", "replace") == "dockerd\n" and processes.start_ticks(int(name.parent.name)):
                return True
        except OSError:
            continue  # it ended while we looked
    return False


def settings() -> dict[str, object]:
    """What goes into our daemon.json."""
    values: dict[str, object] = {
        "features": {"containerd-snapshotter": True},
        "hosts": [HOST],
        "data-root": str(DATA / "docker"),
        "exec-root": str(RUN / "docker"),
        "pidfile": str(RUN / "docker.pid"),
        "containerd": str(CONTAINERD_SOCKET),
    }
    if other_engine_runs():
        # Both would flush the same chains and hand out the same addresses. Without any bridge dockerd would even
        # take the other one's away, so ours gets one of its own, and no rules for it.
        make_bridge()
        values |= {"bridge": BRIDGE, "iptables": False, "ip6tables": False}
        substituted(
            "Docker's bridge network",
            f"the bridge {BRIDGE}, which leads nowhere (what needs a network takes --network host),",
            "another Docker Engine on this machine owns the firewall rules",
        )
    return values


def make_bridge() -> None:
    """Make a bridge for our engine alone; dockerd chooses its addresses."""
    remove_bridge()
    need_root("adding a network bridge")
    run(["ip", "link", "add", BRIDGE, "type", "bridge"], hint="apt-get install iproute2")
    run(["ip", "link", "set", BRIDGE, "up"])


def remove_bridge() -> None:
    """Remove our bridge where there is one."""
    if Path("/sys/class/net", BRIDGE).exists():
        run(["ip", "link", "delete", BRIDGE])


def is_running() -> bool:
    """Whether both programs run."""
    return processes.running("containerd") is not None and processes.running("dockerd") is not None


def start() -> bool:
    """Start the engine; False when it runs already."""
    if is_running():
        say("engine: ours runs already")
        return False
    stop()
    need_root("starting dockerd")
    for folder in (DATA, RUN):
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    for stale in (SOCKET, CONTAINERD_SOCKET, RUN / "docker.pid"):
        stale.unlink(missing_ok=True)
    (DATA / "daemon.json").write_text(json.dumps(settings(), indent=2), encoding="utf-8")
    (DATA / "containerd.toml").write_text(CONTAINERD_CONFIG, encoding="utf-8")
    say("engine: starting containerd and dockerd")
    start_containerd()
    # A DOCKER_HOST of the caller says nothing about this daemon; iptables may lie outside a user's PATH.
    env = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    env["PATH"] = f"{env.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    processes.start("dockerd", ["dockerd", "--config-file", DATA / "daemon.json"], env=env)
    return True


def start_containerd() -> None:
    """Start containerd and wait for its socket."""
    command: list[str | Path] = ["containerd", "--config", DATA / "containerd.toml", "--log-level", "warn"]
    command += ["--root", DATA / "containerd", "--state", RUN / "containerd", "--address", CONTAINERD_SOCKET]
    processes.start("containerd", command)
    wait_until(lambda: CONTAINERD_SOCKET.exists() or processes.running("containerd") is None, seconds=30)
    if processes.running("containerd") is None or not CONTAINERD_SOCKET.exists():
        tail = processes.log_tail("containerd")
        processes.stop("containerd")
        raise MachineError(f"containerd: no socket at {CONTAINERD_SOCKET}{tail}", HINT)


def log_tail() -> str:
    """The end of what both programs said."""
    return processes.log_tail("containerd", 5) + processes.log_tail("dockerd")


def stop() -> bool:
    """Stop the engine, dockerd first since it ends its containers; False when it did not run."""
    stopped = processes.stop("dockerd")
    stopped = processes.stop("containerd") or stopped
    remove_bridge()
    return stopped


def mounts() -> list[Path]:
    """What is still mounted below our folders, the innermost last."""
    lines = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    points = [Path(line.split()[4].encode().decode("unicode_escape")) for line in lines]
    return [point for point in points if STATE in point.parents or RUN in point.parents]


def unmount(point: Path) -> None:
    """Unmount by system call: a very bare machine has no `umount`."""
    if ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(point), 0) != 0:
        why = os.strerror(ctypes.get_errno())
        raise MachineError(f"{point}: can't be unmounted: {why}", f"see what still uses it: fuser -vm {point}")


def remove() -> None:
    """Remove what the engine keeps on disk; it must be stopped."""
    for point in reversed(mounts()):
        unmount(point)
    remove_tree(DATA)
    remove_tree(RUN)
