"""The catalogue for readers: what each loss is, what is true of it, and what its curve looks like.

Knows losses by their declarations and docstrings alone, so that a loss added tomorrow is shown without being listed."""

import ast
import dataclasses
import difflib
import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from whyloss import curves, picture
from whyloss.losses.batch import BatchLoss
from whyloss.losses.catalogue import catalogue, family, find, function_name
from whyloss.losses.continuous import BinnedLoss
from whyloss.losses.continuous.bins import Bins
from whyloss.losses.label_sets import LabelSetLoss
from whyloss.losses.loss import LabelledLoss, Loss, RowLoss
from whyloss.losses.region import RegionLoss
from whyloss.losses.relations.tree import Tree
from whyloss.losses.whole import WholeRowLoss

# What options a loss shares with others, and what those are called.
KINDS: dict[type[Loss], str] = {
    RowLoss: "row loss",
    WholeRowLoss: "loss of whole rows",
    LabelledLoss: "row loss",
    RegionLoss: "region loss",
    LabelSetLoss: "loss of label sets",
    BatchLoss: "loss of batches",
    BinnedLoss: "loss of numbers",
    Loss: "loss",
}
FACTS = ("proper", "bounded", "symmetric", "convex")
# Stand-ins for what a loss cannot be without, so that it can be drawn.
SAMPLES: dict[str, Any] = {
    "counts": [90, 10],
    "frequency": [0.9, 0.001],
    "transition": [[0.8, 0.2], [0.2, 0.8]],
    "classes": 10,
    "features": 2,
    "samples": 100,
    "prior": 0.3,
    "distances": [[0, 1], [1, 0]],
    "cost": [[0, 1, 4], [1, 0, 1], [4, 1, 0]],
    "distance": [[0, 1, 2], [1, 0, 2], [2, 2, 0]],
    "tree": Tree({"left": ["a", "b"], "right": ["c", "d"]}),
    "bins": Bins.atoms(0, 4, 5),
    "hidden_size": 8,
    "cutoffs": (2, 5),
}


@dataclass(frozen=True)
class Parameter:
    name: str
    type: str
    default: Any
    required: bool
    meaning: str


@dataclass(frozen=True)
class Shown:
    """A loss, and the parameters that it is drawn with."""

    loss: Loss
    parameters: dict[str, Any]

    @property
    def title(self) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return type(self.loss).__name__ + (f"({inside})" if inside else "")


def build(name: str, parameters: Sequence[str] = ()) -> Shown:
    """The loss of this name with parameters like "q=0.3". Raises KeyError or ValueError with words for users.

    >>> build("gce", ["q=0.3"]).title
    'GeneralizedCrossEntropyLoss(q=0.3)'
    """
    cls = find(name)
    given = dict(_parsed(cls, text) for text in parameters)
    needed = (n for n, f in cls.fields().items() if n in SAMPLES and not isinstance(f.default, int | float))
    values = {n: SAMPLES[n] for n in needed} | given
    if "classes" in values and (issubclass(cls, LabelSetLoss) or "index" in cls.reads):
        values["classes"] = given.get("classes", 2)  # a yes and a no; what a memory says, and the other class
    fixed: dict[str, Any] = {"reduction": "none"} if issubclass(cls, LabelledLoss | BinnedLoss) else {}
    if issubclass(cls, RegionLoss) and "sigmoid" in cls.links:
        fixed["link"] = "sigmoid"  # one region, without its background
    try:
        shown = Shown(cls(**(values | fixed)).eval(), values)  # drawn as it is, remembering nothing
        curves.panels(shown.loss, "")  # what only shows at the first call shows here
    except (TypeError, RuntimeError, IndexError) as error:
        if not parameters:
            raise
        raise ValueError(f"{cls.__name__} cannot be drawn with {', '.join(parameters)}: {error}.") from None
    return shown


