"""Settings that change while the server runs."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec
import pytest

from seatrial_server.host import live


class Colour(msgspec.Struct, frozen=True):
    name: str = "grey"


def followed() -> tuple[live.Live, list[str]]:
    """Live settings with one part, and what it was told."""
    told: list[str] = []
    settings = live.Live()
    settings.on("colour", Colour, lambda one: told.append(one.name))
    return settings, told


def test_a_part_is_told_what_holds_first_and_then_only_what_is_new() -> None:
    settings, told = followed()
    for content in (b"", b"{}", b'{"colour": {"name": "red"}}', b'{"colour": {"name": "red"}, "more": 1}', b"{}", b""):
        settings.take(content)
    assert told == ["grey", "red", "grey"]


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"\xff", b'{"colour": 3}', b'{"colour": {"name": 7}}', b" " * (live.MAX_BYTES + 1), b"[" * 9999],
)
def test_what_cannot_be_read_changes_nothing(content: bytes) -> None:
    settings, told = followed()
    settings.take(b'{"colour": {"name": "red"}}')
    settings.take(content)
    assert told == ["red"]


def test_a_part_that_is_wrong_leaves_the_others_alone() -> None:
    settings, told = followed()
    sizes: list[str] = []
    settings.on("size", Colour, lambda one: sizes.append(one.name))
    settings.take(b'{"colour": {"name": 7}, "size": {"name": "big"}}')
    assert (told, sizes) == ([], ["big"])


def test_parts_of_a_later_release_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    settings, _ = followed()
    with caplog.at_level(logging.INFO):
        for content in (b'{"smell": {}}', b'{"smell": {"x": 1}}', b'{"smell": {}, "taste": {}}'):
            settings.take(content)
    assert len(caplog.records) == 2


async def test_a_file_that_the_kubelet_swaps_is_followed(tmp_path: Path) -> None:
    """A mounted ConfigMap is a link to a folder that is replaced by another one."""
    settings, told = live.Live(), asyncio.Queue[str]()
    settings.on("colour", Colour, lambda one: told.put_nowait(one.name))
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "monitoring.json").write_text(f'{{"colour": {{"name": "red{version}"}}}}')
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "monitoring.json").symlink_to("..data/monitoring.json")
    task = asyncio.create_task(settings.watch(tmp_path / "monitoring.json"))
    try:
        async with asyncio.timeout(60):
            assert await told.get() == "red1"
            (tmp_path / "new").symlink_to("2")
            os.replace(tmp_path / "new", tmp_path / "..data")
            assert await told.get() == "red2"
    finally:
        task.cancel()
