"""What can be a query; without torch, so that whoever only checks a text need not load it."""

import unicodedata

from soundlasso.dsp.errors import QueryError

MAX_QUERY_CHARACTERS = 300


def check_query(text: str) -> str:
    """Return `text` trimmed, or raise QueryError if it cannot be a query.

    A query is 1 to 300 characters, at least one of them visible, none a control
    character or half of a surrogate pair.
    """
    if not isinstance(text, str):
        raise QueryError(f"a query is text, not {text!r}")
    query = text.strip()
    categories = [unicodedata.category(character) for character in query]
    if not any(category[0] in "LNPS" for category in categories):
        raise QueryError(f"the query {text!r} is empty; name a sound, such as 'drums'")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise QueryError(
            f"the query {query[:40]!r}... has {len(query)} characters; at most {MAX_QUERY_CHARACTERS} fit"
        )
    for character, category in zip(query, categories, strict=True):
        if category in ("Cc", "Cs"):
            raise QueryError(f"the query {query!r} has the control character {character!r}; use plain text")
    return query
