"""The name of a content never changes, on any cluster and under any release of the operator."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.rollout import build, placed

from seatrial.api import placement, spec
from seatrial.api.status import Status
from seatrial.api.values import Duration, Ratio
from seatrial.control import reading
from seatrial.rollout import children, revision

MODEL = spec.Model(uri="http://store/7.onnx", sha256="9f86d081" * 8, version="7")


def wanted(wish: spec.Spec, *, image: str = "seatrial.dev/serving:1", known: tuple[revision.Record, ...] = ()):
    return revision.wanted(wish, name="churn", default_image=image, known=known)


def changed(part: str, **changes: object) -> spec.Spec:
    base = spec.Spec(model=MODEL)
    return msgspec.structs.replace(base, **{part: msgspec.structs.replace(getattr(base, part), **changes)})


def recorded(content: revision.Content, number: int) -> revision.Record:
    return revision.Record(content=content, uri="http://store/old", pod_template={}, number=number)


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        pytest.param(spec.Spec(model=MODEL), "krt9f44fhr", id="all defaults"),
        pytest.param(changed("model", version=None), "5bhlzblx6m", id="no version"),
        pytest.param(changed("model", name="fraud"), "5nxf248cb4", id="model name"),
        pytest.param(
            changed("quantization", mode=spec.QuantizationMode.NONE, max_disagreement=Ratio.parse("0.5%")),
            "5b2nvbjndp",
            id="quantization",
        ),
        pytest.param(
            changed("serving", resources=spec.Resources(limits=spec.ResourceList(cpu="2", memory="2Gi"))),
            "4k8k8bgn8q",
            id="resources",
        ),
        pytest.param(
            changed("serving", limits=spec.Limits(timeout=Duration.parse("1500ms"))), "jrgt9579tn", id="limits"
        ),
        pytest.param(changed("serving", cache=spec.Cache()), "hnrffvf4z6", id="cache"),
        pytest.param(changed("serving", fallback=spec.Fallback()), "krt9f44fhr", id="no fallback, said out loud"),
        pytest.param(
            changed("serving", fallback=spec.Fallback(mode=spec.FallbackMode.STATIC)), "p4pg46w4f7", id="fallback"
        ),
        pytest.param(
            changed("serving", version_pinning=spec.VersionPinning.ANSWER), "krt9f44fhr", id="pinning, as it is"
        ),
        pytest.param(changed("serving", image="registry/own@sha256:ab"), "d5tzgwxg4d", id="image"),
        pytest.param(
            changed("serving", node_selector={}, tolerations=(), pod_labels={}), "krt9f44fhr", id="placed nowhere"
        ),
        pytest.param(changed("serving", node_selector={"disk": "ssd", "arch": "arm64"}), "v82w7twgx8", id="node"),
        pytest.param(
            changed("serving", tolerations=(placement.Toleration(key="gpu"),), priority_class_name="high"),
            "t2gdh77ph4",
            id="tolerations and priority",
        ),
        pytest.param(changed("serving", affinity=None, env=()), "krt9f44fhr", id="neither affinity nor variables"),
        pytest.param(changed("serving", affinity=placed.AFFINITY), "mdhlb25lkl", id="affinity"),
        pytest.param(
            changed("serving", env=(placement.Variable(name="OMP_NUM_THREADS", value="2"),)),
            "j7rx7dct2p",
            id="variables",
        ),
        pytest.param(
            changed(
                "serving",
                resources=spec.Resources(limits=spec.ResourceList(memory="1Gi", ephemeral_storage="4Gi")),
            ),
            "94p2pzc7hx",
            id="disk",
        ),
    ],
)
def test_the_name_of_a_content_is_pinned(wish, name):
    """A failure here means that an upgrade of the operator would roll out every model anew: don't change the names."""
    assert wanted(wish).revision == name


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("model", {"sha256": "0" * 64}),
        ("model", {"version": "8"}),
        ("model", {"name": "fraud"}),
        ("quantization", {"min_speedup": Ratio.parse("20%")}),
        ("quantization", {"on_failure": spec.QuantizationFailure.REJECT}),
        ("serving", {"resources": spec.Resources(requests=spec.ResourceList(cpu="1"))}),
        ("serving", {"limits": spec.Limits(max_queue_rows=1)}),
        ("serving", {"cache": spec.Cache()}),
        ("serving", {"fallback": spec.Fallback(mode=spec.FallbackMode.STATIC)}),
        ("serving", {"version_pinning": spec.VersionPinning.REJECT}),
        ("serving", {"image": "other:1"}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else value,
)
def test_what_decides_the_pods_makes_another_revision(part, changes):
    assert wanted(changed(part, **changes)).revision != wanted(spec.Spec(model=MODEL)).revision


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param(changed("model", uri="https://elsewhere/7.onnx"), id="uri"),
        pytest.param(spec.Spec(model=MODEL, replicas=9), id="replicas"),
        pytest.param(changed("rollout", soak=Duration.parse("1h")), id="rollout"),
        pytest.param(changed("analysis", interval=Duration.parse("5s")), id="analysis"),
        pytest.param(changed("trial", timeout=Duration.parse("1h")), id="trial"),
        pytest.param(spec.Spec(model=MODEL, revision_history_limit=1), id="history"),
    ],
)
def test_what_does_not_decide_the_pods_is_not_part_of_it(wish):
    assert wanted(wish) == wanted(spec.Spec(model=MODEL))


@given(st.text(min_size=1, max_size=40))
def test_a_name_is_ten_safe_characters(image):
    name = wanted(changed("serving", image=image)).revision
    assert len(name) == revision.LENGTH
    assert set(name) <= set(revision.ALPHABET)


def test_an_upgrade_of_the_operator_changes_nothing_by_itself():
    old = wanted(spec.Spec(model=MODEL))
    assert wanted(spec.Spec(model=MODEL), image="seatrial.dev/serving:2", known=(recorded(old, 1),)) == old


def test_new_content_takes_the_operators_image():
    old = recorded(wanted(spec.Spec(model=MODEL)), 1)
    new = wanted(changed("model", version="8"), image="seatrial.dev/serving:2", known=(old,))
    assert new.image == "seatrial.dev/serving:2"


def test_an_explicit_image_wins_over_the_one_on_record():
    old = recorded(wanted(spec.Spec(model=MODEL)), 1)
    assert wanted(changed("serving", image="mine:3"), known=(old,)).image == "mine:3"


def test_going_back_to_an_older_revision_finds_its_image():
    first = recorded(wanted(spec.Spec(model=MODEL), image="serving:1"), 1)
    second = recorded(wanted(changed("model", version="8"), image="serving:2"), 2)
    assert wanted(spec.Spec(model=MODEL), image="serving:3", known=(second, first)) == first.content


def test_of_two_images_of_one_content_the_newest_counts():
    first = recorded(wanted(spec.Spec(model=MODEL), image="serving:1"), 1)
    second = recorded(wanted(spec.Spec(model=MODEL), image="serving:2"), 2)
    assert wanted(spec.Spec(model=MODEL), image="serving:3", known=(second, first)) == second.content


def test_a_record_is_read_back_as_it_was_written():
    record = build.record("7")
    wants_seven = msgspec.structs.replace(build.snapshot(build.spec("7")), wanted=record, records={})
    raw = msgspec.json.decode(
        msgspec.json.encode(next(iter(children.records.noted(wants_seven, Status(), record.revision))))
    )
    assert reading.record(raw) == record
