"""Reads a zip that nobody has looked at before: a plan of what to extract, or AWS's error. Writes nothing.

Whatever passes here can be extracted below one folder without ever leaving it, in bounded space. `extract` carries the
plan out and is the one to find lies in the data itself (sizes, checksums).
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lambent.services.lambda_.errors import InvalidParameterValueException

UNZIPPED_LIMIT = 262_144_000
#: Files and folders that one package may make; each costs an inode and a block, however small.
NODE_LIMIT = 100_000
#: Folders within folders; deeper trees than this exist only to break whoever walks them.
DEPTH_LIMIT = 100
_PATH_LIMIT = 3000
_NAME_LIMIT = 255
_LINK_HOPS = 40
#: Parts of paths that the links of one package lead along, all together.
_LINK_STEPS = 1_000_000

_ENTRY_SIGNATURE = b"PK\x01\x02"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_UTF8_NAME = 0x800
#: Encrypted, patched, strongly encrypted, masked headers.
_REFUSED_FLAGS = 0x1 | 0x20 | 0x40 | 0x2000

Parts = tuple[str, ...]


class BadPackage(InvalidParameterValueException):
    """Could not unzip uploaded file. Please check your file, then try to upload again."""

    code = "InvalidParameterValueException"


class EmptyPackage(InvalidParameterValueException):
    """Uploaded file must be a non-empty zip"""

    code = "InvalidParameterValueException"


class UnzippedTooLarge(InvalidParameterValueException):
    __doc__ = f"Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes"
    code = "InvalidParameterValueException"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    parts: Parts
    info: zipfile.ZipInfo
    executable: bool


@dataclass(slots=True)
class Plan:
    """What to make below the root, every path checked: folders first, parents before children."""

    archive: zipfile.ZipFile
    folders: dict[Parts, None] = field(default_factory=dict)
    files: dict[Parts, PlannedFile] = field(default_factory=dict)
    links: dict[Parts, str] = field(default_factory=dict)


@contextmanager
def zip_errors() -> Iterator[None]:
    """Whatever the zip library stumbles over is the package's fault."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        UnicodeError,
        ValueError,
        IndexError,
    ) as error:
        raise BadPackage from error


def read(data: bytes) -> Plan:
    """The plan for the zip `data`. Raises BadPackage, EmptyPackage or UnzippedTooLarge."""
    if not data:
        raise EmptyPackage
    # Before the library makes an object of each entry: no zip has more entries than signatures.
    if data.count(_ENTRY_SIGNATURE) > NODE_LIMIT:
        raise BadPackage
    with zip_errors():
        plan = Plan(zipfile.ZipFile(io.BytesIO(data)))
        entries = plan.archive.infolist()
        if not entries:
            raise EmptyPackage
        if sum(info.file_size for info in entries) >= UNZIPPED_LIMIT:
            raise UnzippedTooLarge
        _check_extents(data, entries, plan.archive.start_dir)
        for info in entries:
            _add(plan, info)
            if len(plan.folders) + len(plan.files) + len(plan.links) > NODE_LIMIT:
                raise BadPackage
        _check_links(plan)
    return plan


def _check_extents(data: bytes, entries: list[zipfile.ZipInfo], directory: int) -> None:
    """No two entries share bytes: overlapping ones make a small zip unpack into a huge tree."""
    end = 0
    for info in sorted(entries, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise BadPackage
        signature, name_length, extra_length = _LOCAL_HEADER.unpack_from(data, info.header_offset)
        end = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length + info.compress_size
        if signature != b"PK\x03\x04" or end > directory:
            raise BadPackage


def _add(plan: Plan, info: zipfile.ZipInfo) -> None:
    if "\0" in info.orig_filename:  # the library would cut the name there
        raise BadPackage
    if info.flag_bits & _REFUSED_FLAGS or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadPackage
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    name = _name(info)
    parts = _parts(name)
    if name.endswith("/") or kind == stat.S_IFDIR:
        _add_folders(plan, parts)
        return
    if not parts or parts in plan.files or parts in plan.links or parts in plan.folders:
        raise BadPackage
    _add_folders(plan, parts[:-1])
    if kind == stat.S_IFLNK:
        plan.links[parts] = plan.archive.read(info).decode() if info.file_size <= _PATH_LIMIT else ""
    elif kind in (0, stat.S_IFREG):
        plan.files[parts] = PlannedFile(parts, info, executable=bool(mode & 0o111))
    else:
        raise BadPackage  # devices, pipes, sockets


def _add_folders(plan: Plan, parts: Parts) -> None:
    if parts in plan.folders:
        return
    for depth in range(1, len(parts) + 1):
        folder = parts[:depth]
        if folder in plan.files or folder in plan.links:
            raise BadPackage
        plan.folders[folder] = None


def _name(info: zipfile.ZipInfo) -> str:
    """The entry's name. Many tools write UTF-8 without saying so; what isn't UTF-8 is CP437, as the format has it."""
    if info.flag_bits & _UTF8_NAME:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def _parts(name: str) -> Parts:
    if name.startswith("/") or len(name.encode()) > _PATH_LIMIT:
        raise BadPackage
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or len(parts) > DEPTH_LIMIT or any(len(part.encode()) > _NAME_LIMIT for part in parts):
        raise BadPackage
    return parts


def _check_links(plan: Plan) -> None:
    """Every link ends inside the tree, also by way of other links."""
    steps = 0
    for place, target in plan.links.items():
        steps += _check_link(plan, place[:-1], target)
        if steps > _LINK_STEPS:
            raise BadPackage


def _check_link(plan: Plan, here: Parts, target: str) -> int:
    """Follow `target` from folder `here` as a kernel would, and count the steps.

    All links on the way count together: ones that name others twice, which name others twice, would never end.
    """
    steps, hops, ahead = 0, 0, _steps(target)
    while ahead:
        part = ahead.pop()
        steps += 1
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                raise BadPackage
            here = here[:-1]
            continue
        inner = plan.links.get((*here, part))
        if inner is None:
            here = (*here, part)
            if len(here) > DEPTH_LIMIT:
                raise BadPackage
            continue
        hops += 1
        if hops == _LINK_HOPS:
            raise BadPackage
        ahead += _steps(inner)
    return steps


def _steps(target: str) -> list[str]:
    """The parts of a link's target, the first one last."""
    if not target or target.startswith("/") or "\0" in target:
        raise BadPackage
    return target.split("/")[::-1]
