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

STEPS = 7
FILE = paths.REPO / "docs" / "pictures" / "dashboard.png"


def main() -> None:
    """Two deployments: a canary under way, and a rollback with its evidence."""
    with tempfile.TemporaryDirectory() as folder, plugin_api.running(Path(folder)) as api:
        _leave_only_two(api)
        with plugin_api.dashboard(api.kubeconfig("picture")) as link, browsers.opened() as browser:
            browser.open(link)
            browser.until("return document.querySelectorAll('article').length === 2", what="two cards")
            world = recorded.SITUATIONS["canary"]()
            for _ in range(STEPS):
                world.step()
                api.tell("churn", recorded.raw(world)["status"])
            weight = recorded.seen(world).raw["status"]["candidate"]["weight"]
            browser.until(f"return document.body.innerText.includes('{weight}% asked')", what="the last share")
            FILE.parent.mkdir(exist_ok=True)
            browser.picture(FILE)


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
