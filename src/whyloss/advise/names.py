"""Finding a column by what the user called it, and offering the nearest names when there is none.

Knows nothing of what the columns hold."""

from difflib import get_close_matches

from whyloss.advise.finding import InputError


def listing(names: list[str], most: int = 20) -> str:
    """'a', 'b', 'c' and 12 more."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def nearest(name: str, names: list[str]) -> list[str]:
    """At most three of `names` that `name` may be a slip of, regardless of case."""
    folded = {other.strip().casefold(): other for other in reversed(names)}
    return [folded[match] for match in get_close_matches(name.strip().casefold(), list(folded), n=3, cutoff=0.5)]


def resolve(name: str, columns: list[str], option: str) -> str:
    """The column called `name`, or number `name` counted from 0 (-1 is the last). `option` is what it was typed for."""
    if name in columns:
        return name
    try:
        return columns[int(name)]
    except (ValueError, IndexError):
        pass
    parts = [part.strip() for part in name.split(",")]
    if option == "--label" and len(parts) > 1 and sum(part in columns for part in parts) > 1:
        raise InputError(
            f"The label was given as {len(parts)} columns ({listing(parts)}). Several labels per row (multi-label) "
            "are not there yet in this version of `whyloss advise`, which takes one label column with one class per "
            "row. You can run it once per label, with the other label columns left out by --drop."
        )
    close = nearest(name, columns)
    hint = f" Did you mean {' or '.join(repr(other) for other in close)}?" if close else ""
    raise InputError(f"There is no column {name!r} ({option}).{hint} The columns are {listing(columns)}.")
