"""Blobs and secrets: whole or absent, and readable by the owner alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lambent.storage.blobs import Blobs
from lambent.storage.secrets import SecretBox, SecretError


def test_a_blob_is_named_by_its_content_and_stored_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(b"content")
    assert digest == hashlib.sha256(b"content").hexdigest()
    assert blobs.put(b"content") == digest
    assert blobs.get(digest) == b"content"
    assert list(blobs.digests()) == [digest]


def test_a_file_is_copied_into_a_blob(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"from a file")
    blobs = Blobs(tmp_path / "blobs")
    digest = blobs.put(source)
    source.write_bytes(b"changed afterwards")
    assert blobs.get(digest) == b"from a file"
    assert list(blobs.digests()) == [digest]


def test_a_deleted_blob_is_gone_and_deleting_again_is_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(b"x")
    blobs.delete(digest)
    blobs.delete(digest)
    with pytest.raises(FileNotFoundError):
        blobs.get(digest)


def test_half_written_blobs_are_swept_and_whole_ones_kept(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(b"whole")
    half = tmp_path / digest[:2] / ".tmp-0011223344556677"
    half.write_bytes(b"ha")
    blobs.sweep_temporary()
    assert not half.exists()
    assert blobs.get(digest) == b"whole"


def test_sealed_secrets_open_with_the_same_key_file_alone(tmp_path: Path) -> None:
    box = SecretBox(tmp_path / "key")
    sealed = box.seal(b"password")
    assert b"password" not in sealed
    assert SecretBox(tmp_path / "key").open(sealed) == b"password"
    with pytest.raises(SecretError):
        SecretBox(tmp_path / "other").open(sealed)


@pytest.mark.parametrize("position", [0, 1, 13, -1])
def test_a_changed_secret_does_not_open(tmp_path: Path, position: int) -> None:
    box = SecretBox(tmp_path / "key")
    sealed = bytearray(box.seal(b"password"))
    sealed[position] ^= 1
    with pytest.raises(SecretError):
        box.open(bytes(sealed))


def test_the_key_file_is_the_owners_alone(tmp_path: Path) -> None:
    SecretBox(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(SecretError, match="chmod 600"):
        SecretBox(tmp_path / "key")


def test_a_truncated_key_file_is_refused_not_replaced(tmp_path: Path) -> None:
    SecretBox(tmp_path / "key")
    (tmp_path / "key").write_text("0011\n")
    with pytest.raises(SecretError, match="32 bytes"):
        SecretBox(tmp_path / "key")


def test_derived_keys_differ_by_purpose_and_stay_the_same(tmp_path: Path) -> None:
    box = SecretBox(tmp_path / "key")
    assert box.derive("code links") == SecretBox(tmp_path / "key").derive("code links")
    assert box.derive("code links") != box.derive("session tokens")
