"""The page: everything that was measured in one file that needs nothing else, no network, no script.

Knows the template and what goes into it. All text is escaped by Jinja's autoescape; only the pictures that this package
draws itself go in as they are, and the page's own policy allows one style sheet and nothing more."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from . import edges, figures, pictures
from .table import Comparison, Record, about, absent, cases, summary
from .terminal import LEGEND

FAMILIES = (
    ("whyloss", "whyloss"),
    ("torch", "plain torch"),
    ("torch.compile", "torch.compile of it"),
    ("peer", "other packages"),
)


def render(report: Record) -> str:
    style = _asset("whyloss.advise.report", "page.css") + _asset(__package__ or "", "page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = _template().render(
        report=report,
        cases=list(cases(report["rows"])),
        about=about(report),
        absent=absent(report),
        summary=summary(report),
        edges=_edges(report.get("edges")),
        legend=LEGEND,
        families=FAMILIES,
        took=figures.duration(report["seconds"]),
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
    )
    return page.replace(" %", "\u00a0%")


@cache
def _template() -> Any:
    # StrictUndefined: a field that the template needs and the report lacks is a mistake here, not a blank on the page.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = {
        "drawn": _drawn,
        "spoken": pictures.spoken,
        "error": figures.error,
    }
    environment.filters.update(filters)
    return environment.from_string(_asset(__package__ or "", "page.html.j2"))


def _edges(found: Record | None) -> Record | None:
    """What the page says of the edge contract."""
    if not found:
        return None
    return {
        "title": edges.TITLE,
        "chosen": edges.CHOSEN,
        "topics": list(edges.topics(found)),
        "verdicts": [(verdict, found["meanings"][verdict]) for verdict in edges.verdicts(found)],
        "tally": edges.tally(found),
        "left_out": edges.left_out(found),
    }


def _drawn(comparison: Comparison) -> Markup:
    return Markup(pictures.picture(comparison))


@cache
def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
