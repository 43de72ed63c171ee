"""The report as one HTML page that needs nothing else: no network, no other file.

Knows the template and what goes into it. Everything that came from the user's file is escaped: text by Jinja's
autoescape, data inside script elements by `_embedded`; and the page's own policy allows no script but its own two."""

import base64
import hashlib
import json
from functools import cache, partial
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from . import details, paper, pictures, view, wording
from .view import Report

# Told by words and not by colour alone; see the legend of the race.
LEGEND = [
    ("better", "likely better by more than the margin"),
    ("equivalent", "likely within the margin"),
    ("worse", "likely worse by more than the margin"),
    ("open", "none of these is likely, or screened out"),
]


def render(report: Report) -> str:
    scripts = [_bundle(), _asset("page.js")]
    found = [(finding, finding.get("details") or {}) for finding in view.findings(report)]
    return _template().render(
        report=report,
        answer=report["verdict"]["answer"],
        headline=view.headline(report),
        gain_label=view.gain_label(report),
        steps=view.next_steps(report),
        findings=[(finding, details.pictures(material), details.row_tables(material)) for finding, material in found],
        rows=view.rows(report),
        best_rule=view.best_rule(report),
        data_line=view.data_line(report),
        folds=view.folds(report),
        rules_picture=pictures.rules(report),
        race_picture=pictures.race(report),
        posterior_picture=pictures.posterior(report),
        legend=LEGEND,
        plain=wording.PLAIN,
        latex=paper.latex_table(report),
        markdown=paper.markdown_table(report),
        style=Markup(_asset("page.css")),
        scripts=[Markup(script) for script in scripts],
        policy=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
    )


@cache
def _template() -> Any:
    # StrictUndefined: a field that the template needs and the report lacks is a mistake here, not a blank on the page.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    spoken = (wording.value, wording.gain, wording.span, wording.gain_sentence, wording.figure, wording.count)
    for say in (*spoken, wording.duration, wording.learning_rate):
        environment.filters[say.__name__] = partial(_say, say)
    environment.filters |= {
        "embedded": _embedded,
        "minus": wording.minus,
        "capital": wording.capital,
        "metric_name": wording.metric_name,
        "parameters": wording.parameters,
    }
    return environment.from_string(_asset("page.html.j2"))


def _say(say: Any, *values: Any) -> str:
    return wording.minus(say(*values))


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script, once for all charts."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _asset(name: str) -> str:
    return files(__package__ or __name__).joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _embedded(content: Any) -> Markup:
    """JSON for a script element. A class named '</script>' must not end it, nor '<!--' open a comment."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    for symbol in "<>&\u2028\u2029":
        text = text.replace(symbol, f"\\u{ord(symbol):04x}")
    return Markup(text)
