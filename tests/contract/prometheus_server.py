"""A real Prometheus for a test: with a configuration, or with a past that is written into it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.cluster.harness import beside, binaries, ports, progress, waiting


@contextlib.contextmanager
def running(folder: Path, config: str = "{}", *flags: str) -> Iterator[str]:
    """Runs one, whose data are in the folder; its address."""
    binaries.ensure(binaries.PROMETHEUS, say=progress.silent)
    (folder / "prometheus.yml").write_text(config)
    base = f"127.0.0.1:{ports.free_port()}"
    argv = [
        binaries.PROMETHEUS.path(),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={base}",
        "--log.level=error",
        *flags,
    ]
    with beside.running(argv, what="Prometheus", ready=lambda: waiting.answers(f"http://{base}/-/ready")):
        yield f"http://{base}"


def write_past(folder: Path, lines: Iterable[str]) -> None:
    """Samples with their moments, as OpenMetrics has them, for a Prometheus that is started in the folder."""
    binaries.ensure(binaries.PROMTOOL, say=progress.silent)
    (folder / "metrics.txt").write_text("\n".join([*lines, "# EOF", ""]))
    create = ["tsdb", "create-blocks-from", "openmetrics", str(folder / "metrics.txt"), str(folder / "data")]
    subprocess.run([str(binaries.PROMTOOL.path()), *create], check=True, capture_output=True)
