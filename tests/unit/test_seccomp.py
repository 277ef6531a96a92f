"""The seccomp program, run call by call through an interpreter of its instructions."""

from __future__ import annotations

import errno
import struct

import pytest

from lambent.sandbox import seccomp

_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

#: number by machine
_READ = {"x86_64": 0, "aarch64": 63}
_CLONE = {"x86_64": 56, "aarch64": 220}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_PERSONALITY = {"x86_64": 135, "aarch64": 92}
_IOCTL = {"x86_64": 16, "aarch64": 29}


def answer(machine: str, number: int, *arguments: int, architecture: int | None = None, own_ipc: bool = True) -> int:
    """What the kernel would do: the program's return value, by the rules of classic BPF."""
    program = seccomp.program(machine, own_ipc)
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<iIQ6Q", number, architecture or _ARCHITECTURE[machine], 0, *padded)
    accumulator, counter = 0, 0
    while True:
        operation, if_true, if_false, value = struct.unpack_from("<HBBI", program, counter * 8)
        counter += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x06:
            return int(value)
        else:
            holds = {0x15: accumulator == value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}[operation]
            counter += if_true if holds else if_false


def refusal(error: int) -> int:
    return 0x00050000 | error


both = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


@both
def test_ordinary_calls_are_allowed(machine: str) -> None:
    assert answer(machine, _READ[machine]) == _ALLOW
    for name, number in {"futex": {"x86_64": 202, "aarch64": 98}, "execve": {"x86_64": 59, "aarch64": 221}}.items():
        assert answer(machine, number[machine]) == _ALLOW, name


@both
def test_every_denied_call_answers_eperm(machine: str) -> None:
    numbers = {name: entry[0 if machine == "x86_64" else 1] for name, entry in seccomp._DENIED.items()}
    known = {name: number for name, number in numbers.items() if number is not None}
    assert len(known) > 50
    assert {name: answer(machine, number) for name, number in known.items()} == dict.fromkeys(
        known, refusal(errno.EPERM)
    )


@both
@pytest.mark.parametrize("name", sorted(seccomp._ABSENT))
def test_calls_with_an_older_way_round_answer_enosys(machine: str, name: str) -> None:
    number = seccomp._ABSENT[name][0 if machine == "x86_64" else 1]
    assert number is not None
    assert answer(machine, number) == refusal(errno.ENOSYS)


@both
def test_what_outlives_a_process_is_made_only_in_an_ipc_namespace(machine: str) -> None:
    for numbers in seccomp._LASTING.values():
        number = numbers[0 if machine == "x86_64" else 1]
        assert number is not None
        assert answer(machine, number) == _ALLOW
        assert answer(machine, number, own_ipc=False) == refusal(errno.ENOSYS)


@both
def test_calls_newer_than_the_table_answer_enosys(machine: str) -> None:
    assert answer(machine, seccomp._NEWEST + 1) == refusal(errno.ENOSYS)
    assert answer(machine, 0x3FFFFFFF) == refusal(errno.ENOSYS)


@both
@pytest.mark.parametrize(
    "flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000], ids=hex
)
def test_clone_makes_threads_and_processes_but_no_namespace(machine: str, flag: int) -> None:
    thread = 0x3D0F00
    assert answer(machine, _CLONE[machine], thread) == _ALLOW
    assert answer(machine, _CLONE[machine], 17) == _ALLOW
    assert answer(machine, _CLONE[machine], flag | 17) == refusal(errno.EPERM)
    assert answer(machine, _CLONE[machine], thread | flag) == refusal(errno.EPERM)


@both
def test_sockets_are_of_the_families_that_programs_use(machine: str) -> None:
    unix, inet, inet6, netlink = 1, 2, 10, 16
    for family in (unix, inet, inet6, netlink):
        assert answer(machine, _SOCKET[machine], family, 1) == _ALLOW
    crypto, packet, machines, xdp = 38, 17, 40, 44
    for family in (0, 3, crypto, packet, machines, xdp, 255):
        assert answer(machine, _SOCKET[machine], family, 1) == refusal(errno.EAFNOSUPPORT)


@both
def test_personality_may_be_asked_for_but_not_weakened(machine: str) -> None:
    assert answer(machine, _PERSONALITY[machine], 0xFFFFFFFF) == _ALLOW
    assert answer(machine, _PERSONALITY[machine], 0) == _ALLOW
    no_randomisation, read_implies_exec = 0x40000, 0x400000
    for bits in (no_randomisation, read_implies_exec):
        assert answer(machine, _PERSONALITY[machine], bits) == refusal(errno.EPERM)


@both
def test_terminals_cannot_be_typed_into(machine: str) -> None:
    tiocsti, window_size = 0x5412, 0x5413
    assert answer(machine, _IOCTL[machine], 0, tiocsti) == refusal(errno.EPERM)
    assert answer(machine, _IOCTL[machine], 0, tiocsti | 1 << 32) == refusal(errno.EPERM)
    assert answer(machine, _IOCTL[machine], 0, window_size) == _ALLOW


@both
def test_calls_by_another_architectures_numbers_end_the_process(machine: str) -> None:
    i386 = 0x40000003
    assert answer(machine, _READ[machine], architecture=i386) == _KILL


def test_x32_numbers_answer_enosys() -> None:
    assert answer("x86_64", 0x40000000) == refusal(errno.ENOSYS)
    assert answer("x86_64", 0x40000000 | 59) == refusal(errno.ENOSYS)


@both
def test_no_number_is_listed_twice(machine: str) -> None:
    column = 0 if machine == "x86_64" else 1
    numbers = [
        entry[column] for table in (seccomp._DENIED, seccomp._ABSENT, seccomp._LASTING) for entry in table.values()
    ]
    listed = [number for number in numbers if number is not None]
    assert len(set(listed)) == len(listed)


def test_program_is_short_enough_for_the_kernel() -> None:
    assert len(seccomp.program("x86_64")) // 8 < 4096
