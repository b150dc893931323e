"""The HTTP and gRPC clients that people use, each as a way to GET the model and to POST bodies one after the other.

Every way does the same on one client of its library, so that connections are kept, and gives the answers in order. The
table of the reference page is made from this list.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import httpx
import msgspec
import requests
from google.protobuf import json_format
from tests.contract.server.process import DEADLINE, Server

from seatrial_server.protocol.rpc import messages

PROGRAMS = Path(__file__).with_name("programs")
MODEL = "/v2/models/model"
SECONDS = 420  # the first time Go compiles its library, which takes minutes on a busy machine
Answer = tuple[int, str]


class Target(msgspec.Struct, frozen=True):
    """Where to call; `authority` is the file to trust where the server speaks TLS."""

    server: Server
    folder: Path
    authority: Path | None = None

    @property
    def url(self) -> str:
        return self.server.url if self.authority is None else self.server.url.replace("http:", "https:")

    def bodies(self) -> list[bytes]:
        return [file.read_bytes() for file in sorted(self.folder.iterdir())]


class Client(msgspec.Struct, frozen=True):
    """`tried` is the version that the table names."""

    tried: str
    how: str
    ask: Callable[[Target], list[Answer]]


class MissingProgram(Exception):
    """Says how to install it."""


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingProgram(f"{name} is missing, a client that is tried: apt-get install -y {package}")
    return found


def _lines(command: list[str], **environment: str) -> list[Answer]:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = [line.partition(" ") for line in done.stdout.splitlines()]
    return [(int(status), body) for status, _, body in answers]


def _jdk(version: str) -> Callable[[Target], list[Answer]]:
    def ask(target: Target) -> list[Answer]:
        java = _program("java", "openjdk-17-jdk-headless")
        trusted = [] if target.authority is None else [str(target.authority)]
        return _lines([java, str(PROGRAMS / "Client.java"), target.url, str(target.folder), version, *trusted])

    return ask


def _go(target: Target) -> list[Answer]:
    go = _program("go", "golang-go")
    trusted = [] if target.authority is None else [str(target.authority)]
    command = [go, "run", str(PROGRAMS / "client.go"), target.url, str(target.folder), *trusted]
    return _lines(command, GO111MODULE="off", GOTOOLCHAIN="local")


def _node(target: Target) -> list[Answer]:
    node = _program("node", "nodejs")
    trusted = {} if target.authority is None else {"NODE_EXTRA_CA_CERTS": str(target.authority)}
    return _lines([node, str(PROGRAMS / "client.mjs"), target.url, str(target.folder)], **trusted)


def _curl(version: str) -> Callable[[Target], list[Answer]]:
    def ask(target: Target) -> list[Answer]:
        curl = _program("curl", "curl")
        trusted = [] if target.authority is None else ["--cacert", str(target.authority)]
        common = [curl, "-sS", version, *trusted, "--max-time", "20", "-w", "\n%{http_code}\n"]
        command = [*common, f"{target.url}{MODEL}"]
        for file in sorted(target.folder.iterdir()):
            command += ["--next", *common[1:], "-H", "Content-Type: application/json"]
            command += ["--data-binary", f"@{file}", f"{target.url}{MODEL}/infer"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        return [(int(status), body) for body, status in zip(lines[::2], lines[1::2], strict=True)]

    return ask


def _requests(target: Target) -> list[Answer]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(target.authority or True)
        answers = [session.get(target.url + MODEL, timeout=DEADLINE)]
        for body in target.bodies():
            answers.append(session.post(f"{target.url}{MODEL}/infer", data=body, timeout=DEADLINE))
        return [(answer.status_code, answer.text) for answer in answers]


def _httpx(target: Target) -> list[Answer]:
    with httpx.Client(http2=True, verify=_context(target), timeout=DEADLINE, trust_env=False) as client:
        answers = [client.get(target.url + MODEL)]
        answers += [client.post(f"{target.url}{MODEL}/infer", content=body) for body in target.bodies()]
        return [(answer.status_code, answer.text) for answer in answers]


def _aiohttp(target: Target) -> list[Answer]:
    async def ask() -> list[Answer]:
        answers = []
        connector = aiohttp.TCPConnector(ssl=_context(target))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(target.url + MODEL) as answer:
                answers.append((answer.status, await answer.text()))
            for body in target.bodies():
                async with session.post(f"{target.url}{MODEL}/infer", data=body) as answer:
                    answers.append((answer.status, await answer.text()))
        return answers

    return asyncio.run(ask())


def _grpcio(target: Target) -> list[Answer]:
    """The bodies as messages, the answers as the same JSON."""
    known = messages.Messages()
    if target.authority is None:
        channel = grpc.insecure_channel(target.server.grpc)
    else:
        trusted = grpc.ssl_channel_credentials(target.authority.read_bytes())
        channel = grpc.secure_channel(target.server.grpc, trusted)
    with channel:

        def call(name: str, content: dict[str, Any]) -> Answer:
            message = json_format.ParseDict(content, known.request[name](), ignore_unknown_fields=True)
            method = channel.unary_unary(
                f"/{messages.SERVICE}/{name}",
                request_serializer=lambda one: one.SerializeToString(),
                response_deserializer=known.response[name].FromString,
            )
            try:
                answer = method(message, timeout=DEADLINE)
            except grpc.RpcError as error:
                return {grpc.StatusCode.INVALID_ARGUMENT: 400}[error.code()], msgspec.json.encode(
                    {"error": error.details(), "code": ""}
                ).decode()
            return 200, _as_json(answer)

        return [
            call("ModelMetadata", {"name": "model"}),
            *(call("ModelInfer", _typed(body)) for body in target.bodies()),
        ]


def _typed(body: bytes) -> dict[str, Any]:
    document = msgspec.json.decode(body)
    inputs = [
        {**{key: tensor[key] for key in ("name", "shape", "datatype")}, "contents": {"fp32_contents": tensor["data"]}}
        for tensor in document["inputs"]
    ]
    return {"model_name": "model", "inputs": inputs}


def _as_json(answer: Any) -> str:
    document = json_format.MessageToDict(answer, preserving_proto_field_name=True)
    for output, raw in zip(document.get("outputs", []), getattr(answer, "raw_output_contents", []), strict=False):
        output["data"] = memoryview(raw).cast("f").tolist()
    return msgspec.json.encode(document).decode()


def _context(target: Target) -> ssl.SSLContext | bool:
    return True if target.authority is None else ssl.create_default_context(cafile=str(target.authority))


def _library(name: str) -> str:
    return metadata.version(name)


CLIENTS = {
    "JDK HttpClient": Client("17", "HTTP_2, the default: offers h2c, over TLS h2", _jdk("HTTP_2")),
    "JDK HttpClient, HTTP/1.1": Client("17", "HTTP_1_1", _jdk("HTTP_1_1")),
    "Go net/http": Client("1.26", "DefaultTransport", _go),
    "Node fetch": Client("20", "undici, as built in", _node),
    "curl --http1.1": Client("7.88", "kept alive", _curl("--http1.1")),
    "curl --http2": Client("7.88", "offers h2c, over TLS h2", _curl("--http2")),
    "requests": Client(_library("requests"), "a session", _requests),
    "httpx": Client(_library("httpx"), "http2=True", _httpx),
    "aiohttp": Client(_library("aiohttp"), "a session", _aiohttp),
    "grpcio": Client(_library("grpcio"), "typed contents; health and reflection by their own clients", _grpcio),
}
SENDS = ("a row", "another row", "a third row", "a mistake", "300 KB", "a row again")
"""What each client sends after it has asked for the model's metadata, in order."""


def table() -> str:
    """Of the reference page."""
    rows = [f"| {name} | {one.tried} | {one.how} | yes | yes |" for name, one in CLIENTS.items()]
    head = ["| client | tried with | how | plain | TLS |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])
