"""`soundlasso daw`: files that connect a DAW or a music language with soundlasso."""

from pathlib import Path
from typing import Annotated

import typer

FAILURE = 1

app = typer.Typer(help="Write the files for REAPER, Ardour, Bitwig and others.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the DAWs there are files for, and how these were tried out."""
    from soundlasso.bridge.daw.kits import KITS

    for kit in KITS:
        typer.echo(f"{kit.name}\t{kit.title} ({kit.checked})")


@app.command()
def install(
    kit: Annotated[str, typer.Argument(metavar="DAW", help="A name that daw list gives.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made if needed.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of soundlasso serve.")] = 17770,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the files to come, write none.")] = False,
) -> None:
    """Write the files for a DAW into a folder; README.md among them says where that should be."""
    from soundlasso.bridge.daw.kits import check_free, find_kit, install_kit, plan_kit

    found = find_kit(kit)
    if dry_run:
        planned = plan_kit(found, folder, port)
        check_free(planned, overwrite)
        paths = [file.path for file in planned]
    else:
        paths = install_kit(found, folder, port, overwrite=overwrite)
    typer.echo("\n".join(map(str, paths)))


@app.command()
def run(
    request: Annotated[Path, typer.Argument(help="The file that a script wrote.", dir_okay=False)],
    model: Annotated[str, typer.Option(help="Model that separates.")] = "lariat",
) -> None:
    """Render what a script asks for in a file; its report lies beside it. For the scripts."""
    from soundlasso.bridge.daw.run import run_request

    if not run_request(request, model):
        raise typer.Exit(FAILURE)
