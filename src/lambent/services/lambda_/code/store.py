"""Keeps packages: the zip as a blob, and its extracted tree at `<data-dir>/code/<sha256>`, both on disk when admitted.

Packages no longer used by any function go in two rounds of `collect`, since environments may still run from a tree.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import shutil
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from lambent.services.lambda_.code import archive
from lambent.services.lambda_.code.extract import extract
from lambent.services.lambda_.domain import Package
from lambent.services.lambda_.errors import RequestEntityTooLargeException
from lambent.storage.blobs import Blobs
from lambent.storage.faults import StorageFull
from lambent.storage.files import TEMPORARY_PREFIX, make_folder, temporary_path

log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ZIPPED_LIMIT = 52_428_800


class CodeStore:
    def __init__(self, data_dir: Path) -> None:
        self._trees = data_dir / "code"
        self._zips = Blobs(data_dir / "packages")
        # Where functions have no mount namespace their users pass through here; the names below are not to be listed.
        make_folder(self._trees, mode=0o711)
        # Two: one large package must not keep a small one waiting; more would only take the GIL from invocations.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="packages")
        #: Packages of requests under way: not in the database yet, and not to be collected.
        self._pinned: Counter[str] = Counter()
        #: Packages pinned at some time since the running collection began to look.
        self._touched: set[str] = set()
        #: Found unreferenced by the last collection.
        self._doomed: set[str] = set()

    async def start(self, referenced: Collection[str]) -> None:
        """Sweep what a killed server left half-made, and make again any tree that is missing."""
        await self._run(self._start, referenced)

    async def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def tree(self, digest: str) -> Path:
        """Where the package with this SHA-256 is extracted."""
        return self._trees / digest

    def open_zip(self, digest: str) -> bytes:
        """The package as it was uploaded; raises FileNotFoundError. Blocks."""
        return self._zips.get(digest)

    def unzipped_size(self, digest: str) -> int:
        """Bytes of what lies in a package, by its directory, which extraction found true. Blocks."""
        with zipfile.ZipFile(self._zips.path(digest)) as archive_file:
            return sum(info.file_size for info in archive_file.infolist())

    async def measure(self, digest: str) -> int:
        """The same in a thread of the store's."""
        return await self._run(self.unzipped_size, digest)

    @asynccontextmanager
    async def admitted(self, data: bytes) -> AsyncIterator[Package]:
        """Check, store and extract the zip `data`; it is safe from collection until the block ends.

        Raises AWS's error for a package that is too large or not one.
        """
        _check_size(data)
        digest = await self._run(_sha256, data)
        self._pinned[digest] += 1
        self._touched.add(digest)
        try:
            await self._run(self._store, data, digest)
            yield Package(digest, len(data))
        finally:
            self._pinned[digest] -= 1

    async def check(self, data: bytes) -> Package:
        """What `admitted` would store, without storing it (DryRun)."""
        _check_size(data)
        await self._run(archive.read, data)
        return Package(await self._run(_sha256, data), len(data))

    def begin_collection(self) -> None:
        """Call before asking the database what is referenced: what is admitted from here on will be left alone."""
        self._touched = {digest for digest, count in self._pinned.items() if count}

    async def collect(self, referenced: Collection[str], *, at_once: bool = False) -> None:
        """Remove what neither this nor the last collection found referenced; `at_once`, what this one did not."""
        present = await self._run(self._present)
        unreferenced = present - set(referenced) - self._touched
        condemned = unreferenced if at_once else unreferenced & self._doomed
        self._doomed = unreferenced - condemned
        for digest in condemned:
            # Looked up and renamed on the loop, where admissions pin: none can come between.
            if digest not in self._touched:
                await self._run(_remove_tree, self._set_aside(digest))

    async def _run(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _store(self, data: bytes, digest: str) -> None:
        try:
            tree = self.tree(digest)
            if not tree.is_dir():
                extract(archive.read(data), tree)
            self._zips.put(data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull from error
            raise

    def _present(self) -> set[str]:
        trees = {path.name for path in self._trees.iterdir() if not path.name.startswith(".")}
        return trees | set(self._zips.digests())

    def _set_aside(self, digest: str) -> Path:
        doomed = temporary_path(self._trees)
        if self.tree(digest).exists():
            self.tree(digest).rename(doomed)
        self._zips.delete(digest)
        return doomed

    def _extract_again(self, digest: str) -> None:
        try:
            extract(archive.read(self._zips.get(digest)), self.tree(digest))
        except (FileNotFoundError, archive.BadPackage) as error:
            # Somebody else's hand was in the data dir. One broken function must not keep the others from starting.
            log.error("The package %s is gone or damaged, functions that use it cannot run: %s", digest, error)

    def _start(self, referenced: Collection[str]) -> None:
        for leftover in self._trees.glob(f"{TEMPORARY_PREFIX}*"):
            _remove_tree(leftover)
        self._zips.sweep_temporary()
        for digest in referenced:
            if not self.tree(digest).is_dir():
                self._extract_again(digest)


def _check_size(data: bytes) -> None:
    if len(data) >= ZIPPED_LIMIT:
        raise RequestEntityTooLargeException(f"Zipped size must be smaller than {ZIPPED_LIMIT} bytes")


def _remove_tree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
