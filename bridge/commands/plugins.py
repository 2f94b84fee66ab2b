"""`soundlasso plugins`: which third-party plugins are installed, and what can be set."""

from typing import Annotated

import typer

app = typer.Typer(help="Find third-party plugins and what they can do.", no_args_is_help=True)

Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds a plugin may take to load.")]


@app.command()
def scan() -> None:
    """List the installed plugins; none is loaded."""
    from soundlasso.bridge.hosted_scan import installed_plugins, plugin_name

    for path in installed_plugins():
        typer.echo(f"{plugin_name(path)}\t{path}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name as scan lists it, or path.")], timeout: Timeout = 30.0
) -> None:
    """Load a plugin, in a process of its own, and say what it is."""
    from soundlasso.bridge.hosted import HostedPlugin

    with HostedPlugin(name, timeout_s=timeout) as plugin:
        about = plugin.describe()
        typer.echo(f"{plugin.name} {about['version']} by {about['maker']}")
        typer.echo(f"path: {plugin.path}")
        typer.echo(f"latency: {about['latency']} samples")
        typer.echo(f"parameters: {len(plugin.parameters)}")


@app.command()
def params(
    name: Annotated[str, typer.Argument(help="Name as scan lists it, or path.")], timeout: Timeout = 30.0
) -> None:
    """List a plugin's parameters: name, value, range."""
    from soundlasso.bridge.hosted import HostedPlugin

    with HostedPlugin(name, timeout_s=timeout) as plugin:
        for parameter, text in plugin.describe()["parameters"].items():
            typer.echo(f"{parameter}\t{plugin.parameters[parameter]}\t{text}")
