"""The node's own network: a namespace, a pair of virtual interfaces, and two routes on this machine.

    this machine                                node
    198.18.255.1 seatrial0 <------> seatrial1 198.18.255.2 ---> pods 198.18.0.0/17, services 198.19.0.0/16

198.18.0.0/15 is reserved for benchmarks (RFC 2544), so nothing real is shadowed. No forwarding and no firewall rule
of this machine is touched: nothing leaves the node. Routes go with the interface, the interface goes with the
namespace.
"""

from __future__ import annotations

from tests.cluster.harness import errors, paths, shell

HOST = "198.18.255.1"
NODE = "198.18.255.2"
PODS = "198.18.0.0/17"
SERVICES = "198.19.0.0/16"
API_SERVICE = "198.19.0.1"

NAMESPACE = paths.NAME
_OUTSIDE, _INSIDE = "seatrial0", "seatrial1"
_ENTER = ("nsenter", f"--net=/var/run/netns/{NAMESPACE}")


def enter() -> tuple[str, ...]:
    """Prefix of a command that shall run in the node's network."""
    return _ENTER


def create() -> None:
    check_free()
    for command in (
        f"netns add {NAMESPACE}",
        f"link add {_OUTSIDE} type veth peer name {_INSIDE} netns {NAMESPACE}",
        f"addr add {HOST}/24 dev {_OUTSIDE}",
        f"link set {_OUTSIDE} up",
        f"-n {NAMESPACE} addr add {NODE}/24 dev {_INSIDE}",
        f"-n {NAMESPACE} link set {_INSIDE} up",
        f"-n {NAMESPACE} link set lo up",
        f"-n {NAMESPACE} route add default via {HOST}",
        f"route add {PODS} via {NODE}",
        f"route add {SERVICES} via {NODE}",
    ):
        shell.run(["ip", *command.split()])


def check_free() -> None:
    """Refuses when somebody else routes our range already."""
    taken = shell.run(["ip", "route", "show", "root", "198.18.0.0/15"]).strip()
    if taken:
        raise errors.ForeignCluster(
            f"this machine already routes addresses that the test cluster uses:\n{taken}\n"
            "Remove that route, or use your own Docker and kind: make cluster-up CLUSTER=kind"
        )


def delete() -> None:
    """Takes away what is there; nothing to do is fine."""
    if f"{_OUTSIDE}@" in shell.run(["ip", "link", "show", "type", "veth"]):
        shell.run(["ip", "link", "delete", _OUTSIDE])
    if NAMESPACE in shell.run(["ip", "netns", "list"]).split():
        shell.run(["ip", "netns", "delete", NAMESPACE])


def leftovers() -> list[str]:
    """What `delete` should have taken away and is still there."""
    found = []
    if f"{_OUTSIDE}@" in shell.run(["ip", "link", "show", "type", "veth"]):
        found.append(f"interface {_OUTSIDE}")
    if NAMESPACE in shell.run(["ip", "netns", "list"]).split():
        found.append(f"network namespace {NAMESPACE}")
    routes = shell.run(["ip", "route", "show", "root", "198.18.0.0/15"]).splitlines()
    return found + [f"route {route.strip()}" for route in routes]
