"""Writes functional.pyi, the signatures of whyloss.functional for type checkers (`make stubs`).

Knows the declarations of the losses, and how ruff formats a stub."""

import dataclasses
from pathlib import Path
from typing import Any

from whyloss.losses.catalogue import catalogue, function_name
from whyloss.losses.loss import Loss

FILE = Path(__file__).with_name("functional.pyi")

HEAD = '''"""Every loss as a function. Written by `make stubs` from the classes; not to be edited."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from whyloss.losses.adjust import Adjustment
from whyloss.losses.loss import Loss

def functional(cls: type[Loss]) -> Callable[..., Tensor]: ...
'''


def text() -> str:
    return HEAD + "".join(_function(cls) for cls in catalogue().values())


def _function(cls: type[Loss]) -> str:
    fields = sorted(cls.fields().items(), key=lambda item: item[1].default is not dataclasses.MISSING)
    lines = [
        "logits: Tensor",
        "target: Tensor",
        "*",
        *(f"{name}: {_type(field)}{_default(field)}" for name, field in fields),
        "sample_weight: Tensor | None = None",
        "normalizer: float | Tensor | None = None",
    ]
    return f"def {function_name(cls)}(\n" + "".join(f"    {line},\n" for line in lines) + ") -> Tensor: ...\n"


def _type(field: "dataclasses.Field[Any]") -> str:
    written = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    for prefix in ("torch.", "typing.", "whyloss.losses.adjust."):
        written = written.replace(prefix, "")
    return written.replace("'", '"')


def _default(field: "dataclasses.Field[Any]") -> str:
    return "" if field.default is dataclasses.MISSING else f" = {field.default!r}".replace("'", '"')


if __name__ == "__main__":
    FILE.write_text(text())
