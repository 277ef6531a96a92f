"""Carries out a plan of `archive`: makes the tree beside its place, syncs it, and renames it there. Blocks."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

from lambent.services.lambda_.code.archive import (
    UNZIPPED_LIMIT,
    BadPackage,
    Plan,
    PlannedFile,
    UnzippedTooLarge,
    zip_errors,
)
from lambent.storage.files import sync_folder, temporary_path

_CHUNK = 1 << 18
#: Up to so many files are synced one by one; for more, one sync of everything is cheaper.
_SYNC_EACH = 32


def extract(plan: Plan, target: Path) -> None:
    """Make `target` hold the package, whole and on disk; nothing happens where it is there already.

    Modes are 0644, or 0755 for folders and what the zip marks executable, as AWS asks packages to be: owners' and
    groups' bits mean nothing to the user that functions run as.
    """
    aside = temporary_path(target.parent)
    try:
        with zip_errors():
            _fill(plan, aside)
        _sync(plan, aside)
        _put_in_place(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fill(plan: Plan, root: Path) -> None:
    _make_folder(root)
    for parts in plan.folders:
        _make_folder(root.joinpath(*parts))
    left = UNZIPPED_LIMIT
    for file in plan.files.values():
        left -= _write(plan.archive, file, root.joinpath(*file.parts), left)
    # Last, so that no file is ever written through one.
    for parts, link in plan.links.items():
        root.joinpath(*parts).symlink_to(link)


def _make_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)  # the umask has no say: another user reads this


def _write(archive: zipfile.ZipFile, file: PlannedFile, path: Path, left: int) -> int:
    """Write one file; counts what really comes out, since declared sizes are the sender's word."""
    written = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as output, archive.open(file.info) as source:
        os.fchmod(descriptor, 0o755 if file.executable else 0o644)
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written >= left:
                raise UnzippedTooLarge
            output.write(chunk)
    if written != file.info.file_size:
        raise BadPackage
    return written


def _sync(plan: Plan, root: Path) -> None:
    if len(plan.files) > _SYNC_EACH:
        os.sync()
        return
    for parts in plan.files:
        descriptor = os.open(root.joinpath(*parts), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for parts in plan.folders:
        sync_folder(root.joinpath(*parts))
    sync_folder(root)


def _put_in_place(aside: Path, target: Path) -> None:
    try:
        aside.rename(target)
    except OSError:
        # Another create of the same package was faster; equal names mean equal contents.
        if not target.is_dir():
            raise
    sync_folder(target.parent)
