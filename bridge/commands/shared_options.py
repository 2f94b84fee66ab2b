"""Options that `live` and `render` have in common."""

from typing import Annotated, TypeAlias

import typer

Avoid: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="A sound that is mistaken for yours; keeps it out of the stems.",
        show_default=False,
    ),
]
Gate: TypeAlias = Annotated[bool, typer.Option(help="Silence a stem while its sound is not there.")]
GateThreshold: TypeAlias = Annotated[
    float,
    typer.Option(min=0, max=1, help="The presence above which that gate opens; lower lets more through."),
]
