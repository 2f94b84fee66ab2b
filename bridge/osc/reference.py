"""The table of addresses as a page to read: ``python -m soundlasso.bridge.osc.reference`` prints it.

It stands in README.md beside this file.
"""

from soundlasso.bridge.osc.row import Access, Row
from soundlasso.bridge.osc.table import ROWS

_ACCESS = {Access.SENT: "sent", Access.READ: "get", Access.WRITE: "call", Access.BOTH: "get, set"}


def as_markdown() -> str:
    """Return the table as Markdown, one line for each address."""
    lines = ["| address | arguments | | what it is |", "|---|---|---|---|"]
    return "\n".join([*lines, *(_line(row) for row in ROWS)]) + "\n"


def _line(row: Row) -> str:
    access = "trigger" if row.is_trigger else _ACCESS[row.access]
    cells = (f"`{row.address}`", ", ".join(_argument(row, i) for i in range(len(row.args))), access, row.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _argument(row: Row, index: int) -> str:
    """Describe an argument as `f` -60..12 dB, in brackets when it may be left out."""
    arg = row.args[index]
    name = arg.name if len(row.args) > 1 or not row.key else ""
    text = " ".join(part for part in (f"`{arg.tag}`", name, arg.range_text, arg.unit) if part)
    return f"[{text}]" if arg.optional else text


INTRODUCTION = """\
# The OSC addresses of `soundlasso serve`

Made by `python -m soundlasso.bridge.osc.reference`. Without an argument, an address that can be read answers
with its value; with one, it sets it and answers `/lasso/done`. `{slot}` is a number from 1, and may be the
first argument instead: `/lasso/slot/gain 2 -3`. Patterns (`/lasso/slot/*/mute`) work. An argument in brackets
may be left out; `*` is any number of arguments. While the live mix has a chain, each of its parameters has an
address of its own, such as `/lasso/chain/1/param/room_size`, with `/norm` and `/str`.

"""


def page() -> str:
    """Return the whole page."""
    return INTRODUCTION + as_markdown()


def main() -> None:
    """Print the page."""
    print(page(), end="")


if __name__ == "__main__":
    main()
