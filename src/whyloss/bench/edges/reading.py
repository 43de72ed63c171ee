"""What is read off a call: value and gradient, or what else a case is about.

A reading takes a call, a leaf and a target, and returns named tensors; the formula in float64 is read in the same
way."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Call = Callable[[Tensor, Tensor], Any]
Found = dict[str, Tensor]
Reading = Callable[[Call, Tensor, Tensor], Found]


def value_and_gradient(call: Call, leaf: Tensor, target: Tensor) -> Found:
    z = leaf.detach().clone().requires_grad_()
    value = call(z, target)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return {"value": value.detach(), "gradient": gradient}


def value(call: Call, leaf: Tensor, target: Tensor) -> Found:
    return {"value": call(leaf.detach().clone(), target).detach()}


def hessian(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """By backward of backward."""
    z = leaf.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(call(z, target), z, create_graph=True)
    rows = [torch.autograd.grad(part, z, retain_graph=True)[0].flatten() for part in gradient.flatten()]
    return {"gradient": gradient.detach(), "Hessian": torch.stack(rows)}


def backward_twice(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """The gradients of two backward passes through one graph, added."""
    z = leaf.detach().clone().requires_grad_()
    loss = call(z, target)
    loss.backward(retain_graph=True)
    loss.backward()
    assert z.grad is not None
    return {"value": loss.detach(), "gradient": z.grad}


def two_losses(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """Another loss on the same logits, made before and used after."""
    z = leaf.detach().clone().requires_grad_()
    logits = 1 * z
    loss = call(logits, target)
    (gradient,) = torch.autograd.grad(loss + 0.1 * (logits * logits).sum(), z)
    return {"gradient": gradient}


def input_afterwards(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """The logits after a forward pass."""
    z = leaf.detach().clone().requires_grad_()
    logits = 1 * z
    call(logits, target)
    return {"logits": logits.detach()}


def grad_mode_afterwards(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """Whether gradients are still off after a call inside no_grad: 1 for on."""
    with torch.no_grad():
        call(leaf, target)
        return {"grad mode": torch.tensor(float(torch.is_grad_enabled()))}


def finite(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """Value and gradient times 0: 0, unless they are not finite. For cases with more than one right number."""
    return {f"{name} times 0": 0 * part for name, part in value_and_gradient(call, leaf, target).items()}


def value_and_finite(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """The value, and the gradient times 0: where the loss has a corner."""
    found = value_and_gradient(call, leaf, target)
    return {"value": found["value"], "gradient times 0": 0 * found["gradient"]}


def direction(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """The sign of each entry of the gradient, for cases in which its size is a choice."""
    found = value_and_gradient(call, leaf, target)
    return {"direction": found["gradient"].sign()}


def done(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """That the call came to its end; for calls that return no loss."""
    call(leaf, target)
    return {"done": torch.tensor(1.0)}


def bits_of_value(call: Call, leaf: Tensor, target: Tensor) -> Found:
    """Of the value for a float32 leaf; the formula is read in float32 too."""
    return {"bits": torch.tensor(8.0 * call(leaf.float(), target).dtype.itemsize)}
