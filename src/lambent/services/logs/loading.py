"""Bringing the store's directory to life at a start: catalogue, chunks, journals, and cleaning up after a crash."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lambent.services.logs.catalogue import Catalogue
from lambent.services.logs.index import Index
from lambent.services.logs.segments import CHUNK, JOURNAL, Journal, Run, load_chunk, runs_of, sync_directory

_CATALOGUE = "catalogue.log"


@dataclass(frozen=True, slots=True)
class Loaded:
    catalogue_fd: int
    catalogue_size: int
    #: The one to go on appending to.
    journal: Journal
    #: Older ones, which were full but not yet sealed.
    left_over: list[Journal]


def load(directory: Path, index: Index) -> Loaded:
    """Fill the empty `index` from `directory`, which is made where it is missing."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for leftover in directory.glob("*.tmp"):
        leftover.unlink()
    fd, size = _load_catalogue(directory, index.catalogue)
    runs, journals = _load_segments(directory, index)
    index.next_number = max(index.segments, default=0) + 1
    if not journals:
        journals = [Journal(directory, index.take_number())]
        index.add_segment(journals[0])
    sync_directory(directory)
    index.append(sorted(runs, key=lambda run: run.first_sequence))
    return Loaded(fd, size, journals[-1], journals[:-1])


def replace_catalogue(directory: Path, data: bytes) -> int:
    """A catalogue of just `data` in place of the one there; its descriptor."""
    temporary = directory / "catalogue.tmp"
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(directory / _CATALOGUE)
    sync_directory(directory)
    return _open_catalogue(directory)


def _open_catalogue(directory: Path) -> int:
    return os.open(directory / _CATALOGUE, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _load_catalogue(directory: Path, catalogue: Catalogue) -> tuple[int, int]:
    fd = _open_catalogue(directory)
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    size = catalogue.load(data)
    if size != len(data):
        os.ftruncate(fd, size)
    return fd, size


def _load_segments(directory: Path, index: Index) -> tuple[list[Run], list[Journal]]:
    """Adds the segments to `index`; returns their runs, and the journals, oldest first."""
    streams = index.catalogue.streams_by_id()
    chunks = [load_chunk(path, streams) for path in sorted(directory.glob(f"*{CHUNK}"))]
    # A crash can come between a chunk's rename and the removal of what it replaces.
    replaced = {number for _, _, numbers in chunks for number in numbers}
    runs: list[Run] = []
    journals: list[Journal] = []
    for chunk, its_runs, _ in chunks:
        if chunk.number in replaced:
            chunk.unlink()
            continue
        index.add_segment(chunk)
        runs.extend(its_runs)
    for path in sorted(directory.glob(f"*{JOURNAL}")):
        journal = Journal(directory, int(path.stem))
        if journal.number in replaced:
            journal.unlink()
            continue
        runs.extend(runs_of(journal.recover(), journal, streams))
        index.add_segment(journal)
        journals.append(journal)
    return runs, journals
