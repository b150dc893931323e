"""`kubectl seatrial dashboard` against a real API server, looked at with a real browser."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from tests.contract import browser as browsers
from tests.contract import plugin_api
from tests.contract.plugin_api import NAMESPACE, READ, Api
from tests.unit.plugin import recorded

pytestmark = pytest.mark.apiserver

CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with plugin_api.running(tmp_path_factory.mktemp("kubeconfigs")) as api:
        yield api


@pytest.fixture(scope="module")
def link(api: Api) -> Iterator[str]:
    """Of a dashboard that may only look."""
    with plugin_api.dashboard(api.account("viewer", *READ, CONFIG_MAPS)) as link:
        yield link


@pytest.fixture(scope="module")
def browser() -> Iterator[browsers.Browser]:
    with browsers.opened() as browser:
        yield browser


def card(name: str) -> str:
    """The text of one deployment's card, as a script."""
    return f"return document.querySelector('article[data-name=\"{name}\"]')?.innerText || ''"


def says(name: str, words: str) -> str:
    """Whether that text has these words, as a script."""
    return f"return ({card(name).removeprefix('return ')}).includes({json.dumps(words)})"


def test_every_situation_has_a_card_with_its_sentence(api: Api, link: str, browser: browsers.Browser) -> None:
    browser.open(link)
    names = [situation.replace(" ", "-") for situation in recorded.SITUATIONS]
    for name in names:
        browser.until(says(name, "Ready="), what=f"the card of {name}")
    shown = {name: browser.run(card(name)) for name in names}
    assert [name for name, text in shown.items() if "Ready=" not in text] == []
    for situation, name in zip(recorded.SITUATIONS, names, strict=True):
        message = recorded.seen(api.worlds[situation]).message
        assert " ".join(message.split()) in " ".join(shown[name].split()), name


def test_a_canary_shows_stages_shares_and_evidence_and_changes_as_it_does(
    api: Api, link: str, browser: browsers.Browser
) -> None:
    api.put("on trial", "live")
    browser.open(link)
    browser.until(says("live", "Trial"), what="the trial")
    world = recorded.SITUATIONS["canary"]()
    for _ in range(3):
        world.step()
        api.tell("live", recorded.raw(world)["status"])
    for words in ("10% asked", "% seen (", "errors"):
        browser.until(says("live", words), what=f"the canary, {words}")
    now = "return document.querySelector('article[data-name=live] li[data-state=now]').innerText"
    assert browser.run(now) == "10%"
    canvases = "return document.querySelectorAll('article[data-name=live] canvas').length"
    browser.until(f"{canvases} === 2", what="pictures of shares and of evidence")
    rolled_back = api.worlds["rolled back"]
    assert rolled_back.evidence is not None
    kept = {
        **rolled_back.evidence,
        "metadata": {"name": rolled_back.evidence["metadata"]["name"].replace("churn", "live")},
    }
    api.server.kubectl("apply", "-n", NAMESPACE, "-f", "-", input=json.dumps(kept))
    api.server.kubectl("delete", "mdeploy", "live", "-n", NAMESPACE)
    browser.until("return !document.querySelector('article[data-name=live]')", what="the card gone")
    api.put("rolled back", "live")
    browser.until(says("live", "evidence of the last rollback"), what="the kept evidence")
    assert "Rejected version 2, ErrorsRegressed" in browser.run(card("live"))


def test_text_of_the_cluster_is_never_markup(api: Api, link: str, browser: browsers.Browser) -> None:
    api.put("stable", "hostile")
    status = recorded.raw(api.worlds["stable"])["status"]
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    status["conditions"] = [{**one, "message": hostile} for one in status["conditions"]]
    api.tell("hostile", status)
    browser.open(link)
    browser.until(says("hostile", "<script>"), what="the text as it is")
    assert browser.run("return document.title") == "Seatrial"


def get(
    link: str, path: str | None = None, *, method: str = "GET", host: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, path or parts.path, headers={"Host": host or parts.netloc})
        answer = connection.getresponse()
        return answer.status, answer.read(), {key.lower(): value for key, value in answer.getheaders()}
    finally:
        connection.close()


def test_nothing_is_answered_without_the_token(link: str) -> None:
    token = urlsplit(link).path
    for path in ("/", "/events", "/wrong/", f"{token[:-2]}x/", "/wrong/events", "/board.js", "/%2e%2e/"):
        status, body, _ = get(link, path)
        assert (status, b"uPlot" in body) == (403, False), path
    assert get(link)[0] == 200
    assert get(link, f"{token}../../etc/passwd")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "10.0.0.1", "[::ffff:10.0.0.1]", ""])
def test_a_foreign_name_does_not_lead_here(link: str, host: str) -> None:
    assert get(link, host=host or " ")[0] in (400, 403)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(link: str, method: str) -> None:
    assert get(link, method=method)[0] == 501


def test_no_other_address_listens(link: str) -> None:
    port = urlsplit(link).port
    assert port is not None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_the_page_may_load_nothing_from_elsewhere(link: str, browser: browsers.Browser) -> None:
    headers = get(link)[2]
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["referrer-policy"] == "no-referrer"
    browser.open(link)
    browser.until("return document.querySelector('article') !== null", what="a card")
    loaded = "performance.getEntriesByType('resource').map(one => one.name)"
    elsewhere = f"return {loaded}.filter(one => !one.startsWith(location.origin))"
    assert browser.run(elsewhere) == []


def test_a_namespace_that_may_not_be_looked_at_is_said_before_there_is_a_page(api: Api) -> None:
    page = plugin_api.process(api.account("outsider"), "dashboard")
    said, _ = page.communicate(timeout=60)
    assert (page.returncode, said) == (3, "")


def test_a_port_in_use_is_said(api: Api) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = plugin_api.run(api.kubeconfig("port"))("dashboard", "--port", port)
    assert result.exit_code == 3
    assert f"port {port} of 127.0.0.1 can't be used" in result.output


def test_the_page_says_when_the_cluster_has_gone_and_when_it_is_back(
    api: Api, link: str, browser: browsers.Browser
) -> None:
    browser.open(link)
    browser.until("return document.querySelector('article') !== null", what="a card")
    trouble = "return document.getElementById('trouble').innerText"
    api.server.server.stop()
    try:
        browser.until(f"{trouble}.includes('no API server answers')", what="the trouble")
    finally:
        api.server.server.start()
    browser.until(f"{trouble} === ''", what="the end of the trouble")


def test_ending_it_ends_it_though_a_page_is_open(api: Api) -> None:
    with plugin_api.process(api.kubeconfig("ended"), "dashboard") as page:
        assert page.stdout is not None
        link = page.stdout.readline().strip()
        parts = urlsplit(link)
        with socket.create_connection(("127.0.0.1", parts.port or 0), timeout=30) as stream:
            stream.sendall(f"GET {parts.path}events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            assert b"200 OK" in stream.recv(1000)
            page.terminate()
            assert page.wait(60) == 0
