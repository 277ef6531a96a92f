"""Makes a shell within another: for what is restored of the snapshot that lives in the outer one.

A snapshot ran hostile code and has no privilege by which it could enter a shell. So this one's user namespace is made
by the snapshot's own user, in the outer one, and owns the others: who owns a user namespace may enter it and all that
belongs to it (user_namespaces(7)), and nothing else. Being a member of the outer pid namespace, it ends with that.
"""

import contextlib
import errno
import os
import select
import signal
import socket
from typing import Any, Callable, Dict, List, NoReturn

from lambent.sandbox import commands, contain, mounts, syscalls, user
from lambent.sandbox.spec import SandboxError, as_sandbox_error

#: What another process opens a namespace by that a process has for its children.
_FILES = {"pid": "pid_for_children"}
#: How long a step may take that the snapshot can hold up.
_PATIENCE_S = 2.0


def make_shell(plan: Dict[str, Any], host: contain.Host, mark: Callable[[str], None]) -> contain.ShellParts:
    """As `contain.make_shell`, within the shell whose init is `host.fds["outer"]`."""
    ours, theirs = commands.socket_pair()
    control, control_inside = socket.socketpair()
    parts = contain.ShellParts(0, ours, control)
    try:
        maker = os.fork()
        if maker == 0:
            _prepare(plan, host, theirs, control_inside.fileno())
        theirs.close()
        control_inside.close()
        try:
            # The snapshot's user may stop, though not look into, whatever of his there is.
            ours.settimeout(_PATIENCE_S)
            _take_namespaces(parts, plan)
            _await_end(maker)
        finally:
            # Who is in the outer pid namespace ends with it.
            os.kill(maker, signal.SIGKILL)
            os.waitpid(maker, 0)
        mark("namespaces")
        _furnish(plan, host, parts, mark)
        commands.send(ours, {"step": "furnished"})
        contain.expect(ours, "ready")
        mark("init")
    except BaseException as error:
        if parts.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(parts.pidfd, signal.SIGKILL)
        parts.close()
        if isinstance(error, socket.timeout):
            raise SandboxError("start", "the sandbox's init", errno.ETIMEDOUT) from error
        raise
    return parts


def _await_end(pid: int) -> None:
    """Of a child, who stays to be waited for; raises socket.timeout."""
    pidfd = syscalls.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(_PATIENCE_S * 1000):
            raise socket.timeout("It does not end.")
    finally:
        os.close(pidfd)


def _own(plan: Dict[str, Any]) -> List[str]:
    """The shell's own namespaces, which are entered one by one."""
    return ["user", *(name for name, flag in contain.NESTED if flag & contain.namespaces(plan["own_network"]))]


def _take_namespaces(parts: contain.ShellParts, plan: Dict[str, Any]) -> None:
    fds = contain.expect(parts.handshake, "namespaces")
    parts.pidfd = fds[0]
    parts.namespaces = dict(zip(_own(plan), fds[1:]))


def _furnish(plan: Dict[str, Any], host: contain.Host, parts: contain.ShellParts, mark: Callable[[str], None]) -> None:
    """From outside, since this takes privileges that nobody inside has."""
    proc = _new_proc(parts)
    try:
        if plan["own_network"]:
            syscalls.setns(parts.namespaces["net"], syscalls.CLONE_NEWNET)
        syscalls.setns(parts.namespaces["mnt"], syscalls.CLONE_NEWNS)
        mounts.attach_proc(proc, host.masks)
    finally:
        os.close(proc)
    mark("proc")
    contain.furnish(plan, host, parts, mark)


def _new_proc(parts: contain.ShellParts) -> int:
    """A /proc of the shell's pid namespace, made where the host's is not hidden: else it would be refused."""
    ours, theirs = commands.socket_pair()
    syscalls.setns(parts.namespaces["pid"], syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            commands.send(theirs, {"step": "proc"}, [mounts.new_proc()])
        except SandboxError as error:
            commands.send(theirs, {"error": error.to_json()})
        finally:
            os._exit(0)
    theirs.close()
    try:
        with ours:
            ours.settimeout(_PATIENCE_S)
            return contain.expect(ours, "proc")[0]
    finally:
        # Not waited for: the snapshot sees it too, and may move it where it is frozen. The builder reaps its children.
        os.kill(pid, signal.SIGKILL)


# ---- as the outer shell's user --------------------------------------------------------------------------------------


def _prepare(plan: Dict[str, Any], host: contain.Host, handshake: Any, control: int) -> NoReturn:
    """Make the user namespace before there is anything of it that the snapshot could see: outside of its pid namespace.

    It owns that user namespace, so it has all capabilities over what runs in there, and would find the host by a
    builder's descriptors. So what does is hidden while it is a builder's fork, and holds no more than it needs.
    """
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        outer, proc = host.fds["outer"], host.fds["proc"]
        # With its own copy of the other ends the init would never see the builder end.
        syscalls.keep_only([handshake.fileno(), control, outer, proc])
        syscalls.setns(outer, syscalls.CLONE_NEWPID)
        syscalls.setns(outer, syscalls.CLONE_NEWUSER)
        user.become(user.UID, user.GID, plan["groups"])
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        user.show_itself()
        user.map_own_ids(proc)
        user.hide()
        maker = os.fork()
        if maker == 0:
            _make_namespaces(plan, proc, handshake, control)
        # Once it is gone, its children are the outer init's, which is what they are to end with.
        os.waitpid(maker, 0)
    except (SandboxError, OSError) as error:
        commands.send(handshake, {"error": as_sandbox_error(error).to_json()})
    finally:
        os._exit(0)


def _make_namespaces(plan: Dict[str, Any], proc: int, handshake: Any, control: int) -> NoReturn:
    """A member of the outer pid namespace."""
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.unshare(contain.namespaces(plan["own_network"]))
        init = os.fork()
        if init == 0:
            os.close(proc)
            _run_init(handshake, control)
        # Now that there is an init: without one the pid namespace cannot be opened.
        commands.send(handshake, {"step": "namespaces"}, [os.pidfd_open(init), *_open_namespaces(proc, plan)])
    except (SandboxError, OSError) as error:
        commands.send(handshake, {"error": as_sandbox_error(error).to_json()})
    finally:
        os._exit(0)


def _open_namespaces(proc: int, plan: Dict[str, Any]) -> List[int]:
    files = [_FILES.get(name, name) for name in _own(plan)]
    return [os.open(f"self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc) for name in files]


def _run_init(handshake: Any, control: int) -> NoReturn:
    try:
        contain.expect(handshake, "furnished")
        contain.become_init(handshake, control)
    except SandboxError as error:
        commands.send(handshake, {"error": error.to_json()})
    finally:
        os._exit(1)
