"""Only pods that the API server shows as ours are believed, whatever labels a relabelling left."""

from __future__ import annotations

import pytest
from tests.unit.prometheus import build

from seatrial.analysis import counters, samples
from seatrial.prometheus import matching


def matched(*series: matching.Raw) -> list[tuple[str, str]]:
    found = matching.match(series, asked=build.question())
    return [(one.arm.value, one.pod) for one in found.series]


@pytest.mark.parametrize(
    "labels",
    [
        {"namespace": "shop", "pod": "b", "instance": "10.0.0.2:8082", "job": "pods"},
        {"namespace": "shop", "pod": "b"},
        {"instance": "10.0.0.2:8082"},
        {"instance": "10.0.0.2:15020", "job": "merged"},
        {"namespace": "shop", "instance": "10.0.0.2:8082"},
        {"pod": "b", "instance": "10.0.0.2:8082"},
        {"uid": "uid-b", "instance": "node-1"},
        {"pod_uid": "uid-b"},
        {"namespace": "shop", "pod": "b", "exported_pod": "other", "exported_namespace": "other"},
    ],
    ids=["usual", "no instance", "instance only", "sidecar", "no pod", "no namespace", "uid", "pod_uid", "exported"],
)
def test_a_pod_of_ours_is_recognised_by_what_is_left(labels: dict[str, str]) -> None:
    assert matched(build.raw("c1", **labels)) == [("candidate", "b")]


@pytest.mark.parametrize(
    "labels",
    [
        {"namespace": "other", "pod": "b", "instance": "10.0.0.2:8082"},
        {"namespace": "shop", "pod": "stranger"},
        {"pod": "b"},
        {"pod": "b", "instance": "10.9.9.9:8082"},
        {"instance": "10.9.9.9:8082"},
        {"instance": "node-1"},
        {"uid": "uid-x"},
        {"namespace": "monitoring", "pod": "prometheus-0", "exported_namespace": "shop", "exported_pod": "b"},
        {"exported_namespace": "shop", "exported_pod": "b"},
        {},
    ],
    ids=[
        "namespace",
        "pod",
        "name alone",
        "name, other address",
        "address",
        "node",
        "uid",
        "federated",
        "said",
        "none",
    ],
)
def test_anybody_else_is_foreign_whatever_it_says_of_itself(labels: dict[str, str]) -> None:
    found = matching.match([build.raw("c1", **labels)], asked=build.question())
    assert (found.series, found.foreign) == ((), 1)


def test_a_pod_can_not_speak_for_another_revision() -> None:
    assert matched(build.raw("s1", namespace="shop", pod="b")) == []


def test_only_a_pod_of_stable_tells_of_the_candidate_and_only_of_this_one() -> None:
    asked = build.question(relayed=True)
    theirs = {"namespace": "shop", "pod": "a"}
    series = [
        *build.relays(until=0, **theirs),
        *build.relays(until=0, **{**theirs, "candidate": "another"}),
        *build.relays(until=0, by="c1", namespace="shop", pod="b"),
    ]
    found = matching.match(series, asked=asked).series
    assert {(one.arm.value, one.pod, one.counter.value) for one in found} == {("stable", "a", "relayed")}
    assert len(found) == 14
    assert len({one.target for one in found} | {one.target for one in matched_all(build.raw("s1", **theirs))}) == 1


def test_of_a_pod_that_could_relay_only_that_is_known_and_no_gauge_is_taken_for_a_count() -> None:
    gauge = matching.Raw(
        labels={**build.raw("s1", namespace="shop", pod="a").labels, "__name__": samples.RELAYING_METRIC},
        samples=[(1.0, 7.0), (2.0, 3.0)],
    )
    (found,) = matching.match([gauge], asked=build.question(relayed=True)).series
    assert (found.counter, list(found.samples)) == (counters.Counter.RELAYING, [(1.0, 0.0), (2.0, 0.0)])


def test_what_stable_counts_of_a_candidate_is_nothing_where_it_relays_nothing() -> None:
    assert matched(*build.relays(until=0, namespace="shop", pod="a")) == []


def matched_all(*series: matching.Raw) -> tuple[counters.Series, ...]:
    return matching.match(series, asked=build.question()).series


@pytest.mark.parametrize("edge", ["abc", "nan", "", "-1"])
def test_an_edge_that_is_no_number_never_reaches_the_analysis(edge: str) -> None:
    assert matched(build.raw("c1", namespace="shop", pod="b", le=edge)) == []


def test_two_jobs_or_replicas_are_two_targets_of_one_pod() -> None:
    same = {"namespace": "shop", "pod": "b"}
    series = [build.raw("c1", **same, job=job) for job in ("annotated", "podmonitor")]
    series.append(build.raw("c1", **same, job="podmonitor", prometheus_replica="1"))
    targets = [one.target for one in matching.match(series, asked=build.question()).series]
    assert len(set(targets)) == 3


def test_transports_and_outcomes_of_one_scrape_have_one_target() -> None:
    same = {"namespace": "shop", "pod": "b", "job": "x"}
    series = [build.raw("c1", **same, transport=transport) for transport in ("rest", "grpc")]
    series.append(build.raw("c1", **same, le="0.1"))
    found = matching.match(series, asked=build.question()).series
    assert len({one.target for one in found}) == 1
    assert [one.counter for one in found] == [counters.Counter.REQUESTS] * 2 + [counters.Counter.LATENCY]


def test_who_a_foreign_series_is_from_is_told_in_harmless_characters() -> None:
    assert matching.whose({"namespace": "a", "pod": "b\n<script>"}) == "a/bscript"
    assert matching.whose({"instance": "[fd00::1]:8082"}) == "[fd00::1]:8082"
