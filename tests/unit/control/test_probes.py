"""What kubelet and Prometheus get to see."""

from __future__ import annotations

import aiohttp
from tests.cluster.harness import ports

from seatrial.control import probes


async def test_probes_and_metrics_answer_on_their_ports_and_a_problem_is_said() -> None:
    wrong = ""
    probe_port, metrics_port = ports.free_port(), ports.free_port()

    async def ask(port: int, path: str) -> tuple[int, str]:
        async with client.get(f"http://127.0.0.1:{port}{path}") as response:
            return response.status, await response.text()

    async with (
        probes.serving(
            healthy=lambda: wrong,
            ready=lambda: "",
            metrics=lambda: b"seatrial_leader 1.0\n",
            probe_port=probe_port,
            metrics_port=metrics_port,
        ),
        aiohttp.ClientSession() as client,
    ):
        assert await ask(probe_port, "/healthz") == (200, "ok\n")
        assert await ask(probe_port, "/readyz") == (200, "ok\n")
        assert await ask(metrics_port, "/metrics") == (200, "seatrial_leader 1.0\n")
        assert (await ask(metrics_port, "/healthz"))[0] == 404
        wrong = "the last resync was 1801 s ago"
        assert await ask(probe_port, "/healthz") == (503, "the last resync was 1801 s ago\n")
        assert (await ask(probe_port, "/readyz"))[0] == 200
