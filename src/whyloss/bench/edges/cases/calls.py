"""How other packages' losses are called, each behind a function that imports the package when it is called itself.

A call takes logits and a target. The forms were checked against the releases that docs/edges.md names."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call

Build = Callable[[], Call]


def attribute(module: str, name: str) -> Callable[[], Any]:
    """A function as it is."""
    return lambda: getattr(import_module(module), name)


def made(module: str, name: str, *given: Any, **options: Any) -> Callable[[], Any]:
    """A loss made with these options."""
    return lambda: getattr(import_module(module), name)(*given, **options)


def torch_linear(**options: Any) -> Callable[..., Tensor]:
    """torch's own chunks, which its default does not use."""
    function: Any = getattr(F, "linear_cross_entropy", None)
    if function is None:
        raise NotImplementedError("torch.nn.functional.linear_cross_entropy came with torch 2.13")
    chunks = getattr(torch.nn, "LinearCrossEntropyOptions")()  # noqa: B009 - older stubs do not know it

    def loss(hidden: Tensor, weight: Tensor, y: Tensor) -> Tensor:
        return function(hidden, weight, y, options=chunks, **options)

    return loss


def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return import_module("keras.losses")


def optax(name: str, **options: Any) -> Build:
    """A function of optax as one of torch, its mean over the rows included."""

    def build() -> Call:
        jax, losses = import_module("jax"), import_module("optax.losses")

        class Through(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:
                labels = jax.numpy.asarray(y.numpy())

                def function(logits: Any) -> Any:
                    return getattr(losses, name)(logits, labels, **options).mean()

                value, slope = jax.value_and_grad(function)(jax.numpy.asarray(z.detach().numpy()))
                ctx.slope = torch.tensor(slope.tolist(), dtype=z.dtype)
                return torch.tensor(value.item(), dtype=z.dtype)

            @staticmethod
            def backward(ctx: Any, *upstream: Tensor) -> Any:
                return upstream[0] * ctx.slope, None

        return Through.apply

    return build


def kornia_focal(gamma: float) -> Build:
    def build() -> Call:
        loss = import_module("kornia.losses").focal_loss
        return lambda z, y: loss(z, y, None, gamma, "mean")

    return build


def kornia_dice() -> Call:
    loss = import_module("kornia.losses").dice_loss
    return lambda z, y: loss(z, y, average="macro")


def focal_loss_torch(gamma: float) -> Build:
    """It takes probabilities."""

    def build() -> Call:
        loss = import_module("focal_loss").FocalLoss(gamma=gamma)
        return lambda z, y: loss(torch.softmax(z, 1), y)

    return build


def monai_focal(gamma: float, **options: Any) -> Build:
    def build() -> Call:
        made = import_module("monai.losses").FocalLoss
        loss = made(use_softmax=True, to_onehot_y=True, gamma=gamma, **options)
        return lambda z, y: loss(z, y.unsqueeze(1))

    return build


def monai_region(name: str, **options: Any) -> Build:
    def build() -> Call:
        loss = getattr(import_module("monai.losses"), name)(**options)
        return lambda z, y: loss(z, y.unsqueeze(1))

    return build


def smp_cross_entropy() -> Call:
    return import_module("segmentation_models_pytorch.losses").SoftCrossEntropyLoss(smooth_factor=0.0)


def smp_region(name: str, mode: str = "multiclass", **options: Any) -> Callable[[], Any]:
    return made("segmentation_models_pytorch.losses", name, mode, **options)


def monai_binary(gamma: float) -> Build:
    def build() -> Call:
        loss = import_module("monai.losses").FocalLoss(gamma=gamma)
        return lambda z, y: loss(z.unsqueeze(1), y.unsqueeze(1).to(z.dtype))

    return build


def times_classes(call: Call) -> Call:
    """Where a mean is over the classes too, of which only the label's differs from 0."""
    return lambda z, y: z.shape[1] * call(z, y)


def floats(module: str, name: str, *given: Any, **options: Any) -> Build:
    """A loss that wants its yes-or-no labels in the dtype of the logits."""

    def build() -> Call:
        loss = getattr(import_module(module), name)(*given, **options)
        return lambda z, y: loss(z, y.to(z.dtype))

    return build


def swapped(call: Call) -> Call:
    """The target first."""
    return lambda z, y: call(y, z)
