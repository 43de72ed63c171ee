"""All claims, in the order of the ledger: the first article, the second, folk sentences, contradictions."""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from whyloss.advise.finding import InputError
from whyloss.claims.claim import Claim, Contradiction

GROUPS = ("coding", "gradients", "optimising", "accuracy", "outliers", "noise", "probability", "imbalance", "relations")
FOLK = ("folk_probability", "folk_models", "folk_imbalance", "folk_objects", "folk_practice")


def claims() -> list[Claim]:
    """Articles first, each in its own order; then the folk sentences."""
    found: list[Claim] = []
    for group in (*GROUPS, *FOLK):
        found += import_module(f"whyloss.claims.sentences.{group}").CLAIMS
    return sorted(found, key=lambda claim: _order(claim.id))


def contradictions() -> list[Contradiction]:
    from whyloss.claims.sentences.contradictions import CONTRADICTIONS

    return list(CONTRADICTIONS)


def chosen(ids: Sequence[str]) -> tuple[list[Claim], list[Contradiction]]:
    """What was asked for by id, all of it if nothing was; with a contradiction come its two claims."""
    everything, against = claims(), contradictions()
    if not ids:
        return everything, against
    known = {alias: item.id for item in (*everything, *against) for alias in _aliases(item.id)}
    wanted: set[str] = set()
    for name in ids:
        if _plain(name) not in known:
            near = get_close_matches(_plain(name), known, 3, 0.5)
            hint = f" Did you mean {' or '.join(known[n] for n in near)}?" if near else ""
            raise InputError(f"There is no claim {name!r}.{hint} Known are {', '.join(dict.fromkeys(known.values()))}.")
        wanted.add(known[_plain(name)])
    pairs = [pair for pair in against if pair.id in wanted]
    wanted |= {side for pair in pairs for side in pair.sides}
    return [claim for claim in everything if claim.id in wanted], pairs


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "")


def _aliases(name: str) -> list[str]:
    """S2-6/15 may be asked for as s2-6/15, s2-6 or s2-15."""
    group, dash, rest = _plain(name).partition("-")
    return [_plain(name), *(f"{group}{dash}{number}" for number in rest.split("/") if "/" in rest)]


def _order(name: str) -> tuple[bool, str, int, str]:
    """S1-2 before S1-10, S2-2a before S2-2b, articles before folk sentences."""
    group, _, rest = name.partition("-")
    digits = "".join(c for c in rest.split("/")[0] if c.isdigit())
    return group == "F", group, int(digits or 0), rest
