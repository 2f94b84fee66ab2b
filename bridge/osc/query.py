"""What can be a query, told to the client at once, not by the player or worker that would refuse it."""

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.state import listed
from soundlasso.dsp.errors import QueryError
from soundlasso.models import query


def check_query(text: str) -> None:
    """Refuse a text that cannot be a query; an empty one stands for none.

    Raises
    ------
    OscError
        With code ``too_large`` or ``bad_args``.
    """
    if not text:
        return
    try:
        query.check_query(text)
    except QueryError as error:
        is_long = len(text.strip()) > query.MAX_QUERY_CHARACTERS
        raise OscError("too_large" if is_long else "bad_args", str(error)) from error


def check_queries(texts: str) -> None:
    """Refuse texts with commas between, one of which cannot be a query.

    Raises
    ------
    OscError
        As `check_query`.
    """
    for text in listed(texts):
        check_query(text)
