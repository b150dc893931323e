"""What the commands take alike: which cluster, which namespace, and in which form they answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec
import rich.console
import yaml
from click.shell_completion import CompletionItem

from seatrial.api import values
from seatrial.plugin import connection, errors

F = TypeVar("F", bound=Callable[..., Any])

_CLUSTER = (
    click.option("-n", "--namespace", metavar="NAME", help="Namespace.  [default: the context's]"),
    click.option("--context", metavar="NAME", help="Context of the kubeconfig.  [default: the current one]"),
    click.option("--kubeconfig", metavar="FILE", help="[default: $KUBECONFIG, else ~/.kube/config]"),
)


def cluster(function: F) -> F:
    """Gives a command `-n`, `--context` and `--kubeconfig`, and in their place a `connected` connection."""

    @functools.wraps(function)
    def connected(*args: Any, namespace: str | None, context: str | None, kubeconfig: str | None, **kwargs: Any) -> Any:
        made = connection.connect(kubeconfig=kubeconfig, context=context, namespace=namespace)
        return function(*args, connected=made, **kwargs)

    for option in reversed(_CLUSTER):
        connected = option(connected)
    return connected  # type: ignore[return-value]  # the options take the place of `connected`


def name(function: F) -> F:
    """The argument NAME, completed with what there is in the namespace."""
    return click.argument("name", shell_complete=names)(function)


def output(function: F) -> F:
    """The option `-o json|yaml`."""
    kinds = click.Choice(["json", "yaml"])
    return click.option("-o", "--output", type=kinds, help="Data for programs, in place of text for people.")(function)


def everywhere(function: F) -> F:
    """The option `-A`."""
    return click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace.")(function)


def names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> Sequence[CompletionItem]:
    """What there is. Nothing where the cluster can't be asked: a completion says no errors."""
    chosen = {key: ctx.params.get(key) for key in ("namespace", "context", "kubeconfig")}
    try:
        found = connection.connect(**chosen).list()
    except errors.PluginError:
        return []
    there = sorted(str(one["metadata"]["name"]) for one in found)
    return [CompletionItem(one) for one in there if one.startswith(incomplete)]


class Parsed(click.ParamType[values.Duration | values.Ratio]):
    """A value as the resource writes it."""

    def __init__(self, kind: type[values.Duration | values.Ratio], name: str) -> None:
        self.kind, self.name = kind, name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> values.Duration | values.Ratio:
        """Refuses with the form that is wanted."""
        if isinstance(value, self.kind):
            return value
        try:
            return self.kind.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Parsed(values.Duration, "duration")
RATIO = Parsed(values.Ratio, "percentage")


def data(value: Any, kind: str) -> str:
    """A value for programs, as JSON or YAML text without a last line break."""
    plain = msgspec.to_builtins(value, enc_hook=values.encode_hook)
    if kind == "yaml":
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).rstrip("\n")
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def console() -> rich.console.Console:
    """Standard output for people. Text of the cluster is shown as it is: brackets in it are no markup."""
    return rich.console.Console(markup=False, highlight=False)
