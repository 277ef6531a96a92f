"""Files that are there whole or not at all: write aside, fsync, rename, fsync the folder.

Everything durable that is not a database row goes through here.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

#: Names of files and folders still being made; whoever owns a folder removes them at start.
TEMPORARY_PREFIX = ".tmp-"


def temporary_path(folder: Path) -> Path:
    """A fresh name in `folder` that the next start sweeps if this process dies before the rename."""
    return folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Make `path` hold exactly `data`, on disk when this returns; readers never see a part."""
    aside = temporary_path(path.parent)
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:  # also when cancelled or interrupted: nothing half-made stays
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in `folder` on disk: without it a rename may be forgotten by a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Make `folder` and what is missing above it, on disk when this returns."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode=mode)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)
