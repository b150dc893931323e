"""The analysis part of the spec, read from its own texts."""

import json

import msgspec
import pytest

from seatrial.analysis import policy
from seatrial.api import values


def decode(**fields):
    return policy.of(msgspec.json.decode(json.dumps(fields), type=policy.Tolerances, dec_hook=values.decode_hook))


def test_an_empty_policy_has_the_defaults_of_the_resource():
    assert decode() == policy.Policy()


def test_texts_become_fractions_and_seconds():
    got = decode(interval="1m30s", falseRollbackRate="0.5%", latency={"threshold": "250ms", "max": "2%"}, dispersion=3)
    assert (got.interval, got.false_rollback_rate, got.latency.threshold, got.latency.max, got.dispersion) == (
        90.0,
        0.005,
        0.25,
        0.02,
        3,
    )


def test_where_samples_come_from_is_not_the_statistics_business():
    assert decode(prometheus={"url": "http://example.com"}, blindTimeout="2m") == policy.Policy()


def test_steps_share_the_rate_of_false_rollbacks():
    assert policy.of(policy.Tolerances(), steps=2).false_rollback_rate == pytest.approx(0.005)


def test_however_often_a_step_begins_again_its_windows_share_its_part():
    rates = [policy.of(policy.Tolerances(), steps=2, window=number).false_rollback_rate for number in range(1, 40)]
    assert rates[:3] == [pytest.approx(0.0045), pytest.approx(0.00025), pytest.approx(0.0005 / 6)]
    assert 0.00498 < sum(rates) < 0.005


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"errors": {"max": "5"}}, r"percentage like .* at `\$.errors.max`", id="no percent sign"),
        pytest.param({"interval": "15"}, r"duration like .* at `\$.interval`", id="no unit"),
        pytest.param({"interval": "0s"}, "interval must be longer than zero", id="zero"),
        pytest.param({"falseRollbackRate": "0%"}, "falseRollbackRate must be above 0%", id="no alpha"),
        pytest.param({"falseRollbackRate": "50%"}, "at most 20%", id="alpha too large"),
    ],
)
def test_a_wrong_text_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        decode(**fields)


@pytest.mark.parametrize("fields", [{"eror": {}}, {"dispersion": 0.5}, {"spread": -1}], ids=lambda fields: str(fields))
def test_a_wrong_shape_is_refused(fields):
    with pytest.raises(msgspec.ValidationError):
        decode(**fields)
