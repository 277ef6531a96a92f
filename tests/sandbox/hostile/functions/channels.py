"""Attempts on the server through the descriptors that every framed runtime holds: the channel and the log pipe."""

import array
import os
import socket
import stat

GIANT = 0xFFFFFFFF


def _channel():
    """The one Unix socket among the descriptors."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        if found.family == socket.AF_UNIX:
            return found
    raise OSError(0, "no channel")


def _log_pipe():
    name = os.environ.get("_LAMBDA_TELEMETRY_LOG_FD")
    if name and name.isdigit():
        return int(name)
    pipes = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2 and _is_pipe(int(name))]
    if not pipes:
        raise OSError(0, "no log pipe")
    return pipes[0]


def _is_pipe(descriptor):
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _frame(kind, body, length=None):
    return (len(body) + 1 if length is None else length).to_bytes(4, "big") + kind + body


def send_frame(kind, body="", length=None, times=1):
    """A frame of the given type and body; `length` lies about its size."""
    channel = _channel()
    data = _frame(kind.encode(), body.encode(), length)
    for _ in range(times):
        channel.sendall(data)
    return "sent"


def send_bytes(hexadecimal, times=1):
    channel = _channel()
    for _ in range(times):
        channel.sendall(bytes.fromhex(hexadecimal))
    return "sent"


def promise_a_giant(megabytes):
    """A length of 4 GiB, then as much of it as the server takes."""
    channel = _channel()
    channel.settimeout(2)
    channel.sendall(GIANT.to_bytes(4, "big") + b"S")
    for _ in range(megabytes):
        channel.sendall(bytes(1024 * 1024))
    return "sent"


def pass_descriptors(times):
    """Descriptors sent along with a byte would stay open in a server that asks for them."""
    channel = _channel()
    null = os.open("/dev/null", os.O_RDONLY)
    for _ in range(times):
        channel.sendmsg([b"\0\0\0\1?"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 64))])
    return "sent"


def close_and_hang():
    channel = _channel()
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                    os.close(int(name))
            except OSError:
                continue
    channel.close()
    while True:
        os.sched_yield()


def log_frame(length, body="forged", magic=0xA55A0003, timestamp=0):
    """A telemetry frame whose header says what it likes."""
    header = magic.to_bytes(4, "big") + length.to_bytes(4, "big") + timestamp.to_bytes(8, "big", signed=False)
    os.write(_log_pipe(), header + body.encode())
    return "sent"


def log_noise(megabytes):
    """Bytes that are no frame at all."""
    pipe = _log_pipe()
    block = os.urandom(65536)
    for _ in range(megabytes * 16):
        view = memoryview(block)
        while view:
            view = view[os.write(pipe, view) :]
    return "sent"


def log_giant(megabytes):
    """One log message of many megabytes, properly framed."""
    size = megabytes * 1024 * 1024
    pipe = _log_pipe()
    os.write(pipe, (0xA55A0003).to_bytes(4, "big") + size.to_bytes(4, "big") + (0).to_bytes(8, "big"))
    view = memoryview(b"g" * size)
    while view:
        view = view[os.write(pipe, view[: 1024 * 1024]) :]
    return "sent"
