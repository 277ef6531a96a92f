"""Hostile and odd zips: each either extracts to exactly its files, or is refused in AWS's words and leaves nothing."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.errors import AwsError
from lambent.services.lambda_.code import archive
from lambent.services.lambda_.code.archive import BadPackage, EmptyPackage, UnzippedTooLarge
from lambent.services.lambda_.code.extract import extract
from lambent.services.lambda_.errors import InvalidParameterValueException

UNZIP_MESSAGE = "Could not unzip uploaded file. Please check your file, then try to upload again."
UTF8 = 0x800


@dataclass
class Entry:
    """One entry with every field open to lies."""

    name: bytes
    data: bytes = b"x"
    mode: int = stat.S_IFREG | 0o644
    flags: int = UTF8
    method: int = 0
    crc: int | None = None
    declared_size: int | None = None
    compressed: bytes | None = None
    local_name: bytes | None = None
    extra: bytes = b""
    #: Points the central directory at this local header instead of its own.
    offset: int | None = None
    body: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        if self.compressed is not None:
            self.body = self.compressed
        elif self.method == zipfile.ZIP_DEFLATED:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            self.body = packer.compress(self.data) + packer.flush()
        else:
            self.body = self.data
        self.crc = zlib.crc32(self.data) if self.crc is None else self.crc
        self.declared_size = len(self.data) if self.declared_size is None else self.declared_size


def build(*entries: Entry, without_local: bool = False) -> bytes:
    """A zip of `entries`, byte by byte, so that nothing corrects what the library would."""
    local, central = b"", b""
    for entry in entries:
        fields = struct.pack(
            "<HHHHIII", entry.flags, entry.method, 0, 33, entry.crc, len(entry.body), entry.declared_size
        )
        offset = len(local) if entry.offset is None else entry.offset
        local_name = entry.name if entry.local_name is None else entry.local_name
        if entry.offset is None and not without_local:
            local += b"PK\x03\x04" + struct.pack("<H", 20) + fields
            local += struct.pack("<HH", len(local_name), 0) + local_name + entry.body
        central += b"PK\x01\x02" + struct.pack("<HH", 0x0314, 20) + fields
        central += struct.pack("<HHHHHII", len(entry.name), len(entry.extra), 0, 0, 0, entry.mode << 16, offset)
        central += entry.name + entry.extra
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(central), len(local), 0)
    return local + central + end


def unpack(data: bytes, folder: Path) -> dict[str, bytes]:
    """Extract and read back: path → content, links as `-> target`, folders with a slash."""
    target = folder / "tree"
    extract(archive.read(data), target)
    found: dict[str, bytes] = {}
    for path in target.rglob("*"):
        name = path.relative_to(target).as_posix()
        if path.is_symlink():
            found[name] = b"-> " + os.readlink(path).encode()
        elif path.is_dir():
            found[name + "/"] = b""
        else:
            found[name] = path.read_bytes()
    return found


def assert_refused(data: bytes, folder: Path, error: type[AwsError] = BadPackage) -> None:
    code = folder / "code"
    code.mkdir()
    with pytest.raises(error) as refusal:
        extract(archive.read(data), code / "tree")
    assert refusal.value.wire_code == "InvalidParameterValueException"
    assert list(code.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["code"]


def link(name: bytes, target: bytes) -> Entry:
    return Entry(name, target, mode=stat.S_IFLNK | 0o777)


# ---- what is accepted ----------------------------------------------------------------------------------------------


def test_files_folders_and_content_come_out_as_they_went_in(tmp_path: Path) -> None:
    data = build(
        Entry(b"app.py", b"print()"),
        Entry(b"lib/", b"", mode=stat.S_IFDIR | 0o755),
        Entry(b"lib/deep/mod.py", b"y" * 5000, method=zipfile.ZIP_DEFLATED),
        Entry(b"./dot//double.py", b"z"),
    )
    assert unpack(data, tmp_path) == {
        "app.py": b"print()",
        "lib/": b"",
        "lib/deep/": b"",
        "lib/deep/mod.py": b"y" * 5000,
        "dot/": b"",
        "dot/double.py": b"z",
    }


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (0, 0o644),
        (stat.S_IFREG | 0o600, 0o644),
        (stat.S_IFREG | 0o666, 0o644),
        (stat.S_IFREG | 0o744, 0o755),
        (stat.S_IFREG | 0o4755, 0o755),
    ],
)
def test_the_executable_bit_is_kept_and_all_other_modes_are_lambdas(tmp_path: Path, mode: int, expected: int) -> None:
    old = os.umask(0o077)
    try:
        unpack(build(Entry(b"d/bootstrap", mode=mode)), tmp_path)
    finally:
        os.umask(old)
    assert (tmp_path / "tree/d/bootstrap").stat().st_mode & 0o7777 == expected
    assert (tmp_path / "tree/d").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "tree").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("größe.py".encode(), UTF8, "größe.py"),
        # macOS and Info-ZIP write UTF-8 without the flag.
        ("größe.py".encode(), 0, "größe.py"),
        (b"gr\x94\xe1e.py", 0, "größe.py"),
    ],
)
def test_names_are_utf_8_or_else_cp437(tmp_path: Path, name: bytes, flags: int, expected: str) -> None:
    assert list(unpack(build(Entry(name, flags=flags)), tmp_path)) == [expected]


def test_links_inside_the_tree_are_kept(tmp_path: Path) -> None:
    data = build(
        Entry(b"lib/libz.so.1.2"),
        link(b"lib/libz.so.1", b"libz.so.1.2"),
        link(b"lib/libz.so", b"libz.so.1"),
        link(b"up", b"lib/../lib/libz.so"),
        link(b"lib/dangling", b"not-there"),
        link(b"folder", b"lib"),
        link(b"via", b"folder/libz.so.1.2"),
    )
    found = unpack(data, tmp_path)
    assert found["lib/libz.so"] == b"-> libz.so.1"
    assert (tmp_path / "tree/via").read_bytes() == b"x"


def test_a_zip_behind_other_bytes_is_still_a_zip(tmp_path: Path) -> None:
    assert unpack(b"#!/bin/sh\nexit\n" + build(Entry(b"a")), tmp_path) == {"a": b"x"}


def test_extracting_twice_leaves_the_first_tree(tmp_path: Path) -> None:
    data = build(Entry(b"a"))
    unpack(data, tmp_path)
    inode = (tmp_path / "tree/a").stat().st_ino
    unpack(data, tmp_path)
    assert (tmp_path / "tree/a").stat().st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"../evil",
        b"a/../../evil",
        b"a/..",
        b"..",
        b"/etc/passwd",
        b"//etc/passwd",
        b"a\0b",
        b"",
        b".",
        b"n" * 256,
        b"/".join([b"d"] * 101),
        b"\xff\xfe",
    ],
)
def test_a_path_that_leaves_the_tree_or_breaks_it_is_refused(tmp_path: Path, name: bytes) -> None:
    assert_refused(build(Entry(b"good"), Entry(name)), tmp_path)


@pytest.mark.parametrize("target", [b"/etc/passwd", b"..", b"../x", b"a/../..", b"", b"x\0y", b"\xff", b"t" * 4000])
def test_a_link_out_of_the_tree_is_refused(tmp_path: Path, target: bytes) -> None:
    assert_refused(build(link(b"evil", target)), tmp_path)


def test_a_link_that_leaves_by_way_of_another_link_is_refused(tmp_path: Path) -> None:
    # Read as text, `deep/up/..` stays inside `deep`; followed, it is the parent of the root.
    assert_refused(build(link(b"deep/up", b".."), link(b"evil", b"deep/up/..")), tmp_path)


def test_links_that_multiply_are_refused_at_once(tmp_path: Path) -> None:
    # Each names the one before twice: 2^40 steps for whoever follows them one by one.
    doubled = [link(b"l%d" % number, b"l%d/l%d" % (number - 1, number - 1)) for number in range(1, 40)]
    assert_refused(build(link(b"l0", b"."), *doubled), tmp_path)


def test_a_link_to_a_depth_that_no_package_has_is_refused(tmp_path: Path) -> None:
    assert_refused(build(link(b"deep", b"/".join([b"a"] * 101))), tmp_path)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    assert_refused(build(link(b"a", b"b"), link(b"b", b"a")), tmp_path)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nothing_is_written_through_a_link(tmp_path: Path, order: tuple[int, int]) -> None:
    pair = [link(b"door", b"room"), Entry(b"door/evil")]
    assert_refused(build(*(pair[index] for index in order)), tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_special_files_are_refused(tmp_path: Path, kind: int) -> None:
    assert_refused(build(Entry(b"dev", mode=kind | 0o666)), tmp_path)


@pytest.mark.parametrize("names", [(b"a", b"a"), (b"a", b"./a"), (b"a", b"a/b"), (b"a/b", b"a")])
def test_two_entries_for_one_place_are_refused(tmp_path: Path, names: tuple[bytes, bytes]) -> None:
    assert_refused(build(*map(Entry, names)), tmp_path)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    assert_refused(build(Entry(b"good"), Entry(b"bad", crc=1)), tmp_path)


@pytest.mark.parametrize("declared", [0, 3, 7])
def test_a_wrong_declared_size_is_refused(tmp_path: Path, declared: int) -> None:
    assert_refused(build(Entry(b"a", b"12345", method=8, declared_size=declared)), tmp_path)


def test_damaged_deflate_data_is_refused(tmp_path: Path) -> None:
    assert_refused(build(Entry(b"a", method=8, compressed=b"\xff\xff\xff\xff")), tmp_path)


@pytest.mark.parametrize("flags", [0x1, 0x40, 0x2000])
def test_encrypted_entries_are_refused(tmp_path: Path, flags: int) -> None:
    assert_refused(build(Entry(b"a", flags=flags)), tmp_path)


@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 99])
def test_other_compressions_than_deflate_are_refused(tmp_path: Path, method: int) -> None:
    assert_refused(build(Entry(b"a", method=method)), tmp_path)


def test_a_local_header_of_another_name_is_refused(tmp_path: Path) -> None:
    assert_refused(build(Entry(b"good.py", local_name=b"evil.py")), tmp_path)


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    assert_refused(build(Entry(b"a", b"x" * 1000), Entry(b"b", b"x" * 1000, offset=0, local_name=b"a")), tmp_path)


def test_an_entry_that_reaches_into_the_central_directory_is_refused(tmp_path: Path) -> None:
    entry = Entry(b"a", b"x" * 10)
    entry.body += b"y" * 40
    whole = build(entry)
    place = whole.index(b"y" * 40)
    assert_refused(whole[:place] + whole[place + 40 :], tmp_path)


def test_zip64_sizes_beyond_all_limits_are_refused(tmp_path: Path) -> None:
    huge = struct.pack("<HHQQ", 1, 16, 1 << 60, 1)
    assert_refused(build(Entry(b"a", declared_size=0xFFFFFFFF, extra=huge)), tmp_path, UnzippedTooLarge)


@pytest.mark.parametrize("extra", [b"", struct.pack("<HH", 1, 0), struct.pack("<HHI", 1, 4, 1), b"\x01"])
def test_zip64_markers_without_their_values_are_refused(tmp_path: Path, extra: bytes) -> None:
    with pytest.raises((BadPackage, UnzippedTooLarge)):
        archive.read(build(Entry(b"a", declared_size=0xFFFFFFFF, extra=extra)))


def test_more_entries_than_a_package_may_have_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "NODE_LIMIT", 10)
    assert unpack(build(*(Entry(b"%d" % number) for number in range(10))), tmp_path)
    with pytest.raises(BadPackage):
        archive.read(build(*(Entry(b"%d" % number) for number in range(11))))


def test_folders_that_entries_imply_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "NODE_LIMIT", 10)
    with pytest.raises(BadPackage):
        archive.read(build(*(Entry(b"a%d/b/c/d" % number) for number in range(3))))


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    bomb = Entry(b"zeros", b"", method=8, declared_size=archive.UNZIPPED_LIMIT)
    assert_refused(build(bomb), tmp_path, UnzippedTooLarge)
    with pytest.raises(UnzippedTooLarge, match=r"^Unzipped size must be smaller than 262144000 bytes$"):
        archive.read(build(bomb))


def test_a_bomb_that_lies_about_its_size_is_stopped_while_extracting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = build(Entry(b"zeros", b"\0" * 3_000_000, method=8, declared_size=10))
    assert_refused(data, tmp_path)
    monkeypatch.setattr("lambent.services.lambda_.code.extract.UNZIPPED_LIMIT", 1_000_000)
    plan = archive.read(build(Entry(b"zeros", b"\0" * 3_000_000, method=8)))
    with pytest.raises(UnzippedTooLarge):
        extract(plan, tmp_path / "code" / "tree")
    assert list((tmp_path / "code").iterdir()) == []


@pytest.mark.parametrize("data", [b"", build()])
def test_an_empty_upload_is_refused(tmp_path: Path, data: bytes) -> None:
    assert_refused(data, tmp_path, EmptyPackage)


@pytest.mark.parametrize("data", [b"PK", b"not a zip", b"PK\x05\x06" + b"\xff" * 18, build(Entry(b"a"))[:-5]])
def test_what_is_not_a_zip_is_refused_in_awss_words(tmp_path: Path, data: bytes) -> None:
    assert_refused(data, tmp_path)
    with pytest.raises(BadPackage) as refusal:
        archive.read(data)
    assert refusal.value.message == UNZIP_MESSAGE


def _ordinary_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("app.py", "def handler(event, context): return event\n" * 20)
        file.writestr("lib/data.json", "{}")
    return buffer.getvalue()


ORDINARY = _ordinary_zip()


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, len(ORDINARY) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_bytes_are_damaged_nothing_escapes_and_no_other_error_appears(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    data = bytearray(ORDINARY)
    for place, value in changes:
        data[place] = value
    try:
        extract(archive.read(bytes(data)), folder / "tree")
        expected = ["tree"]
    except InvalidParameterValueException:
        expected = []
    assert [path.name for path in folder.iterdir()] == expected
