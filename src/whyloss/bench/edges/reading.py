"""What is read off a call: value and gradient, or what else a case is about.

A reading takes a call, a leaf and a target, and returns named tensors; the formula in float64 is read in the same way."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Found = dict[str, Tensor]
Reading = Callable[[Callable[[Tensor, Tensor], Any], Tensor, Tensor], Found]


def value_and_gradient(call: Callable[[Tensor, Tensor], Any], leaf: Tensor, target: Tensor) -> Found:
    z = leaf.detach().clone().requires_grad_()
    value = call(z, target)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return {"value": value.detach(), "gradient": gradient}


def value(call: Callable[[Tensor, Tensor], Any], leaf: Tensor, target: Tensor) -> Found:
    return {"value": call(leaf.detach().clone(), target).detach()}


def hessian(call: Callable[[Tensor, Tensor], Any], leaf: Tensor, target: Tensor) -> Found:
    """By backward of backward."""
    z = leaf.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(call(z, target), z, create_graph=True)
    rows = [torch.autograd.grad(part, z, retain_graph=True)[0].flatten() for part in gradient.flatten()]
    return {"gradient": gradient.detach(), "Hessian": torch.stack(rows)}


def backward_twice(call: Callable[[Tensor, Tensor], Any], leaf: Tensor, target: Tensor) -> Found:
    """The gradients of two backward passes through one graph, added."""
    z = leaf.detach().clone().requires_grad_()
    loss = call(z, target)
    loss.backward(retain_graph=True)
    loss.backward()
    assert z.grad is not None
    return {"value": loss.detach(), "gradient": z.grad}


def two_losses(call: Callable[[Tensor, Tensor], Any], leaf: Tensor, target: Tensor) -> Found:
    """Another loss on the same logits, made before and used after."""
    z = leaf.detach().clone().requires_grad_()
    logits = 1 * z
    loss = call(logits, target)
    (gradient,) = torch.autograd.grad(loss + 0.1 * (logits * logits).sum(), z)
    return {"gradient": gradient}


def input_afterwards(call: Callable[[Tensor, Tensor], Any], leaf: Tensor, target: Tensor) -> Found:
    """The logits after a forward pass."""
    z = leaf.detach().clone().requires_grad_()
    logits = 1 * z
    call(logits, target)
    return {"logits": logits.detach()}


def grad_mode_afterwards(call: Callable[[Tensor, Tensor], Any], leaf: Tensor, target: Tensor) -> Found:
    """Whether gradients are still off after a call inside no_grad: 1 for on."""
    with torch.no_grad():
        call(leaf, target)
        return {"grad mode": torch.tensor(float(torch.is_grad_enabled()))}


def bits_of_value(call: Callable[[Tensor, Tensor], Any], leaf: Tensor, target: Tensor) -> Found:
    """Of the value for a float32 leaf; the formula is read in float32 too."""
    return {"bits": torch.tensor(8.0 * call(leaf.float(), target).dtype.itemsize)}
