"""How a sandbox is made and entered, as ordered steps: this page is the containment.

A builder makes a shell (namespaces, network, /tmp, an init as pid 1) before any function is known. Whatever runs in it
later is a child of a template or a builder that goes through `enter`. Python 3.8 syntax.
"""

import os
import signal
import socket
from typing import Any, Callable, Dict, List, NoReturn, Optional, Tuple

from lambent.sandbox import (
    capabilities,
    commands,
    egress_door,
    landlock,
    mounts,
    network,
    rlimits,
    scratch,
    seccomp,
    syscalls,
    user,
)
from lambent.sandbox.spec import SandboxError, sandbox_error

#: Entered by pidfd of the shell's init, all in one call.
_SHELL_NAMESPACES = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS


#: The same one by one, by descriptors: nobody in a sandbox may look into an init, which entering by its pidfd takes.
NESTED = (
    ("mnt", syscalls.CLONE_NEWNS),
    ("net", syscalls.CLONE_NEWNET),
    ("uts", syscalls.CLONE_NEWUTS),
    ("pid", syscalls.CLONE_NEWPID),
)


def namespaces(own_network: bool) -> int:
    return _SHELL_NAMESPACES | (syscalls.CLONE_NEWNET if own_network else 0)


def enter(plan: Dict[str, Any], fds: Dict[str, int], joins: List[int], call_filter: bytes) -> None:
    """The steps that turn a child of a privileged process into one that may run hostile code."""
    os.setsid()
    # Cgroups first: their files belong to the supervisor's user.
    for join in joins:
        os.write(join, b"0")
    if "init" in fds:
        # The cgroup namespace takes what it is joined to as its root, so it comes after that. The IPC namespace goes
        # with the process: shared memory that outlived it would weigh on the next one's limit.
        syscalls.unshare(syscalls.CLONE_NEWCGROUP | syscalls.CLONE_NEWIPC)
        syscalls.setns(fds["init"], namespaces(plan["own_network"]) & ~syscalls.CLONE_NEWPID)
        # The user namespace last: entering it gives up every right over the others, which the supervisor's owns.
        syscalls.setns(fds["init"], syscalls.CLONE_NEWUSER)
    rlimits.apply(plan["data_limit_mb"], plan["processes"])
    rlimits.yield_to_server()
    if plan["uid"] is not None:
        user.become(plan["uid"], plan["gid"], plan["groups"])
    # After the user, since changing it needs them.
    capabilities.drop_all()
    capabilities.forbid_new_privileges()
    if "init" not in fds:
        _stand_alone(plan)
    # Last, since the filter refuses most of the calls above.
    seccomp.install(call_filter)


def enter_nested(fds: Dict[str, int], joins: List[int], call_filter: bytes) -> None:
    """The steps that take the fork of a snapshot, which has no privilege, from its shell into one made for it.

    The new shell's user namespace belongs to the snapshot's user (`nested`). That is what lets it enter, and gives it
    every capability in there, until it gives them up.
    """
    os.setsid()
    for join in joins:
        os.write(join, b"0")
    # The user namespace first: what it gives is needed for the others.
    syscalls.setns(fds["user"], syscalls.CLONE_NEWUSER)
    for name, flag in NESTED:
        if name in fds:
            syscalls.setns(fds[name], flag)
    syscalls.unshare(syscalls.CLONE_NEWCGROUP | syscalls.CLONE_NEWIPC)
    capabilities.drop_all()
    # The ordinary one, on top of the snapshot's.
    seccomp.install(call_filter)


def _stand_alone(plan: Dict[str, Any]) -> None:
    """What stands in for namespaces at level `process`."""
    # After the user changed, which would clear it: without an init nobody else ends this process with the supervisor.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Whatever daemons the function makes stay below it.
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    landlock.confine(plan["read_only"], plan["writable"])


# ---- the shell ----------------------------------------------------------------------------------------------------


def make_shell(plan: Dict[str, Any], host: "Host", mark: Callable[[str], None]) -> "ShellParts":
    """Leave the host's namespaces, furnish new ones and start their init. The caller goes back to its own."""
    syscalls.unshare(namespaces(plan["own_network"]))
    mark("namespaces")
    # The init is the first child after unshare: that makes it pid 1. It mounts /proc while this process goes on.
    parts = ShellParts(*_start_init(plan, host.masks))
    mark("init")
    try:
        furnish(plan, host, parts, mark)
        expect(parts.handshake, "namespaces")
        # Written from outside: inside nobody may map an id that is not his own.
        user.map_ids(parts.pid, host.fds["proc"], *plan["outside"])
        commands.send(parts.handshake, {"step": "mapped"})
        expect(parts.handshake, "ready")
        mark("user")
    except BaseException:
        parts.close()
        raise
    return parts


