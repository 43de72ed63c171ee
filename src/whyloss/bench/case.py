"""The cases: what is computed in which shape and dtype. Any other shape is a case too, by the same name.

Knows names and numbers, no losses."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import Literal

import torch

from whyloss.advise.finding import InputError

Kind = Literal["logits", "linear", "segmentation", "multilabel"]
Dtype = Literal["float32", "bfloat16", "float16"]
SUFFIXES: dict[str, Dtype] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
AXES: dict[Kind, tuple[int, ...]] = {"logits": (2,), "linear": (3,), "segmentation": (4, 5), "multilabel": (2,)}
SIZES: dict[Kind, str] = {
    "logits": "NxC",
    "linear": "NxDxC",
    "segmentation": "NxCxHxW or NxCxDxHxW",
    "multilabel": "NxC",
}

CPU = (
    "logits-512x32000",
    "logits-4096x1000",
    "logits-8192x100",
    "logits-65536x10",
    "logits-100x10",
    "linear-2048x256x20000",
    "segmentation-2x19x128x256",
    "multilabel-256x9605",
)
QUICK_CPU = (
    "logits-256x32000",
    "logits-4096x1000",
    "logits-100x10",
    "linear-512x128x10000",
    "segmentation-2x19x128x256",
    "multilabel-256x9605",
)
# Language models, GPT-2's odd vocabulary, ImageNet, extreme classification, street scenes, volumes, image tags.
CUDA = (
    "logits-8192x128256-bf16",
    "logits-8192x50257-bf16",
    "logits-16384x32000-bf16",
    "logits-1024x1000-bf16",
    "logits-1024x1000",
    "logits-1024x21841-bf16",
    "linear-8192x4096x128256-bf16",
    "linear-16384x2048x32000-bf16",
    "linear-8192x768x50257-bf16",
    "linear-1024x512x670091-bf16",
    "segmentation-8x19x512x1024-bf16",
    "segmentation-8x19x512x1024",
    "segmentation-2x3x128x128x128",
    "multilabel-1024x9605",
)
QUICK_CUDA = tuple(CUDA[place] for place in (2, 4, 7, 11, 13))


@dataclass(frozen=True)
class Case:
    """One shape: logits [N, C]; linear: hidden [N, D] and weights [C, D]; segmentation [N, C, *pixels]; multilabel
    [N, C] with a yes or no for each."""

    kind: Kind
    shape: tuple[int, ...]
    dtype: Dtype = "float32"

    @property
    def name(self) -> str:
        suffix = next(short for short, full in SUFFIXES.items() if full == self.dtype)
        return "-".join([self.kind, "x".join(map(str, self.shape)), *([suffix] if suffix != "fp32" else [])])

    @property
    def logits(self) -> tuple[int, ...]:
        """The shape of the logits, also of those that are never made."""
        return (self.shape[0], self.shape[2]) if self.kind == "linear" else self.shape

    @property
    def torch_dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)

    @property
    def logits_bytes(self) -> int:
        return prod(self.logits) * self.torch_dtype.itemsize

    @property
    def target_bytes(self) -> int:
        """Labels are int64, one for each row or pixel; those of multilabel have the dtype of the logits."""
        return self.logits_bytes if self.kind == "multilabel" else 8 * prod(self.logits) // self.logits[1]


def parse(name: str) -> Case | None:
    """The case that a full name spells: kind-NxC, then -bf16 or -fp16 if it is not float32."""
    found = re.fullmatch(r"([a-z]+)-([1-9]\d*(?:x[1-9]\d*)+)(?:-(fp32|bf16|fp16))?", name)
    kind: Kind | None = next((kind for kind in SIZES if found and kind == found[1]), None)
    if not found or not kind:
        return None
    case = Case(kind, tuple(map(int, found[2].split("x"))), SUFFIXES[found[3] or "fp32"])
    if len(case.shape) not in AXES[kind] or (kind != "multilabel" and case.logits[1] < 2):
        raise InputError(f"The case {name!r} does not fit: {kind} is {SIZES[kind]}, with C at least 2.")
    return case


def chosen(patterns: Sequence[str], device: str, dtype: Dtype | None = None, quick: bool = False) -> list[Case]:
    """The device's own cases that match any of the patterns, in their order, or all; then shapes that were spelt out.
    Where none is asked for, `quick` takes a few of them, or smaller ones.

    A pattern is a part of a name ("linear", "32000"), or has wildcards ("*x1000"). `dtype` replaces the dtype of all.
    """
    own = CUDA if device == "cuda" else CPU
    usual = (QUICK_CUDA if device == "cuda" else QUICK_CPU) if quick else own
    names = [name for name in own if any(_matches(name, pattern) for pattern in patterns)] if patterns else [*usual]
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in own):
            if parse(pattern) is None:
                near = difflib.get_close_matches(pattern, own, 1, 0.5)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise InputError(
                    f"There is no case {pattern!r} on this device.{hint} Cases are: {', '.join(own)}; or any shape "
                    "of your own, spelt like these."
                )
            names.append(pattern)
    cases = [case for name in names if (case := parse(name)) is not None]
    if dtype is not None:
        cases = [Case(case.kind, case.shape, dtype) for case in cases]
    return list(dict.fromkeys(cases))


def _matches(name: str, pattern: str) -> bool:
    if parse(pattern) is not None:
        return name == pattern
    return fnmatchcase(name, pattern) if re.search(r"[*?\[]", pattern) else pattern in name
