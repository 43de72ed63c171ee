"""The sums that region losses are functions of, per image and class; and which form takes them, and why.

    intersection I = sum u p t,   prediction P = sum u p,   target T = sum u t,   pixels = sum u

with probabilities p, targets t and pixel weights u. The way back needs the slopes of I and P alone: the logits of a
pixel get, with w_c = dL/dP_c + t_c dL/dI_c,

    dL/dz_c = u p_c (w_c - sum_k p_k w_k)  under the softmax link,   u w_c p_c (1 - p_c)  under the sigmoid link

so that a form is two passes, `take` and `pull_back`, and keeps no more in between than will be the gradient. Where the
loss could be traced (verdict.py), its value and slopes come of the first pass, and autograd sees one operation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from whyloss.stats import region_blocks
from whyloss.stats.autocast import without_autocast
from whyloss.stats.engine import transformed
from whyloss.stats.kernels import absent
from whyloss.stats.pixels import Pixels
from whyloss.stats.rows import computing_dtype
from whyloss.stats.verdict import Judge
from whyloss.stats.visible import visible

FEW = 8  # pixels


class Sums(NamedTuple):
    """Each [N, C], in the computing dtype."""

    intersection: Tensor
    prediction: Tensor
    target: Tensor
    pixels: Tensor


def all_present(sums: Sums) -> bool:
    """Whether there are regions, and all are known to hold their class. Nothing is known of the symbols that a loss is
    traced with."""
    target = sums.target
    if not isinstance(target, Tensor) or not visible(target):  # pyright: ignore[reportUnnecessaryIsInstance]
        return False
    return target.numel() > 0 and target.amin().item() > 0


class Form(NamedTuple):
    """take(z, pixels): the sums as [4, N, C]. reach(z, pixels, judge, weight): the value, and what `pull_back` needs
    of its slopes. pull_back(z, pixels, slopes): the gradient of z, from the slopes of intersection and prediction,
    [2, N, C], or from what `reach` left and what that is to be multiplied by."""

    take: Callable[[Tensor, Pixels], Tensor]
    reach: Callable[[Tensor, Pixels, Any, Tensor | None], tuple[Tensor, Tensor | None]]
    pull_back: Callable[..., Tensor]


def _form(name: str, gradient: bool) -> Form:
    if name == "blocks":
        passes = region_blocks.Passes(keep=gradient)
        return Form(passes.take, passes.reach, passes.pull_back)
    from whyloss.stats.kernels import region, verdict  # loads Triton

    def reach(z: Tensor, pixels: Pixels, judge: Any, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        return verdict.reach(judge, region.partial_sums(z, pixels), weight)

    return Form(region.take, reach, region.pull_back)


def sums(z: Tensor, pixels: Pixels, together: bool = False) -> Sums:
    """The sums of logits [N, C, P] over the pixels of each image; [C] over those of all images together."""
    name, _ = choose(z, pixels)
    if name == "reference":
        found = reference(z, pixels)
        return Sums(*(x.sum(0) for x in found)) if together else found
    form = _form(name, torch.is_grad_enabled() and z.requires_grad)
    return Sums(*_Passes.apply(z, pixels.target, pixels.weight, pixels, form, together))  # pyright: ignore


def choose(z: Tensor, pixels: Pixels) -> tuple[str, str]:
    """The form's name, and the reason in words."""
    if torch.compiler.is_compiling():
        return "reference", "inside torch.compile, whose own fusion takes the place of an engine"
    others = (pixels.target,) if pixels.weight is None else (pixels.target, pixels.weight)
    if transformed(z) or any(map(transformed, others)):
        return "reference", "inside a torch.func transform, which needs plain differentiable operations"
    if any(x.requires_grad for x in others):
        return "reference", "something besides the logits needs a gradient"
    if z.shape[2] < FEW:
        return "reference", f"fewer than {FEW} pixels an image: its sums are as many numbers as its logits"
    if z.device.type == "cpu":
        return "blocks", "sums over regions, logits on the CPU: two passes in cache-sized blocks of pixels"
    reason = _no_kernels(z, pixels)
    if reason:
        return "reference", reason
    return "kernels", "sums over regions, logits on a GPU: two passes, each one Triton kernel"


def _no_kernels(z: Tensor, pixels: Pixels) -> str:
    """Why the kernels do not fit, or nothing."""
    if z.dtype == torch.float64:
        return "float64 logits, and the kernels compute in float32"
    if pixels.link == "softmax" and not pixels.labelled:
        return "masks under the softmax link; the kernels read one label a pixel, or the masks of the sigmoid link"
    return absent(z.device)


