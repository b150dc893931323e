"""Makes the picture of the dashboard for the documents (`python -m tests.contract.dashboard_picture`).

With the statuses of the small world on a real API server, the page in a real browser.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.cluster.harness import paths
from tests.contract import browser as browsers
from tests.contract import plugin_api
from tests.unit.plugin import recorded

FILE = paths.REPO / "docs" / "pictures" / "dashboard.png"


def main() -> None:
    """Two deployments: a canary under way, and a rollback with its evidence."""
    with tempfile.TemporaryDirectory() as folder, plugin_api.running(Path(folder)) as api:
        _leave_only_two(api)
        page = plugin_api.process(api.kubeconfig("picture"), "dashboard")
        with page, browsers.opened() as browser:
            assert page.stdout is not None
            browser.open(page.stdout.readline().strip())
            browser.until("return document.querySelectorAll('article').length === 2", what="two cards")
            world = recorded.SITUATIONS["canary"]()
            world.error_share["2"] = 0.004
            for _ in range(6):
                world.step()
                api.tell("churn", recorded.raw(world)["status"])
            browser.until("return document.body.innerText.includes('step 2')", what="the second step")
            FILE.parent.mkdir(exist_ok=True)
            browser.picture(FILE)
            page.terminate()


def _leave_only_two(api: plugin_api.Api) -> None:
    api.server.kubectl("delete", "mdeploy", "--all", "-n", plugin_api.NAMESPACE)
    evidence = api.worlds["rolled back"].evidence
    assert evidence is not None
    kept = {**evidence, "metadata": {"name": evidence["metadata"]["name"].replace("churn", "fraud")}}
    api.server.kubectl("apply", "-n", plugin_api.NAMESPACE, "-f", "-", input=json.dumps(kept))
    api.put("rolled back", "fraud")
    api.put("canary", "churn")


if __name__ == "__main__":
    main()
