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

Sums = Literal["logits", "linear", "segmentation", "multilabel"]
Beyond = Literal["rows", "steps", "bins", "sets", "scores", "masks", "cosines"]
Kind = Sums | Beyond
Dtype = Literal["float32", "bfloat16", "float16"]
SUFFIXES: dict[str, Dtype] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
SIZES: dict[Kind, str] = {
    "logits": "NxC",
    "linear": "NxDxC",
    "segmentation": "NxCxHxW or NxCxDxHxW",
    "multilabel": "NxC",
    "rows": "NxC",
    "steps": "NxK, for K + 1 classes",
    "bins": "NxB",
    "sets": "NxL",
    "scores": "NxL",
    "masks": "NxCxHxW or NxCxDxHxW",
    "cosines": "NxDxC",
}
AXES: dict[Kind, tuple[int, ...]] = {
    kind: (4, 5) if " or " in size else (size.count("x") + 1,) for kind, size in SIZES.items()
}
YES_OR_NO: tuple[Kind, ...] = ("multilabel", "sets", "scores")
HEADS: tuple[Kind, ...] = ("linear", "cosines")

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
# For losses that are no function of sums over a row; measured where they are asked for, by this word or by name.
BEYOND = (
    *("rows-4096x10", "rows-1024x100", "steps-4096x9", "steps-1024x99", "bins-4096x10", "bins-1024x100"),
    *("sets-4096x10", "sets-1024x100", "scores-4096x1", "masks-4x4x64x64", "masks-2x4x192x192", "cosines-1024x64x100"),
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
    [N, C] with a yes or no for each.

    Beyond the sums: rows [N, C]; steps [N, K] from each of K + 1 ordered classes to the next; bins [N, B] with numbers
    between 0 and 1; sets [N, L] and scores [N, L] with a yes or no for each; masks [N, C, *pixels]; cosines: hidden
    [N, D] and weights [C, D]."""

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
        return (self.shape[0], self.shape[2]) if self.kind in HEADS else self.shape

    @property
    def classes(self) -> int:
        return self.logits[1] + (self.kind == "steps")

    @property
    def torch_dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)

    @property
    def logits_bytes(self) -> int:
        return prod(self.logits) * self.torch_dtype.itemsize

    @property
    def target_bytes(self) -> int:
        """Labels are int64, one for each row or pixel; numbers, and yes or no, have the dtype of the logits."""
        if self.kind in YES_OR_NO:
            return self.logits_bytes
        each = self.torch_dtype.itemsize if self.kind == "bins" else 8
        return each * prod(self.logits) // self.logits[1]


def parse(name: str) -> Case | None:
    """The case that a full name spells: kind-NxC, then -bf16 or -fp16 if it is not float32."""
    found = re.fullmatch(r"([a-z]+)-([1-9]\d*(?:x[1-9]\d*)+)(?:-(fp32|bf16|fp16))?", name)
    kind: Kind | None = next((kind for kind in SIZES if found and kind == found[1]), None)
    if not found or not kind:
        return None
    case = Case(kind, tuple(map(int, found[2].split("x"))), SUFFIXES[found[3] or "fp32"])
    if len(case.shape) not in AXES[kind] or (kind not in YES_OR_NO and case.logits[1] < 2):
        raise InputError(f"The case {name!r} does not fit: {kind} is {SIZES[kind]}, with C at least 2.")
    return case


def chosen(patterns: Sequence[str], device: str, dtype: Dtype | None = None, quick: bool = False) -> list[Case]:
    """The device's own cases that match any of the patterns, in their order, or all; then shapes that were spelt out.
    Where none is asked for, `quick` takes a few of them, or smaller ones.

    A pattern is a part of a name ("linear", "32000"), or has wildcards ("*x1000"); "beyond" is all of `BEYOND`. `dtype`
    replaces the dtype of all."""
    cases = CUDA if device == "cuda" else CPU
    own = (*cases, *BEYOND)
    patterns = [name for pattern in patterns for name in (BEYOND if pattern == "beyond" else (pattern,))]
    usual = (QUICK_CUDA if device == "cuda" else QUICK_CPU) if quick else cases
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
    found = [case for name in names if (case := parse(name)) is not None]
    if dtype is not None:
        found = [Case(case.kind, case.shape, dtype) for case in found]
    return list(dict.fromkeys(found))


def _matches(name: str, pattern: str) -> bool:
    if parse(pattern) is not None:
        return name == pattern
    return fnmatchcase(name, pattern) if re.search(r"[*?\[]", pattern) else pattern in name