def reference(z: Tensor, pixels: Pixels) -> Sums:
    """The sums in plain differentiable torch."""
    z = z.to(computing_dtype(z))
    t = pixels.read(z.dtype)
    ignored = pixels.ignored(t)
    u = pixels.counted(ignored, z.dtype)
    z = torch.where(u == 0, 0.0, z)  # before anything is computed, so that no NaN of an ignored pixel gets out
    p = torch.softmax(z, 1) if pixels.link == "softmax" else torch.sigmoid(z)
    prediction = (p * u).sum(2)
    count = u.sum(2).expand_as(prediction)
    if not pixels.labelled:
        mask = torch.where(ignored, 0.0, t) * u
        return Sums((p * mask).sum(2), prediction, mask.sum(2), count)
    label, u = torch.where(ignored.squeeze(1), 0, t), u.squeeze(1)
    hit = p.gather(1, label.unsqueeze(1)).squeeze(1) * u
    # Scattered sums are taken one by one, not pairwise; float64 carries them over a large image.
    zero = torch.zeros_like(prediction, dtype=torch.float64)
    intersection, target = (zero.scatter_add(1, label, x.double()).to(p.dtype) for x in (hit, u))
    return Sums(intersection, prediction, target, count)


def judged(
    z: Tensor, pixels: Pixels, name: str, judge: Judge, weight: Tensor | None, again: Callable[[Sums], Tensor]
) -> Tensor:
    """The value of a loss that has a judge, by the form of this name; for kernels it is one that was traced. weight:
    [C] of the classes. `again` makes the value of the sums in differentiable torch, for derivatives of the
    derivative."""
    form = _form(name, torch.is_grad_enabled() and z.requires_grad)
    given = (z, pixels.target, pixels.weight, weight, pixels, form, judge, again)
    return _Judged.apply(*given)  # pyright: ignore[reportReturnType]


class _Judged(torch.autograd.Function):
    """Sums, verdict and pull-back."""

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        target: Tensor,
        weight: Tensor | None,
        of_classes: Tensor | None,
        pixels: Pixels,
        form: Form,
        judge: Judge,
        again: Callable[[Sums], Tensor],
    ) -> Tensor:
        value, kept = form.reach(z, pixels, judge, of_classes)
        ctx.save_for_backward(z, kept, target, weight, of_classes)
        ctx.pixels, ctx.form, ctx.again = pixels, form, again
        return value

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        z, kept, *_ = ctx.saved_tensors  # the others only to hear of it if they were written to
        with without_autocast(z.device.type):  # backward() may be called inside one
            if torch.is_grad_enabled():
                value = ctx.again(reference(z, ctx.pixels))
                (gradient,) = torch.autograd.grad(value, z, upstream, create_graph=True)
            else:
                gradient = ctx.form.pull_back(z, ctx.pixels, kept, *upstream)
        return (gradient, *(None,) * 7)


class _Passes(torch.autograd.Function):
    """The two passes of a form. A derivative of the derivative goes through the reference form."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, target: Tensor, weight: Tensor | None, pixels: Pixels, form: Form, together: bool
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(z, target, weight)
        ctx.pixels, ctx.form = pixels, form
        ctx.set_materialize_grads(False)
        taken = form.take(z, pixels)
        found = (taken.sum(1) if together else taken).to(computing_dtype(z)).unbind()
        ctx.mark_non_differentiable(*found[2:])
        return found

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        z, _, _ = ctx.saved_tensors  # the others only to hear of it if they were written to
        slopes = [_of_images(slope, z) for slope in upstream[:2]]
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            found = reference(z, ctx.pixels)[:2]
            (gradient,) = torch.autograd.grad(found, z, slopes, create_graph=True)
        else:
            with without_autocast(z.device.type):  # backward() may be called inside one
                gradient = ctx.form.pull_back(z, ctx.pixels, torch.stack(slopes))
        return gradient, None, None, None, None, None


def _of_images(slope: Tensor | None, z: Tensor) -> Tensor:
    """[N, C], from what may be the same for all images, [C], or nothing."""
    if slope is None:
        return z.new_zeros(z.shape[:2], dtype=computing_dtype(z))
    return slope if slope.ndim == 2 else slope.expand(z.shape[:2])
