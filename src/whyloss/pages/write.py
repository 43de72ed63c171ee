"""Writes the pages: what show.py knows of each loss, its curves as SVG in the page's own colours.

Knows the templates and what goes into them; nothing of losses but what show.py and curves.py say."""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from whyloss import __version__, curves, picture, show
from whyloss.losses.catalogue import FAMILIES, catalogue, family, function_name
from whyloss.losses.loss import Loss


def write(folder: Path, done: Callable[[str], None] = lambda name: None) -> Path:
    """All pages into this folder; the index's path. `done` hears of each loss once its page is there."""
    folder.mkdir(parents=True, exist_ok=True)
    classes = list(catalogue().values())
    for cls in classes:
        (folder / file_name(cls)).write_text(page(cls), encoding="utf-8")
        done(cls.__name__)
    index = folder / "index.html"
    groups = [(name, about, [cls for cls in classes if family(cls) == name]) for name, about in _families().items()]
    text = _render("index.html.j2", groups=groups, count=len(classes), title="The catalogue")
    index.write_text(text, encoding="utf-8")
    return index


def page(cls: type[Loss]) -> str:
    """One loss: what it does, formula, source, facts, parameters, curves, an example."""
    shown = show.build(cls.__name__)
    panels = curves.panels(shown.loss, cls.__name__)
    return _render(
        "loss.html.j2",
        title=cls.__name__,
        cls=cls,
        shown=shown.title,
        pictures=[(panel.title, Markup(picture.svg(panel))) for panel in panels],
        lines=list(zip(panels[0].lines, picture.strokes(panels[0].lines), strict=True)) if panels else [],
        caption=curves.caption(shown.loss),
    )


def file_name(cls: type[Loss]) -> str:
    return f"{function_name(cls)}.html"


def _families() -> dict[str, str]:
    """Name -> what its package says of itself."""
    return {name: " ".join((package.__doc__ or "").split()) for name, package in FAMILIES.items()}


def _render(template: str, **content: Any) -> str:
    style = _asset("whyloss.advise.report", "page.css") + _asset(__package__ or "", "page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return _environment().get_template(template).render(style=Markup(style), policy=policy, **content)


@cache
def _environment() -> Environment:
    from jinja2 import FunctionLoader

    # StrictUndefined: a field that a template needs and does not get is a mistake here, not a blank on the page.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: _asset(__package__ or "", name)),
    )
    names: dict[str, Any] = {"show": show, "family": family, "function_name": function_name, "version": __version__}
    shared: Any = environment.globals
    shared.update(names, file_name=file_name)
    environment.filters["coded"] = _coded
    return environment


def _coded(text: str) -> Markup:
    """What docstrings have between backticks, as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


@cache
def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
