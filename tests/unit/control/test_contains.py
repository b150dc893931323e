"""Applying only what differs."""

import pytest

from seatrial.control import applying

SERVICE = {
    "spec": {"selector": {"app": "a", "revision": "x"}, "ports": [{"port": 80, "protocol": "TCP"}], "type": "ClusterIP"}
}


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        pytest.param({"spec": {"ports": [{"port": 80}]}}, True, id="what the API server added doesn't matter"),
        pytest.param({"spec": {"ports": [{"port": 81}]}}, False, id="another value"),
        pytest.param({"spec": {"ports": []}}, False, id="a list item too many"),
        pytest.param({"metadata": {"labels": {}}}, False, id="a missing field"),
        pytest.param({"spec": {"selector": {"app": "a", "revision": "x"}}}, True, id="the same selector"),
        pytest.param({"spec": {"selector": {"app": "a"}}}, False, id="a selector with a label too many selects others"),
    ],
)
def test_an_object_is_applied_only_when_something_wanted_is_missing(wanted, there):
    assert applying.contains(SERVICE, wanted) is there


ROUTE = {"spec": {"rules": [{"backendRefs": [{"name": "a", "weight": 1}], "filters": [{"type": "URLRewrite"}]}]}}


def test_a_filter_more_in_a_route_means_other_answers():
    wanted = {"spec": {"rules": [{"backendRefs": [{"name": "a", "weight": 1}]}]}}
    assert not applying.contains(ROUTE, wanted)
