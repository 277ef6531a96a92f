"""Content-addressed files: a blob's name is the SHA-256 of its bytes, so equal contents are stored once.

One `Blobs` belongs to one owner, who alone knows which blobs are still referenced and deletes the others.
The methods block; call them from an executor.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lambent.storage.files import TEMPORARY_PREFIX, make_folder, sync_folder, temporary_path, write_durably


class Blobs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder, mode=0o700)

    def put(self, content: bytes | Path) -> str:
        """Store `content` (bytes, or a file that is copied) and return its SHA-256 in hex; on disk when it returns."""
        if isinstance(content, Path):
            return self._put_file(content)
        digest = hashlib.sha256(content).hexdigest()
        target = self._ready(digest)
        if target.exists():
            # Another put may have renamed it and not yet synced the folder; what we acknowledge must be on disk.
            sync_folder(target.parent)
        else:
            write_durably(target, content, mode=0o600)
        return digest

    def path(self, digest: str) -> Path:
        """Where the blob lies if it is there."""
        return self._folder / digest[:2] / digest

    def get(self, digest: str) -> bytes:
        """The content; raises FileNotFoundError."""
        return self.path(digest).read_bytes()

    def delete(self, digest: str) -> None:
        """Forget the blob; nothing happens where it is gone already."""
        self.path(digest).unlink(missing_ok=True)

    def digests(self) -> Iterator[str]:
        """Every blob that is there."""
        for shelf in self._folder.iterdir():
            if len(shelf.name) == 2:
                yield from (entry.name for entry in shelf.iterdir() if not entry.name.startswith("."))

    def sweep_temporary(self) -> None:
        """Remove what a killed process left half-written; call before the first put."""
        for leftover in self._folder.rglob(f"{TEMPORARY_PREFIX}*"):
            leftover.unlink(missing_ok=True)

    def _ready(self, digest: str) -> Path:
        target = self.path(digest)
        make_folder(target.parent, mode=0o700)
        return target

    def _put_file(self, source: Path) -> str:
        aside = temporary_path(self._folder)
        try:
            with source.open("rb") as reader, aside.open("xb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
                writer.flush()
                os.fsync(writer.fileno())
            # Hashed from the copy: the source may have changed meanwhile.
            with aside.open("rb") as copy:
                digest = hashlib.file_digest(copy, "sha256").hexdigest()
            target = self._ready(digest)
            aside.rename(target)
            sync_folder(target.parent)
            return digest
        finally:
            aside.unlink(missing_ok=True)
