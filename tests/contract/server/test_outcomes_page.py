"""The programs of docs/how-to/outcomes.md, taken from the page itself, against a real server as a pod has it."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient.http
import yaml
from tests.contract.eventually import eventually
from tests.contract.server import prepared, process
from tests.unit.server import graphs

from seatrial.api import spec, values
from seatrial.rollout import monitoring
from seatrial_server.feedback import tokens

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "outcomes.md"
KEY = b"k" * 32
NEW_KEY = b"n" * 40


def program(name: str) -> dict[str, Any]:
    """What the page's block of this name defines."""
    found = re.search(rf"```python {re.escape(name)}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert found, name
    defined: dict[str, Any] = {}
    exec(compile(found[1], f"{PAGE.name}:{name}", "exec"), defined)
    return defined


def wish() -> spec.Monitoring:
    """The page's first manifest."""
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert found
    document = yaml.safe_load(found[1])["spec"]
    msgspec.convert(document["analysis"], spec.Analysis, dec_hook=values.decode_hook)
    return msgspec.convert(document["monitoring"], spec.Monitoring, dec_hook=values.decode_hook)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "key").write_bytes(KEY)
    (tmp_path / monitoring.FILE).write_text(monitoring.render(wish()))
    return tmp_path


@pytest.fixture
def pod(folder: Path) -> Iterator[process.Server]:
    with process.serving(*arguments(folder)) as server:
        yield server


def arguments(folder: Path, revision: str = "abc", **settings: Any) -> list[str | Path]:
    place = folder / f"pod-{len(list(folder.iterdir()))}"
    place.mkdir()
    files = {"monitoring": {"file": str(folder / monitoring.FILE)}, "feedback": {"keys": str(folder / "keys")}}
    return prepared.pod(place, graphs.linear(), revision=revision, **files, **settings)


def test_the_shops_program_tells_of_its_orders(pod: process.Server) -> None:
    shop, url = program("plain.py"), f"{pod.url}/v2/models/model"
    kept = [shop["recommend"](url, [1.0, 2.0, 3.0, 4.0])[1] for _ in range(3)]
    assert shop["bought"](url, [(kept[0], 20), (kept[1], 5000)]) == []
    [refused] = shop["bought"](url, [(kept[0], 20)])
    assert refused["reason"] == "Duplicate"
    for name, count in (("events", 2), ("value", 1020)):
        total = total_of(pod, f"seatrial_feedback_{name}_total", answered_by="abc")
        assert total == count


def test_tritonclient_reads_the_token(pod: process.Server) -> None:
    shop = program("triton.py")
    client = tritonclient.http.InferenceServerClient(pod.url.removeprefix("http://"))
    scores, token = shop["recommend"](client, "model", np.ones(4, np.float32))
    assert scores.shape[0] == 1
    assert pod.post("/v2/models/model/feedback", {"feedback": [{"token": token, "label": 0}]})[1]["accepted"] == 1
    client.close()


def total_of(pod: process.Server, name: str, **labels: str) -> float:
    status, text = process.request(urllib.request.Request(f"{pod.metrics_url}/metrics"))
    assert status == 200
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    lines = (line for line in text.decode().splitlines() if line.startswith(name + "{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(one in line for one in wanted))


def test_a_pod_that_is_started_again_and_one_of_another_revision_take_the_token(folder: Path) -> None:
    asked = process.tensor([[1.0] * 4])
    with process.serving(*arguments(folder)) as before:
        tokens = [before.infer(asked, parameters={"feedback": True})[1]["parameters"]["feedback"] for _ in range(2)]
    entry = {"label": 0, "events": ["converted"]}
    for revision, token in zip(("abc", "other"), tokens, strict=True):
        with process.serving(*arguments(folder, revision)) as pod:
            status, taken = pod.post("/v2/models/model/feedback", {"feedback": [{"token": token, **entry}]})
            assert (status, taken["accepted"]) == (202, 1)
            assert total_of(pod, "seatrial_feedback_rows_total", answered_by="abc", outcome="right") == 1


async def test_feedback_is_switched_off_and_the_key_renewed_while_the_pod_serves(
    folder: Path, pod: process.Server
) -> None:
    asked = process.tensor([[1.0] * 4])

    def given() -> str:
        return str(pod.infer(asked, parameters={"feedback": True})[1].get("parameters", {}).get("feedback", ""))

    def refused(token: str) -> Callable[[], Any]:
        entry = {"token": token, "label": 0}
        return lambda: pod.post("/v2/models/model/feedback", {"feedback": [entry]})[1].get("refused")

    first, second = given(), given()
    (folder / "keys" / "previous").write_bytes(KEY)
    (folder / "keys" / "key").write_bytes(NEW_KEY)

    renewed = tokens.Signer([NEW_KEY], deployment="shop/churn", revision="abc", nonce=0)

    async def signed_anew() -> bool:
        return renewed.read(given()) is not None and refused(first)() == []

    await eventually(signed_anew, what="the new key")
    (folder / "keys" / "previous").unlink()

    async def forgotten() -> bool:
        found = refused(second)()
        return bool(found) and found[0]["reason"] == "BadToken"

    await eventually(forgotten, what="the old key gone")
    (folder / monitoring.FILE).write_text("{}")

    async def off() -> bool:
        return given() == "" and refused(second)() is None

    await eventually(off, what="feedback off")
    assert json.loads((folder / monitoring.FILE).read_text()) == {}
