"""Writes functional.pyi, the signatures of whyloss.functional for type checkers (`make stubs`).

Knows the declarations of the losses, and how ruff formats a stub. What runs is derived from the same fields, in
functional.py."""

import json
import re
import types
import typing
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from whyloss.losses.batch import BatchLoss
from whyloss.losses.catalogue import catalogue, function_name
from whyloss.losses.continuous import BinnedLoss
from whyloss.losses.label_sets import LabelSetLoss
from whyloss.losses.loss import LabelledLoss, Loss, RowLoss
from whyloss.losses.region import RegionLoss

FILE = Path(__file__).with_name("functional.pyi")

HEAD = '''\
"""Every loss as a function. Written by `make stubs` from the classes; not to be edited."""

from collections.abc import Callable
from typing import Any, Literal, TypedDict, Unpack

from torch import Tensor

from whyloss.losses.adjust import Adjustment
from whyloss.losses.continuous.bins import Bins
from whyloss.losses.loss import Loss
from whyloss.losses.relations.tree import Tree
'''
CALL = ("sample_weight: Tensor | None", "normalizer: float | Tensor | None")
# The options of each kind of loss; a loss is of the first kind that fits.
FORMS: dict[str, type[Loss]] = {
    "RowOptions": RowLoss,
    "LabelledOptions": LabelledLoss,
    "RegionOptions": RegionLoss,
    "LabelSetOptions": LabelSetLoss,
    "BatchOptions": BatchLoss,
    "BinnedOptions": BinnedLoss,
    "Options": Loss,
}


def text() -> str:
    """The text of functional.pyi."""
    parts = [HEAD]
    for name, base in FORMS.items():
        fields = [f"{field}: {_type(entry.type)}" for field, entry in base.fields().items()]
        parts.append(
            "\n".join([f"class {name}(TypedDict, total=False):", *(f"    {f}" for f in (*fields, *CALL))]) + "\n"
        )
    parts.append("def functional(cls: type[Loss]) -> Callable[..., Tensor]: ...")
    parts += [_function(cls) for cls in catalogue().values() if not cls.stateful]
    return "\n".join(parts) + "\n"


def _function(cls: type[Loss]) -> str:
    options, base = next((name, base) for name, base in FORMS.items() if issubclass(cls, base))
    own = [
        f"{name}: {_type(field.type)}" + ("" if field.default is MISSING else f" = {_literal(field.default)}")
        for name, field in cls.fields().items()
        if name not in base.fields()
    ]
    own += [f"{name}: Tensor" for name in cls.reads]
    own += [f"{name}: Tensor = ..." for name in cls.may_read]
    own.sort(key=lambda argument: "=" in argument)
    arguments = ["logits: Tensor", "target: Tensor", *(["*", *own] if own else []), f"**options: Unpack[{options}]"]
    return "\n".join([f"def {function_name(cls)}(", *(f"    {a}," for a in arguments), ") -> Tensor: ..."])


def _literal(default: Any) -> str:
    return json.dumps(default) if isinstance(default, str) else repr(default)


def _type(annotation: Any) -> str:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return f"Literal[{', '.join(map(json.dumps, arguments))}]"
    if arguments and typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(annotation))  # tuple[float, ...]: as written, without modules
    if arguments:
        return " | ".join(map(_type, arguments))
    return "None" if annotation is type(None) else annotation.__name__


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
