"""The parts below the protocols: CBOR, timestamps, patterns, and the model itself."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from conformance.services import SERVICES
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.errors import SerializationException
from lambent.wire import ApiModels
from lambent.wire.cbor import decode_cbor, encode_cbor
from lambent.wire.constraints import _bounded
from lambent.wire.parse.http_bindings import split_list
from lambent.wire.patterns import _SAFE, compile_pattern, translate
from lambent.wire.text import read_integer, read_timestamp, write_epoch, write_iso8601, write_rfc822

# ---- CBOR: examples of RFC 8949, appendix A --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1a000f4240", 1000000),
        ("1bffffffffffffffff", 18446744073709551615),
        ("20", -1),
        ("3903e7", -1000),
        ("f90001", 5.960464477539063e-08),
        ("fa47c35000", 100000.0),
        ("fb3ff199999999999a", 1.1),
        ("f97c00", math.inf),
        ("f4", False),
        ("f5", True),
        ("f6", None),
        ("f7", None),
        ("c11a514b67b0", datetime(2013, 3, 21, 20, 4, 0, tzinfo=UTC)),
        ("c1fb41d452d9ec200000", datetime(2013, 3, 21, 20, 4, 0, 500000, tzinfo=UTC)),
        ("4401020304", b"\x01\x02\x03\x04"),
        ("62c3bc", "ü"),
        ("83010203", [1, 2, 3]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ],
)
def test_cbor_of_the_standard(text: str, value: Any) -> None:
    assert decode_cbor(bytes.fromhex(text)) == value


@pytest.mark.parametrize(
    "text", ["", "18", "1c", "62c328", "a10102", "ff", "83ff", "9f", "c001", "bf6161ff", "0000", "fc"]
)
def test_cbor_that_is_none(text: str) -> None:
    with pytest.raises(SerializationException):
        decode_cbor(bytes.fromhex(text))


@settings(derandomize=True, database=None, max_examples=40)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**64), 2**64 - 1)
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_cbor_comes_back_equal(value: Any) -> None:
    assert decode_cbor(encode_cbor(value)) == value


# ---- text ------------------------------------------------------------------------------------------------------------

MOMENT = datetime(2015, 1, 25, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        1422172800,
        1422172800.0,
        "1422172800",
        "2015-01-25T08:00:00Z",
        "2015-01-25T08:00:00.000Z",
        "2015-01-25T09:00:00+01:00",
        "2015-01-25T08:00:00",
        "Sun, 25 Jan 2015 08:00:00 GMT",
    ],
)
def test_timestamps_are_read_in_every_format(text: Any) -> None:
    assert read_timestamp(text) == MOMENT


@pytest.mark.parametrize("text", ["", "T", "2015", ",", "now", "1e400", "2015-13-01T00:00:00Z", 1e300, math.nan])
def test_what_is_no_timestamp(text: Any) -> None:
    if text == "2015":
        assert read_timestamp(text).year == 1970
    else:
        with pytest.raises(SerializationException):
            read_timestamp(text)


def test_timestamps_are_written_whole_where_they_are() -> None:
    half = MOMENT.replace(microsecond=500000)
    assert (write_iso8601(MOMENT), write_iso8601(half)) == ("2015-01-25T08:00:00Z", "2015-01-25T08:00:00.500Z")
    assert (write_epoch(MOMENT), write_epoch(half)) == (1422172800, 1422172800.5)
    assert write_rfc822(half) == "Sun, 25 Jan 2015 08:00:00 GMT"
    assert write_iso8601(1422172800) == "2015-01-25T08:00:00Z"


@pytest.mark.parametrize("text", ["", "1_0", "1.0", "0x1", "9" * 30, str(2**63)])
def test_what_is_no_integer(text: str) -> None:
    with pytest.raises(SerializationException):
        read_integer(text)


def test_lists_in_headers_may_quote_their_commas() -> None:
    assert split_list('a, "b,c" ,"d\\"e"') == ["a", "b,c", 'd"e']


# ---- patterns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Größe: 数 Ⅷ", "a#b"),
        (r"[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]+", "é¡€ ", "a\n"),
        (r"\p{Print}+", "a b~", "é"),
        (r"[\w-_]*", "a-b_c", "é"),
        (r"[a-zA-Z0-9-_]+", "a-_9", "a b"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "a😀\n", "\x00"),
        (r"^[0-9]+$", "12", "12\n"),
        (r"\d+", "12", "١٢"),
        (r"a|bc", "bc", "ac"),
        (r"[[a]+", "[a", "b"),
    ],
)
def test_javas_patterns(pattern: str, good: str, bad: str) -> None:
    matches = compile_pattern(pattern)
    assert matches(good)
    assert not matches(bad)


def test_pattern_that_python_cannot_read_refuses_nothing() -> None:
    assert compile_pattern("(unreadable")("anything")


def test_every_pattern_of_the_models_is_readable() -> None:
    models = ApiModels(tuple(SERVICES))
    patterns = {
        data.pattern
        for name in models.services
        for data in models.service(name)._data.shapes.values()
        if data.pattern and data.type == "string"
    }
    assert len(patterns) > 100
    assert [pattern for pattern in patterns if compile_pattern(pattern) is compile_pattern("(unreadable")] == []


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_no_pattern_is_slow_on_hostile_text(service: str) -> None:
    """One that is belongs into the table of safe patterns. Told by processor time, the better of two."""
    model = ApiModels((service,)).service(service)
    for data in model._data.shapes.values():
        if data.pattern and data.type == "string":
            matches = _bounded(compile_pattern(data.pattern), data.max)
            size = int(min(4 * data.max if data.max else 1 << 16, 1 << 16)) - 1
            for start in ("", "a", "arn:aws", "arn:aws:lambda:us-east-1:000000000000:function:"):
                for unit in ("a", "0", "A", "-", ".", "a.", "/", " ", "a ", "=", "0:", "\t "):
                    text = (start + unit * size)[:size] + "\x00"
                    took = min(timed(matches, text) for _ in range(2))
                    assert took < 0.05, (data.pattern, text[:60])


def timed(function: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    function(text)
    return time.process_time() - start


@settings(derandomize=True, database=None, max_examples=300)
@given(st.text("aZ0.-_: \t\x00é", max_size=7), st.sampled_from(sorted(_SAFE)))
def test_safe_patterns_match_the_same(text: str, pattern: str) -> None:
    assert bool(compile_pattern(pattern)(text)) == bool(re.fullmatch(translate(pattern), text, re.ASCII))


# ---- the model -------------------------------------------------------------------------------------------------------


def test_models_are_ready_soon_and_without_botocores_machinery() -> None:
    """In a process of its own, by its processor time, so that a busy machine does not matter."""
    script = (
        "import sys, time\n"
        "from lambent.wire import ApiModels, Router\n"
        "start = time.process_time()\n"
        "Router(ApiModels(('lambda', 'logs', 'sts')))\n"
        "print(time.process_time() - start)\n"
        "assert not {'botocore.model', 'botocore.session', 'botocore.loaders'} & set(sys.modules)\n"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert float(printed) < 0.15


def test_unserved_service_is_named() -> None:
    with pytest.raises(LookupError, match="The service kms is not served; served are: lambda, logs"):
        ApiModels(("lambda", "logs")).service("kms")


def test_service_that_botocore_does_not_know() -> None:
    with pytest.raises(LookupError, match="has no model of the service nonsense"):
        ApiModels(("nonsense",)).service("nonsense")


def test_extras_of_the_sdks_are_part_of_the_model() -> None:
    output = ApiModels(("s3",)).service("s3").operation("HeadObject").output  # type: ignore[union-attr]
    assert output is not None
    assert output.members["Expires"].type == "timestamp"
