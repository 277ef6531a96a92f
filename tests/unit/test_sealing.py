"""Texts that only a region with the same key can make and read, and the ids of keys that name an account."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.identity.key_ids import account_of, new_access_key_id
from lambent.identity.messages import AuthorizationMessages
from lambent.identity.sealing import Seal

KEY = b"k" * 32
SEAL = Seal(KEY, b"tests", 4096)


@pytest.mark.parametrize("content", [b"", b"short", b"long " * 400])
def test_what_is_sealed_is_read_by_the_same_key_purpose_and_bound_alone(content: bytes) -> None:
    text = SEAL.close(content, "mine")
    assert SEAL.open(text, "mine") == content
    assert content not in base64.b64decode(text) or not content
    assert SEAL.open(text, "yours") is None
    assert Seal(KEY, b"others", 4096).open(text, "mine") is None
    assert Seal(b"o" * 32, b"tests", 4096).open(text, "mine") is None
    assert SEAL.close(content, "mine") != text


@given(st.text())
def test_nothing_else_opens_and_nothing_breaks(text: str) -> None:
    assert SEAL.open(text) is None
    assert AuthorizationMessages(KEY).decode("000000000000", text) is None


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_changed_byte_passes(place: int, change: int) -> None:
    raw = bytearray(base64.b64decode(SEAL.close(b"content", "mine")))
    raw[place % len(raw)] ^= change
    assert SEAL.open(base64.b64encode(raw).decode(), "mine") is None


def test_nothing_longer_than_the_limit_is_looked_at() -> None:
    long = Seal(KEY, b"tests", 10).close(b"content")
    assert SEAL.open(long) == b"content"
    assert Seal(KEY, b"tests", len(long) - 1).open(long) is None


@given(st.integers(min_value=0, max_value=10**12 - 1))
def test_the_id_of_a_key_names_its_account(number: int) -> None:
    account = f"{number:012d}"
    access_key_id = new_access_key_id("AKIA", account)
    assert len(access_key_id) == 20
    assert account_of(access_key_id) == account
    assert new_access_key_id("AKIA", account) != access_key_id


@given(st.text())
def test_ids_of_any_form_name_an_account_or_none(text: str) -> None:
    found = account_of(text)
    assert found is None or (len(found) == 12 and found.isdecimal())
