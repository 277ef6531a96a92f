"""Attempts to take more memory, disk, descriptors or log than a function is given."""

import ctypes
import mmap
import os
import socket
import sys
import time

from kernel import TMP

MIB = 1024 * 1024
MAP_NORESERVE = 0x4000


def private_memory(megabytes):
    block = mmap.mmap(-1, megabytes * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, len(block), mmap.PAGESIZE):
        block[offset] = 1
    return megabytes


def many_small_processes(megabytes):
    """Each child takes a share below any limit of one process; together they are over the function's."""
    share = 16
    children = []
    read_end, write_end = os.pipe()
    for _ in range(megabytes // share):
        pid = os.fork()
        if pid == 0:
            block = bytearray(os.urandom(MIB)) * share
            os.write(write_end, b"1")
            time.sleep(60)
            os._exit(len(block) and 0)
        children.append(pid)
    os.close(write_end)
    done = 0
    os.set_blocking(read_end, False)
    while done < len(children):
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise OSError(12, "a child was killed")
        try:
            done += len(os.read(read_end, 64))
        except BlockingIOError:
            time.sleep(0.01)
    return done * share


def memory_file(megabytes):
    descriptor = os.memfd_create("hostile")
    return _fill(descriptor, megabytes)


def shared_memory_folder(megabytes):
    descriptor = os.open("/dev/shm/hostile", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        return _fill(descriptor, megabytes)
    finally:
        os.unlink("/dev/shm/hostile")


def system_v_memory(megabytes):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    taken = 0
    while taken < megabytes:
        identifier = libc.shmget(0, 16 * MIB, 0o1600)
        if identifier < 0:
            raise OSError(ctypes.get_errno(), "shmget")
        address = libc.shmat(identifier, None, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "shmat")
        ctypes.memset(address, 1, 16 * MIB)
        taken += 16
    return taken


def socket_buffers(megabytes):
    """Bytes that lie in sockets nobody reads."""
    taken = 0
    pairs = []
    while taken < megabytes * MIB:
        left, right = socket.socketpair()
        left.setblocking(False)
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
        pairs.append((left, right))
        try:
            while True:
                taken += left.send(bytes(65536))
        except BlockingIOError:
            continue
    return taken // MIB


def page_tables(megabytes):
    """Pages that are only read cost nothing; the tables that lead to them do, a page for every two megabytes."""
    step = 2 * MIB
    block = mmap.mmap(
        -1, megabytes * 256 * step, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE, prot=mmap.PROT_READ
    )
    for offset in range(0, len(block), step):
        block[offset]
    return megabytes


def write_anywhere_in_memory(megabytes):
    """Every writable tmpfs other than /tmp."""
    with open("/proc/self/mounts") as file:
        places = [fields[1] for fields in map(str.split, file) if fields[2] == "tmpfs" and fields[1] != "/tmp"]
    for place in places:
        path = os.path.join(place, "hostile")
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            continue
        try:
            return [place, _fill(descriptor, megabytes)]
        finally:
            os.unlink(path)
    raise OSError(0, "nowhere to write")


def _fill(descriptor, megabytes):
    block = os.urandom(MIB)
    for _ in range(megabytes):
        written = os.write(descriptor, block)
        if written < len(block):
            raise OSError(28, "short write")
    return megabytes


def fill_tmp(megabytes):
    """How many MiB fit into /tmp; the file goes away again."""
    path = f"{TMP}/fill"
    block = os.urandom(MIB)
    taken = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while taken < megabytes:
                if file.write(block) < len(block):
                    break
                taken += 1
    except OSError:
        pass
    finally:
        os.unlink(path)
    return taken


def write_and_read_back(megabytes):
    """Different bytes in every block, read back and compared."""
    path = f"{TMP}/big"
    seed = os.urandom(MIB - 8)
    with open(path, "wb", buffering=0) as file:
        for number in range(megabytes):
            file.write(number.to_bytes(8, "big") + seed)
    with open(path, "rb", buffering=0) as file:
        same = sum(file.read(MIB) == number.to_bytes(8, "big") + seed for number in range(megabytes))
    os.unlink(path)
    return same


def open_until_refused(limit):
    opened = []
    try:
        while len(opened) < limit:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for descriptor in opened:
        os.close(descriptor)
    return len(opened)


def flood_log(seconds, channel="stdout"):
    """As many lines as can be written in the time; says how many bytes that was."""
    block = (("x" * 99 + "\n") * 100).encode()
    end = time.monotonic() + seconds
    written = 0
    while time.monotonic() < end:
        if channel == "raw":
            written += os.write(1, block)
        else:
            sys.stdout.write(block.decode())
            written += len(block)
    return written


def endless_line(megabytes):
    """One line without an end, on the raw descriptor."""
    for _ in range(megabytes):
        _write_all(1, b"y" * MIB)
    return megabytes


def _write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
