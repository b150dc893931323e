"""`python -m tests.cluster.hammer URL MODEL INPUT`: requests in front of a gateway, each noted by moment and version.

Four clients keep their connection, two open one for each request; each sends some forty requests a second, one after
another, until standard input ends. A gateway takes up its first pods in its own time: the clients begin after the
first good answer, and `begun` is printed. At the end a line of JSON a request: when it began (unix time), and which
version answered, or what came instead. Nothing is sent twice: what is lost shows.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import NamedTuple

KEEPING, OPENING = 4, 2
PAUSE = 0.02
PATIENCE = 90.0  # seconds for the first good answer
BEGUN = "begun"


class Answer(NamedTuple):
    """`who`: a version; or the status, or the failure, of a request without a good answer."""

    at: float
    who: str

    @property
    def good(self) -> bool:
        return not self.who.startswith("!")


class Client:
    """One request after another."""

    def __init__(self, url: str, model: str, tensor: str, *, keeps: bool) -> None:
        place = urllib.parse.urlsplit(url)
        self._address = (place.hostname or "", place.port or 80)
        self._path, self._tensor, self._keeps = f"/v2/models/{model}/infer", tensor, keeps
        self._connection: http.client.HTTPConnection | None = None

    def ask(self) -> Answer:
        at = time.time()
        try:
            return Answer(at, self._answer())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._close()
            return Answer(at, f"! {type(error).__name__}")

    def _answer(self) -> str:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._address, timeout=60)
        values = [round(random.uniform(0, 16), 3) for _ in range(64)]
        tensor = {"name": self._tensor, "datatype": "FP32", "shape": [1, 64], "data": values}
        body = json.dumps({"inputs": [tensor]})
        self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        content = response.read()
        if not self._keeps or response.will_close:
            self._close()
        return str(json.loads(content)["model_version"]) if response.status == 200 else f"! {response.status}"

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def read(text: str) -> Iterator[Answer]:
    """What a run has printed."""
    return (Answer(*json.loads(line)) for line in text.splitlines())


def _until_good(client: Client) -> None:
    end = time.monotonic() + PATIENCE
    while not (answer := client.ask()).good:
        if time.monotonic() > end:
            sys.exit(f"no good answer within {PATIENCE:.0f} s: {answer.who}")
        time.sleep(PAUSE)


def main(url: str, model: str, tensor: str) -> None:
    answers: list[Answer] = []
    over = threading.Event()

    def work(client: Client) -> None:
        while not over.wait(PAUSE):
            answers.append(client.ask())

    clients = [Client(url, model, tensor, keeps=number < KEEPING) for number in range(KEEPING + OPENING)]
    _until_good(clients[0])
    print(BEGUN, flush=True)
    workers = [threading.Thread(target=work, args=(one,)) for one in clients]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    over.set()
    for worker in workers:
        worker.join()
    for one in sorted(answers):
        print(json.dumps(one))


if __name__ == "__main__":
    main(*sys.argv[1:])
