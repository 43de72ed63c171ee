"""Cross-entropy of logits that went through a function first: capped, normalised, or of another exponential.

Each is an `Adjustment`, which any other loss can have too."""

from math import factorial

import torch
from torch import Tensor

from whyloss.losses.adjust import Adjustment
from whyloss.losses.proper.likelihood import CrossEntropyLoss


class LogitNormalization(Adjustment):
    """Divides a row of logits by its length and by a temperature, for any loss with the softmax link.

    Args:
        temperature: > 0.
        floor: > 0; a row shorter than this is divided by it instead of its length.

    >>> import torch, whyloss
    >>> adjust = whyloss.LogitNormalization(temperature=0.5)
    >>> adjust.rewritten(torch.tensor([[3.0, 4.0]]))
    tensor([[1.2000, 1.6000]])
    """

    temperature: float = 0.04
    floor: float = 0.01

    def check(self) -> None:
        super().check()
        self.require(self.temperature > 0, "temperature > 0", self.temperature)
        self.require(self.floor > 0, "floor > 0", self.floor)

    def rewritten(self, logits: Tensor) -> Tensor:
        z = super().rewritten(logits)
        masked = torch.isneginf(z)
        z = torch.where(masked, 0.0, z)
        size = z.detach().abs().amax(1, keepdim=True).clamp_min(self.floor)  # its square does not overflow
        length = (z / size).square().sum(1, keepdim=True).clamp_min((self.floor / size) ** 2).sqrt()
        return torch.where(masked, -torch.inf, z / size / (self.temperature * length))


class TaylorSoftmax(Adjustment):
    """Replaces the softmax's exponential by its Taylor polynomial, for any loss: a logit z becomes log f(z).

    Args:
        order: of the polynomial; even, so that it is above 0 everywhere.

    >>> import torch, whyloss
    >>> whyloss.TaylorSoftmax(order=2).rewritten(torch.tensor([[1.0, -1.0]])).exp()
    tensor([[2.5000, 0.5000]])
    """

    order: int = 2

    def check(self) -> None:
        super().check()
        self.require(self.order >= 2 and self.order % 2 == 0, "an even order >= 2", self.order)

    def rewritten(self, logits: Tensor) -> Tensor:
        z = super().rewritten(logits)
        masked, far = torch.isneginf(z), z.abs() > 1
        near = torch.where(far, 0.0, z)
        inverse = 1 / torch.where(far & ~masked, z, 1.0)  # z^n (1/n! + 1/(n-1)! / z + ...) does not overflow
        low, high = torch.zeros_like(z), torch.zeros_like(z)
        for k in range(self.order, -1, -1):
            low = low * near + 1 / factorial(k)
            high = high * inverse + 1 / factorial(self.order - k)
        value = torch.where(far, torch.log(high) - self.order * torch.log(inverse.abs()), torch.log(low))
        return torch.where(masked, -torch.inf, value)


class SoftCappedCrossEntropyLoss(CrossEntropyLoss):
    """Cross-entropy of logits that are kept within a range by a hyperbolic tangent, as in Gemma 2.

    Keeps large models' logits from growing; also keeps any probability from 0 and 1: with two classes p_y is between
    sigmoid(-2 cap) and sigmoid(2 cap). `Adjustment(softcap=...)` does the same for any loss. Use the capped logits for
    probabilities.

    Args:
        cap: > 0; logits stay between -cap and cap.

    Formula: -log softmax(cap tanh(z / cap))_y. Source: Gemma Team 2024, arXiv:2408.00118, section 2.

    >>> import torch, whyloss
    >>> whyloss.SoftCappedCrossEntropyLoss(cap=2.0)(torch.tensor([[0.0, 100.0]]), torch.tensor([0]))
    tensor(2.1269)
    """

    cap: float = 30.0
    source = "Gemma Team 2024, arXiv:2408.00118, section 2"
    short = ("softcap",)
    equation = "-log softmax(cap tanh(z / cap))_y"
    proper = None
    bounded = None
    symmetric = False
    convex = False

    def check(self) -> None:
        super().check()
        self.require(self.cap > 0, "cap > 0", self.cap)

    def own_adjust(self) -> Adjustment:
        return Adjustment(softcap=self.cap)


class LogitNormLoss(CrossEntropyLoss):
    """Cross-entropy of logits of a fixed length: a row cannot become surer by longer logits, only by their direction.

    What remains of confidence tells outliers from known classes better. The paper divides by the length plus 1e-7,
    which gives logits of 0 a gradient of 1e8; here rows shorter than `floor` are divided by it.

    Args:
        temperature: > 0; the smaller, the surer a row can get: 0.04 for 10 classes, smaller for more.
        floor: > 0; bounds the gradient by about 1 / (temperature floor).

    Formula: -log softmax(z / (temperature |z|))_y with the Euclidean length |z|.
    Source: Wei et al. 2022, arXiv:2205.09310, eq. 5.

    >>> import torch, whyloss
    >>> whyloss.LogitNormLoss(temperature=1.0)(torch.tensor([[3.0, 4.0]]), torch.tensor([0]))
    tensor(0.7981)
    """

    temperature: float = 0.04
    floor: float = 0.01
    source = "Wei et al. 2022, arXiv:2205.09310, eq. 5"
    short = ("logitnorm",)
    equation = "-log softmax(z / (temperature |z|))_y"
    links = ("softmax",)
    proper = False
    bounded = None
    symmetric = False
    convex = False

    def own_adjust(self) -> Adjustment:
        return LogitNormalization(temperature=self.temperature, floor=self.floor)


class TaylorSoftmaxLoss(CrossEntropyLoss):
    """Cross-entropy of a softmax whose exponential is a polynomial: tails fall off with a power, so far rows pull less.

    The loss grows with the logarithm of the logits.

    The polynomial has its least value at a negative logit; classes far *below* that gain probability again. Bias and
    scale of the head have to keep logits above it.

    Args:
        order: even, >= 2.

    Formula: -log(f(z_y) / sum_j f(z_j)) with f(z) = sum over i <= order of z^i / i!.
    Source: de Brébisson & Vincent 2016, arXiv:1511.05042, section 3.2; Banerjee et al. 2020, arXiv:2011.11538.

    >>> import torch, whyloss
    >>> whyloss.TaylorSoftmaxLoss()(torch.tensor([[1.0, -1.0]]), torch.tensor([0]))
    tensor(0.1823)
    """

    order: int = 2
    source = "de Brébisson & Vincent 2016, arXiv:1511.05042, section 3.2"
    short = ("taylor-softmax",)
    equation = "-log(f(z_y) / sum_j f(z_j)), f(z) = sum_{i <= order} z^i / i!"
    links = ("softmax",)
    proper = None
    bounded = None
    symmetric = False
    convex = False

    def own_adjust(self) -> Adjustment:
        return TaylorSoftmax(order=self.order)
