"""The traffic client and the real server with the demo's models: both mean the same by an answer and by a failure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import sys
import tarfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from tests.cluster.client import rows as client_rows
from tests.cluster.client import settings, traffic
from tests.cluster.client.ledger import Ledger
from tests.cluster.harness import ports
from tests.cluster.models import catalog, rows
from tests.unit.server import prepared

REQUESTS = 300


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("models")
    catalog.build(out, names=["digits-v2", "digits-v3"])
    return out


@contextlib.asynccontextmanager
async def serving(package: pathlib.Path, *, scratch: pathlib.Path) -> AsyncIterator[str]:
    """`seatrial-server serve` of the package's graph; gives the base URL once it is ready. No request is late in it."""
    with tarfile.open(package) as tar:
        tar.extract("model.onnx", scratch, filter="data")
    digest = prepared.write(scratch / "work" / "prepared", (scratch / "model.onnx").read_bytes()).sha256
    model = {"name": "digits", "version": "1", "uri": "pvc://models/model.onnx", "sha256": digest}
    names = {"deployment": "digits", "namespace": "shop", "revision": "abc"}
    config = scratch / "config.json"
    config.write_text(json.dumps({**names, "model": model, "limits": {"timeoutSeconds": 60}}))
    port = ports.free_port()
    command = ["-m", "seatrial_server", "serve", "--config", str(config), "--work", str(scratch / "work")]
    listening = ["--host", "127.0.0.1", "--port", str(port), "--grpc-port", "0", "--metrics-port", "0"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, *listening, env=dict(os.environ), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await ready(url, process)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            assert process.returncode is None, "the server ended"
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{url}/v2/health/ready") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)


async def sent(url: str, *, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The client's books after `enough` and a clean end."""
    chosen = settings.Settings(
        target=url, model="digits", rows="", rate=200.0, connection_seconds=0.5, timeout_seconds=60.0
    )
    data = client_rows.decode(rows.content())
    ledger, stop = Ledger(), asyncio.Event()
    task = asyncio.create_task(traffic.run(chosen, data, ledger=ledger, stop=stop))
    async with asyncio.timeout(120):
        while not enough(ledger.as_dict()):  # noqa: ASYNC110  the ledger is plain counters, it wakes nobody
            await asyncio.sleep(0.02)
    stop.set()
    await task
    return ledger.as_dict()


async def test_every_answer_of_a_healthy_model_is_right_and_mostly_correct(models, tmp_path):
    async with serving(models / "digits-v2.tar.gz", scratch=tmp_path) as url:
        stats = await sent(url, enough=lambda stats: stats["ok"] >= REQUESTS)
    assert stats["ok"] == stats["sent"], stats["reasons"]
    assert stats["correct"] > 0.9 * stats["ok"]


async def test_a_model_that_fails_on_dark_digits_makes_model_errors_and_nothing_else(models, tmp_path):
    async with serving(models / "digits-v3.tar.gz", scratch=tmp_path) as url:
        stats = await sent(url, enough=lambda stats: stats["sent"] >= REQUESTS)
    assert stats["ok"] + stats["model_errors"] == stats["sent"], stats["reasons"]
    assert 0.12 < stats["model_errors"] / stats["sent"] < 0.36
    assert set(stats["versions"]) <= {"1", "unknown"}
