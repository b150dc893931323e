"""The relay of a real pod: the file that the kubelet would write, and what can happen to the candidate's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.harness import ports
from tests.contract.server import prepared, process, raw
from tests.contract.server.pair import CANDIDATE, STABLE, assignment
from tests.contract.server.talking import Client, body, until
from tests.unit.server import graphs

from seatrial_server.observe import relayed
from seatrial_server.protocol.http import listener

LAG = listener.Ages().keep_accepting
"""Seconds for which a pod that is told to go takes new connections, within which its relays must have heard of it."""
PATIENT = f"""
from seatrial_server import __main__
from seatrial_server.relay import introduction
introduction._CONNECT_SECONDS = {process.DEADLINE}
__main__.main()
"""
"""The server, for which a new connection may take its time: a busy machine makes no stranger of a candidate."""


class Volume:
    """A downward API volume: the file is a link through `..data`, which is moved."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self.file = folder / "relay"
        folder.mkdir()
        self.write(b"")
        self.file.symlink_to("..data/relay")

    def write(self, text: bytes) -> None:
        self._count += 1
        version = self._folder / f"..{self._count}"
        version.mkdir()
        (version / "relay").write_bytes(text)
        (self._folder / "..next").symlink_to(version.name)
        os.replace(self._folder / "..next", self._folder / "..data")


class Pods:
    """Both processes; `failures` and `revisions` are what the clients saw, `covered` when they saw such answers."""

    def __init__(self, stable: process.Server, candidate: process.Server, volume: Volume) -> None:
        self.stable, self.candidate, self.volume = stable, candidate, volume
        self.failures: list[str] = []
        self.revisions: list[str] = []
        self.covered: list[float] = []
        self._stop = False

    def assign(self, **fields: Any) -> None:
        self.volume.write(assignment(**fields))

    async def use(self) -> None:
        """One client, until the end of `used`."""
        client = await Client.connect(self.stable.port)
        while not self._stop:
            reply = await client.ask(raw.post(body(2)))
            if reply.status == 200:
                self.revisions.append(reply.who)
                self.covered += [time.monotonic()] if reply.covered is not None else []
            else:
                self.failures.append(f"{reply.status} {reply.content!r}")
            await asyncio.sleep(0.002)
        client.close()

    @contextlib.asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        clients = [asyncio.create_task(self.use()) for _ in range(4)]
        yield
        self._stop = True
        await asyncio.gather(*clients)

    async def seen(self, revision: str, *, more: int = 20) -> float:
        """Wait until so many more answers came from there; returns the seconds."""
        started, wanted = time.monotonic(), self.revisions.count(revision) + more
        await until(lambda: self.revisions.count(revision) >= wanted)
        return time.monotonic() - started


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    with both_running(tmp_path) as both:
        yield both


@contextlib.contextmanager
def both_running(folder: Path) -> Iterator[Pods]:
    """Both, until the block ends."""
    volume, chosen = Volume(folder / "volume"), ports.free(3)
    with contextlib.ExitStack() as stack:
        stable, candidate = (
            stack.enter_context(_serving(folder / revision, revision, address, chosen, volume.file))
            for revision, address in (("stable", STABLE), ("candidate", CANDIDATE))
        )
        yield Pods(stable, candidate, volume)


@contextlib.contextmanager
def _serving(
    folder: Path, revision: str, address: str, ports: tuple[int, int, int], file: Path
) -> Iterator[process.Server]:
    settings: dict[str, Any] = {"relay": {"file": str(file)}} if revision == "stable" else {}
    settings["limits"] = {"timeoutSeconds": process.DEADLINE}  # nobody is late unless a test asks for it
    folder.mkdir()
    arguments = prepared.pod(folder, graphs.linear(1), revision=revision, **settings)
    command = [sys.executable, "-c", PATIENT, "serve", *map(str, arguments), "--host", address]
    command += [f"--{name}={port}" for name, port in zip(("port", "grpc-port", "metrics-port"), ports, strict=True)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "SEATRIAL_TERMINATION_LOG": "/dev/null"}
    with tempfile.NamedTemporaryFile() as output:
        running = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            log = Path(output.name)
            process.started(running, log)
            yield process.Server(running, log, *ports)
        finally:
            running.kill()
            running.wait()


async def test_a_pod_follows_the_volume_within_a_second_and_says_so(pods: Pods) -> None:
    taken: list[float] = []
    async with pods.used():
        await pods.seen("stable")
        for revision, ratio in (("candidate", 1), ("stable", 0)) * 3:
            pods.volume.write(assignment(weight=100) if ratio else b"")
            taken.append(await pods.seen(revision, more=1))
            await until(lambda ratio=ratio: pods.stable.metric("seatrial_relay_ratio", candidate="candidate") == ratio)  # type: ignore[misc]
        pods.volume.write(b"{}")
        await until(lambda: pods.stable.metric("seatrial_relay_refused_assignments_total") == 1)
        await pods.seen("stable")
    assert statistics.median(taken) < 1, "a busy machine hides once or twice how long it takes"
    assert pods.failures == []
    assert pods.stable.log.read_text().count("assignment not followed") == 1


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_candidate_that_goes_or_hangs_costs_no_answer(pods: Pods, what: signal.Signals) -> None:
    pods.assign(weight=50, coverAfter=0.2)
    async with pods.used():
        await pods.seen("candidate")
        pods.candidate.process.send_signal(what)
        await pods.seen("stable", more=300)
        assert len(pods.covered) > 5
    assert pods.failures == []
    outcomes = {
        outcome: pods.stable.metric("seatrial_relayed_requests_total", outcome=outcome, covered="true")
        for outcome in relayed.OUTCOMES
    }
    assert sum(outcomes.values()) == len(pods.covered)
    assert outcomes["unreachable"] + outcomes["late"] > 0


async def test_a_candidate_that_is_told_to_go_answers_what_it_has_taken(pods: Pods) -> None:
    pods.assign(weight=50)
    async with pods.used():
        await pods.seen("candidate")
        told = time.monotonic()
        pods.candidate.terminate()
        wanted = pods.revisions.count("candidate") + 20
        await until(lambda: pods.revisions.count("candidate") >= wanted or time.monotonic() > told + LAG)
        pods.volume.write(b"")  # it is no longer Ready, and the operator has seen it
        await until(lambda: pods.stable.metric("seatrial_relay_ratio", candidate="candidate") == 0)
        in_time = time.monotonic() < told + LAG
        await until(lambda: pods.candidate.process.poll() is not None)
    assert pods.failures == []
    assert not pods.covered or not in_time
    assert all(at > told + LAG for at in pods.covered), "where this machine was too slow to tell stable in time"
