"""The program that a sandbox's init becomes: under a kilobyte, so that pid 1 of an idle sandbox costs no memory.

A forked Python that only waits keeps two megabytes of its own. This reads its standard input, a socket: for every word
it kills all that it may (everything but itself) and sends the word back; at the end it exits, and the kernel ends the
sandbox. Orphans need no attention: the kernel reaps the children of who ignores SIGCHLD.
"""

import platform
import struct
from typing import Tuple

# Each row is one instruction and its bytes, as an assembler makes them.
_X86_64 = (
    "48 83 ec 40",  # sub  rsp, 64          room for a word
    # again:
    "31 ff",  # xor  edi, edi
    "48 89 e6",  # mov  rsi, rsp
    "6a 40",  # push 64
    "5a",  # pop  rdx
    "31 c0",  # xor  eax, eax         read(0, rsp, 64)
    "0f 05",  # syscall
    "48 85 c0",  # test rax, rax
    "7e 21",  # jle  out
    "49 89 c4",  # mov  r12, rax
    "48 c7 c7 ff ff ff ff",  # mov  rdi, -1
    "6a 09",  # push 9
    "5e",  # pop  rsi
    "6a 3e",  # push 62
    "58",  # pop  rax              kill(-1, SIGKILL)
    "0f 05",  # syscall
    "31 ff",  # xor  edi, edi
    "48 89 e6",  # mov  rsi, rsp
    "4c 89 e2",  # mov  rdx, r12
    "6a 01",  # push 1
    "58",  # pop  rax              write(0, rsp, r12)
    "0f 05",  # syscall
    "eb ce",  # jmp  again
    # out:
    "31 ff",  # xor  edi, edi
    "6a 3c",  # push 60
    "58",  # pop  rax              exit(0)
    "0f 05",  # syscall
)
_ARM64 = (
    "d10103ff",  # sub  sp, sp, #64       room for a word
    # again:
    "d2800000",  # mov  x0, #0
    "910003e1",  # mov  x1, sp
    "d2800802",  # mov  x2, #64
    "d28007e8",  # mov  x8, #63           read(0, sp, 64)
    "d4000001",  # svc  #0
    "f100001f",  # cmp  x0, #0
    "5400018d",  # b.le out
    "aa0003f3",  # mov  x19, x0
    "92800000",  # mov  x0, #-1
    "d2800121",  # mov  x1, #9
    "d2801028",  # mov  x8, #129          kill(-1, SIGKILL)
    "d4000001",  # svc  #0
    "d2800000",  # mov  x0, #0
    "910003e1",  # mov  x1, sp
    "aa1303e2",  # mov  x2, x19
    "d2800808",  # mov  x8, #64           write(0, sp, x19)
    "d4000001",  # svc  #0
    "17ffffef",  # b    again
    # out:
    "d2800000",  # mov  x0, #0
    "d2800ba8",  # mov  x8, #93           exit(0)
    "d4000001",  # svc  #0
)

_EM_X86_64, _EM_AARCH64 = 62, 183
_PT_LOAD, _PT_GNU_STACK = 1, 0x6474E551
_READ, _WRITE, _EXECUTE = 4, 2, 1
_ADDRESS = 0x400000
_HEADER, _SEGMENT = 64, 56


def image(machine: str = "") -> bytes:
    """The program for `machine` (this one by default) as an ELF file."""
    is_arm = (machine or platform.machine()) in ("aarch64", "arm64")
    code = _words(_ARM64) if is_arm else bytes.fromhex(" ".join(_X86_64))
    start = _HEADER + 2 * _SEGMENT
    size = start + len(code)
    # 64 bits, little endian, version 1; an executable.
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    machine_number = _EM_AARCH64 if is_arm else _EM_X86_64
    header += struct.pack("<HHIQQQI", 2, machine_number, 1, _ADDRESS + start, _HEADER, 0, 0)
    header += struct.pack("<HHHHHH", _HEADER, _SEGMENT, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", _PT_LOAD, _READ | _EXECUTE, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)
    stack = struct.pack("<IIQQQQQQ", _PT_GNU_STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16)
    return header + load + stack + code


def _words(rows: Tuple[str, ...]) -> bytes:
    return b"".join(struct.pack("<I", int(row, 16)) for row in rows)