def _parsed(cls: type[Loss], text: str) -> tuple[str, Any]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name or not value:
        raise ValueError(f"--param takes name=value, such as --param gamma=0.5, but got {text!r}.")
    if name not in cls.fields():
        near = difflib.get_close_matches(name, cls.fields(), 3, 0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        own = ", ".join(p.name for p in parameters(cls)) or "none of its own"
        raise ValueError(f"{cls.__name__} has no parameter {name!r}.{hint} Its parameters: {own}.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def facts(cls: type[Loss]) -> dict[str, str]:
    """
    >>> facts(find("brier"))
    {'proper': 'yes', 'bounded': 'yes', 'symmetric': 'no', 'convex': 'no'}
    """
    words = {True: "yes", False: "no", None: "depends"}
    return {name: words[getattr(cls, name)] for name in FACTS}


def about(cls: type[Loss]) -> list[str]:
    """What the loss does: the paragraphs of its docstring before the parameters and the formula."""
    paragraphs = inspect.cleandoc(cls.__doc__ or "").split("\n\n")
    return [" ".join(p.split()) for p in paragraphs if not p.startswith(("Args:", "Formula:", "Shapes:", ">>>"))]


def example(cls: type[Loss]) -> str:
    _, start, rest = inspect.cleandoc(cls.__doc__ or "").partition(">>>")
    return start + rest.rstrip()


def parameters(cls: type[Loss]) -> list[Parameter]:
    """A loss's own parameters, and the options of every loss that it gives another default."""
    common = _base(cls).fields()
    meanings = {name: text for parent in reversed(cls.__mro__) for name, text in _meanings(parent).items()}
    found: list[Parameter] = []
    for name, field in cls.fields().items():
        if name in common and common[name].default == field.default:
            continue
        required = field.default is dataclasses.MISSING
        # float, but bool | None: a class has a name, everything else says what it is
        kind = field.type.__name__ if isinstance(field.type, type) else str(field.type).replace("typing.", "")
        found.append(Parameter(name, kind, None if required else field.default, required, meanings.get(name, "")))
    return found


def _base(cls: type[Loss]) -> type[Loss]:
    return next(base for base in KINDS if issubclass(cls, base))


def _meanings(cls: type) -> dict[str, str]:
    """Parameter name -> meaning, from the Args section of a class's own docstring."""
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("Args:\n")
    section = section.partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def record(cls: type[Loss]) -> dict[str, Any]:
    """Everything about a loss, for other programs."""
    return {
        "name": cls.__name__,
        "short": list(cls.short),
        "function": function_name(cls),
        "family": family(cls),
        "about": " ".join(about(cls)),
        "formula": cls.equation,
        "source": cls.source,
        "facts": facts(cls),
        "parameters": [dataclasses.asdict(p) for p in parameters(cls)],
    }


def losses(wanted: str | None = None) -> list[type[Loss]]:
    """The losses of one family, or all of them, family by family."""
    return [cls for cls in catalogue().values() if wanted in (None, family(cls))]


def as_json(wanted: str | None = None) -> str:
    return json.dumps([record(cls) for cls in losses(wanted)], indent=1, ensure_ascii=False)


def print_list(console: Console, wanted: str | None = None) -> None:
    """One table: name, short names, formula and source below each other, so that it fits in 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("loss, formula, source")
    for fact in FACTS:
        table.add_column(fact, justify="center")
    before = ""
    for cls in losses(wanted):
        if family(cls) != before:
            before = family(cls)
            table.add_section()
            table.add_row(Text(before.upper(), style="bold"))
        name = Text(cls.__name__, style="bold cyan").append(f" {', '.join(cls.short)}", style="not bold")
        lines = (Padding(line, (0, 0, 0, 2)) for line in (Text(cls.equation), Text(cls.source, style="dim")))
        entry = Group(name, *lines)
        table.add_row(entry, *(Text(v, style="" if v == "yes" else "dim") for v in facts(cls).values()))
    console.print(table)
    console.print(Text("\nwhyloss show NAME draws one of them; short names are enough.", style="dim"))


def print_loss(console: Console, shown: Shown) -> None:
    cls = type(shown.loss)
    heading = Text(cls.__name__, style="bold cyan").append(f"  {', '.join(cls.short)}", style="not bold")
    console.print(heading.append(f"  ({family(cls)})", style="not bold dim"))
    console.print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_row("formula", Text(cls.equation))
    grid.add_row("source", Text(cls.source))
    grid.add_row("facts", Text(", ".join(f"{name}: {value}" for name, value in facts(cls).items())))
    console.print(grid)
    for paragraph in about(cls):
        console.print()
        console.print(Text(paragraph))
    own = parameters(cls)
    if own:
        console.print(Text("\nParameters", style="bold"))
        table = Table.grid(padding=(0, 2))
        for p in own:
            table.add_row("", f"[cyan]{p.name}[/]", Text("required" if p.required else str(p.default)), Text(p.meaning))
        console.print(table)
    common = ", ".join(name for name in _base(cls).fields() if name not in {p.name for p in own})
    if common:
        console.print(Padding(Text(f"and as every {KINDS[_base(cls)]}: {common}"), (1, 0, 0, 2)))
    console.print(Text("\nExample", style="bold"))
    console.print(Text(indent(example(cls), "  ")), soft_wrap=True)
    console.print(Text(f"\n{shown.title}", style="bold"))
    if panels := curves.panels(shown.loss, cls.__name__):
        console.print(picture.in_terminal(panels, console.width))
    console.print(Text(f"\n{curves.caption(shown.loss)}", style="dim"))


def check_file(path: Path | None) -> None:
    """Raises ValueError where no picture can be written in this form."""
    if path is not None and path.suffix.lower() not in picture.FORMATS:
        endings = ", ".join(picture.FORMATS)
        raise ValueError(f"A picture cannot be written as {path.name!r}: the name should end in one of {endings}.")


def write(shown: Shown, path: Path) -> None:
    subtitle = [type(shown.loss).equation, curves.caption(shown.loss)]
    picture.to_file(curves.panels(shown.loss, type(shown.loss).__name__), shown.title, subtitle, path)