def furnish(plan: Dict[str, Any], host: "Host", parts: "ShellParts", mark: Callable[[str], None]) -> None:
    """Network and /tmp of the namespaces that the caller is in."""
    if plan["own_network"]:
        network.bring_up()
        parts.runtime_api = network.listen_on_loopback(network.RUNTIME_API_PORT)
        parts.api_address = network.RUNTIME_API_HOST, network.RUNTIME_API_PORT
        parts.daemon = network.take_datagrams(network.RUNTIME_API_HOST, network.XRAY_DAEMON_PORT)
        if plan["endpoint_port"]:
            parts.endpoint = network.listen(network.LOOPBACK, plan["endpoint_port"])
        if plan["access"] is not None:
            assert host.door is not None
            host.door.join(plan["access"], plan["slot"])
    else:
        parts.runtime_api = network.listen(network.LOOPBACK, 0)
        parts.api_address = parts.runtime_api.getsockname()
        parts.daemon = network.take_datagrams(network.LOOPBACK, 0)
    mark("network")
    if "blank" in host.fds:
        scratch.mount_image(host.fds["blank"], host.fds["scratch"], host.fds["dev"], mounts.TMP)
    else:
        scratch.mount_memory(plan["tmp_mb"], mounts.TMP)
    mark("tmp")


class Host:
    """What a builder knows of the host and how it still reaches it."""

    def __init__(self, fds: Dict[str, int], masks: List[Tuple[str, str]], door: Optional[egress_door.Door]) -> None:
        #: proc, dev, scratch (folder of images), blank (image)
        self.fds = fds
        #: See `mounts.find_masks`.
        self.masks = masks
        #: Where sandboxes have a way out.
        self.door = door


class ShellParts:
    """A shell as its builder holds it."""

    def __init__(self, pid: int, handshake: Any, control: Any) -> None:
        #: Of its init.
        self.pid = pid
        self.handshake = handshake
        #: What is written to it comes back once everything but the init is killed. Closed: the init ends, so all does.
        self.control = control
        self.runtime_api: Any = None
        #: Where functions find it.
        self.api_address: Tuple[str, int] = ("", 0)
        self.endpoint: Any = None
        #: Where segments for X-Ray are sent.
        self.daemon: Any = None
        #: Of a shell within another: its init, and its namespaces for those who enter from there.
        self.pidfd = -1
        self.namespaces: Dict[str, int] = {}

    def close(self) -> None:
        commands.close_all([fd for fd in (self.pidfd, *self.namespaces.values()) if fd >= 0])
        self.handshake.close()
        self.control.close()
        for listener in (self.runtime_api, self.endpoint, self.daemon):
            if listener is not None:
                listener.close()


def _start_init(plan: Dict[str, Any], masks: List[Tuple[str, str]]) -> "tuple[int, Any, Any]":
    ours, theirs = commands.socket_pair()
    control, control_inside = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            # With its own copy of the other ends it would never see the builder end.
            ours.close()
            control.close()
            _run_init(plan, masks, theirs, control_inside.fileno())
        except SandboxError as error:
            commands.send(theirs, {"error": error.to_json()})
        finally:
            os._exit(1)
    theirs.close()
    control_inside.close()
    return pid, ours, control


def _run_init(plan: Dict[str, Any], masks: List[Tuple[str, str]], handshake: Any, control: int) -> NoReturn:
    """Pid 1: what needs it to be inside, then the program that kills on request and ends the sandbox by ending."""
    mounts.mount_proc(masks)
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    commands.send(handshake, {"step": "namespaces"})
    expect(handshake, "mapped")
    user.become(user.UID, user.GID, plan["groups"])
    become_init(handshake, control)


def become_init(handshake: Any, control: int) -> NoReturn:
    capabilities.drop_all()
    capabilities.forbid_new_privileges()
    # After the change of user, which clears it.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    # The kernel reaps the children of a process that ignores this; the program that follows inherits it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    commands.send(handshake, {"step": "ready"})
    os.dup2(control, 0)
    syscalls.close_from(1)
    os.execve(mounts.INIT, ["lambent-init"], {})


def expect(handshake: Any, step: str) -> List[int]:
    """Wait for the other side to be so far; the descriptors that came with it."""
    received = commands.receive(handshake)
    if received is None:
        raise SandboxError("start", "the sandbox's init")
    message = received[0]
    if "error" in message:
        raise sandbox_error(message["error"])
    assert message["step"] == step
    return received[1]
