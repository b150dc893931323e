"""A headless Chromium that a test looks at a page with, by the WebDriver protocol: Debian's packages."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster.harness import debian, ports, progress, waiting

PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver"}
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1000"]


class Browser:
    """One window."""

    def __init__(self, address: str) -> None:
        self._address = address
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": FLAGS}}}}
        self._session = f"{address}/session/{self._call('POST', f'{address}/session', wanted)['sessionId']}"

    def open(self, link: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": link})

    def run(self, script: str) -> Any:
        """What a script on the page returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def until(self, script: str, *, what: str) -> None:
        """Waits until a script returns something true."""
        waiting.until(lambda: bool(self.run(script)), what=what, seconds=60, explain=self.text)

    def text(self) -> str:
        """What a person reads on the page."""
        return str(self.run("return document.body.innerText"))

    def picture(self, file: Path) -> None:
        """What a person sees of it."""
        file.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def close(self) -> None:
        self._call("DELETE", self._session)

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        content = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, method=method, data=content)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """With the packages where they are missing."""
    debian.bring(PACKAGES, say=progress.silent)
    port = ports.free_port()
    command = ["chromedriver", f"--port={port}", "--silent"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        try:
            waiting.until(lambda: waiting.answers(f"http://127.0.0.1:{port}/status"), what="chromedriver", seconds=60)
            browser = Browser(f"http://127.0.0.1:{port}")
            yield browser
            browser.close()
        finally:
            driver.terminate()
