"""`python -m tests.bench [NAME]`: one benchmark, or all. Each is a module here with a click command `command`."""

import importlib

import click

BENCHES = (
    *("detection", "drift-look", "labels", "lanes", "look", "overload", "quality", "quantization"),
    *("rollbacks", "serving", "steps"),
)
LONG = (
    "deaths",
    "drift",
    "histories",
    "images",
    "memory",
    "passages",
    "peers",
    "pythons",
    "relay",
    "relay-sequences",
    "rollouts",
    "scale",
    "trials",
    "weights",
)
"""Ten minutes and more: only by name."""


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure what the project promises. Without a name: everything but the long ones."""
    if context.invoked_subcommand is None:
        for bench in BENCHES:
            context.invoke(main.commands[bench])


for name in (*BENCHES, *LONG):
    main.add_command(importlib.import_module(f"tests.bench.{name.replace('-', '_')}").command, name)

if __name__ == "__main__":
    main()
