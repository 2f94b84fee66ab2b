"""The table of addresses as a page to read: ``python -m soundlasso.bridge.osc.reference`` prints it."""

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


def main() -> None:
    """Print the page."""
    print(as_markdown(), end="")


if __name__ == "__main__":
    main()
