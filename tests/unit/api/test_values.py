"""Durations, ratios and quantities: what is read is what was written, and nothing else is read."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.api import values

PARTS = st.tuples(st.integers(0, 20_000), st.sampled_from(["h", "m", "s", "ms"]))
DURATIONS = st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: "".join(f"{n}{unit}" for n, unit in parts))
RATIOS = st.from_regex(values.RATIO_PATTERN, fullmatch=True).filter(lambda text: not text.endswith("\n"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("100ms", 0.1), ("1h1m1s1ms", 3661.001), ("0s", 0)]
)
def test_a_duration_is_the_sum_of_its_parts(text: str, seconds: float) -> None:
    assert values.Duration.parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "1.5h", "-1s", "1d", "5 m", "1h1h1h1h1h", "123456s", "5m\n"])
def test_text_that_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration like 30s, 5m or 1h30m"):
        values.Duration.parse(text)


@given(DURATIONS)
def test_a_duration_survives_writing_and_reading(text: str) -> None:
    duration = values.Duration.parse(text)
    assert values.Duration.parse(str(duration)) == duration


@given(st.integers(0, 99_999 * 3_600_000 + 59 * 60_000 + 59_999))
def test_a_duration_is_written_so_that_the_schema_accepts_it(milliseconds: int) -> None:
    assert re.fullmatch(values.DURATION_PATTERN, str(values.Duration(milliseconds=milliseconds)))


@pytest.mark.parametrize(("text", "part"), [("2%", 0.02), ("0.5%", 0.005), ("100%", 1.0), ("0%", 0.0), ("250%", 2.5)])
def test_a_ratio_is_a_part_of_one(text: str, part: float) -> None:
    assert values.Ratio.parse(text) == pytest.approx(part)


@pytest.mark.parametrize("text", ["", "2", "-1%", ".5%", "1e2%", "2 %", "12345%", "1.1234567%", "2%\n"])
def test_text_that_is_no_ratio_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a percentage like 2% or 0\.5%"):
        values.Ratio.parse(text)


@given(RATIOS)
def test_a_ratio_survives_writing_and_reading(text: str) -> None:
    ratio = values.Ratio.parse(text)
    assert re.fullmatch(values.RATIO_PATTERN, str(ratio))
    assert values.Ratio.parse(str(ratio)) == pytest.approx(ratio, abs=1e-12)


class Wait(msgspec.Struct):
    """A value in its place."""

    timeout: values.Duration
    share: values.Ratio


def test_values_are_read_and_written_inside_structs() -> None:
    text = b'{"timeout":"1m30s","share":"12.5%"}'
    wait = msgspec.json.decode(text, type=Wait, dec_hook=values.decode_hook)
    assert (wait.timeout, wait.share) == (timedelta(seconds=90), 0.125)
    assert msgspec.json.encode(wait, enc_hook=values.encode_hook) == text


@pytest.mark.parametrize("text", [b'{"timeout":90,"share":"1%"}', b'{"timeout":"soon","share":"1%"}'])
def test_a_wrong_value_is_refused_with_the_path_of_its_field(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"must be .* - at `\$\.timeout`"):
        msgspec.json.decode(text, type=Wait, dec_hook=values.decode_hook)


class Words(msgspec.Struct):
    """Text that may be a whole number."""

    cpu: values.Quantity
    body: values.Size
    version: values.Label


def words(text: bytes) -> Words:
    return msgspec.json.decode(text, type=Words, dec_hook=values.decode_hook)


def test_a_whole_number_is_the_same_value_as_its_text() -> None:
    plain = words(b'{"cpu":2,"body":1048576,"version":7}')
    assert plain == words(b'{"cpu":"2","body":"1048576","version":"7"}')
    assert msgspec.json.encode(plain, enc_hook=values.encode_hook) == b'{"cpu":"2","body":"1048576","version":"7"}'


@pytest.mark.parametrize(
    "value", [b"0.5", b"true", b"-1", b'"2 cores"', b'"2\\n"', b"null", b"1e3", b'"' + b"9" * 25 + b'"']
)
def test_what_is_neither_text_of_the_form_nor_a_whole_number_is_refused(value: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"must be .* - at `\$\.cpu`"):
        words(b'{"cpu":' + value + b',"body":1,"version":7}')
