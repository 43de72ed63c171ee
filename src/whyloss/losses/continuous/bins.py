"""Bins: numbers as classes. Where the bins are, what distribution over them a number becomes, and the way back."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from whyloss.stats.visible import visible


class Bins(nn.Module):
    """Neighbouring intervals of the line, and the number that each of them stands for. Part of a loss and of a model.

    Args:
        edges: [B + 1], rising.
        support: [B], rising, one number for each bin; None: the middles of the bins.

    >>> import torch, whyloss
    >>> bins = whyloss.Bins.uniform(0.0, 1.0, 4)
    >>> bins.support
    tensor([0.1250, 0.3750, 0.6250, 0.8750])
    >>> bins.mean(torch.zeros(1, 4))
    tensor([0.5000])
    """

    edges: Tensor
    support: Tensor

    def __init__(self, edges: Tensor | Sequence[float], support: Tensor | Sequence[float] | None = None):
        super().__init__()
        edges = torch.as_tensor(edges, dtype=torch.float64)
        middles = (edges[1:] + edges[:-1]) / 2
        support = middles if support is None else torch.as_tensor(support, dtype=torch.float64)
        for name, x in (("edges", edges), ("support", support)):
            if x.ndim != 1 or not bool(torch.isfinite(x).all()) or not bool((x.diff() > 0).all()):
                raise ValueError(f"Bins: {name} must be finite numbers that rise, got {x.tolist()[:6]}.")
        if len(edges) < 3 or len(support) != len(edges) - 1:
            raise ValueError(
                f"Bins: {len(edges)} edges and {len(support)} support points; B + 1 and B >= 2 are needed."
            )
        self.register_buffer("edges", edges.float(), persistent=False)
        self.register_buffer("support", support.float(), persistent=False)

    @classmethod
    def uniform(cls, low: float, high: float, count: int) -> "Bins":
        """`count` bins of one width between two numbers; they stand for their middles."""
        return cls(torch.linspace(low, high, count + 1, dtype=torch.float64))

    @classmethod
    def around(cls, support: Tensor | Sequence[float]) -> "Bins":
        """Bins about given numbers, with the edges halfway between these.

        >>> import whyloss
        >>> whyloss.Bins.around([0, 1, 2]).edges
        tensor([-0.5000,  0.5000,  1.5000,  2.5000])
        """
        points = torch.as_tensor(support, dtype=torch.float64)
        if points.ndim != 1 or len(points) < 2:
            raise ValueError(f"Bins.around: at least two numbers are needed, got {points.tolist()}.")
        halves = (points[1:] + points[:-1]) / 2
        return cls(torch.cat([2 * points[:1] - halves[:1], halves, 2 * points[-1:] - halves[-1:]]), points)

    @classmethod
    def atoms(cls, low: float, high: float, count: int) -> "Bins":
        """Bins about `count` evenly spaced numbers from `low` to `high`, both included, as in C51."""
        return cls.around(torch.linspace(low, high, count, dtype=torch.float64))

    @classmethod
    def symlog(cls, low: float, high: float, count: int) -> "Bins":
        """Bins about numbers that are evenly spaced in sign(x) log(1 + |x|): fine near 0, wide far out.

        >>> import whyloss
        >>> whyloss.Bins.symlog(-100.0, 100.0, 5).support
        tensor([-100.0000,   -9.0499,    0.0000,    9.0499,  100.0000])
        """
        ends = torch.tensor([low, high], dtype=torch.float64)
        first, last = (ends.sign() * ends.abs().log1p()).tolist()
        x = torch.linspace(first, last, count, dtype=torch.float64)
        return cls.around(x.sign() * x.abs().expm1())

    @classmethod
    def quantiles(cls, values: Tensor, count: int) -> "Bins":
        """Bins that hold equally many of `values`; they stand for the means of what they hold."""
        x = values.detach().double().flatten().sort().values
        edges = torch.quantile(x, torch.linspace(0, 1, count + 1, dtype=torch.float64, device=x.device))
        if not bool((edges.diff() > 0).all()):
            raise ValueError(f"Bins.quantiles: {len(x)} values have too few different ones for {count} bins.")
        place = torch.bucketize(x, edges[1:-1], right=True)
        total = torch.zeros(count, dtype=x.dtype, device=x.device).index_add_(0, place, x)
        return cls(edges, total / torch.bincount(place, minlength=count))

    @property
    def count(self) -> int:
        return len(self.support)

    # From numbers [...] to distributions [..., B].

    def two_hot(self, values: Tensor) -> Tensor:
        """All mass on the two support points beside a number, so that the mean is the number; on the end beyond it.

        >>> import torch, whyloss
        >>> whyloss.Bins.atoms(0, 3, 4).two_hot(torch.tensor([0.25, 2.0, 9.0]))
        tensor([[0.7500, 0.2500, 0.0000, 0.0000],
                [0.0000, 0.0000, 1.0000, 0.0000],
                [0.0000, 0.0000, 0.0000, 1.0000]])
        """
        points = self.support.to(values.dtype)
        x = values.clamp(points[0], points[-1]).contiguous()
        right = torch.bucketize(x, points[1:-1], right=True) + 1
        low, high = points[right - 1], points[right]
        share = (x - low) / (high - low)
        nothing = share.new_zeros(*share.shape, self.count)
        return nothing.scatter(-1, torch.stack([right - 1, right], -1), torch.stack([1 - share, share], -1))

    def gaussian(self, values: Tensor, sigma: float | Tensor) -> Tensor:
        """The masses of a normal distribution about a number, cut off at the ends; all on the end far beyond it.

        >>> import torch, whyloss
        >>> whyloss.Bins.uniform(0, 3, 3).gaussian(torch.tensor([1.5, 1e6]), sigma=0.75)
        tensor([[0.2407, 0.5186, 0.2407],
                [0.0000, 0.0000, 1.0000]])
        """
        # In float64. Of both tails at an edge the smaller one is taken, so that masses are no differences of what is
        # nearly 1; the two of the bin that holds the number are what it lacks.
        edges = self.edges.double()
        v = values.double().unsqueeze(-1)
        if not _all_between(v, *self.edges[:: self.count]):
            masses = _between(_tails_far_out(edges, v, sigma))
        else:
            # Beyond some standard deviations a mass is too small to write down.
            reach = (14 if values.dtype == torch.float32 else 39) * sigma
            first = torch.searchsorted(edges, v - reach).sub_(1)
            width = int((torch.searchsorted(edges, v + reach) - first).max()) + 1
            if width < self.count:
                first.clamp_(0, self.count + 1 - width)
                known = edges.unfold(0, width, 1).index_select(0, first.flatten()).reshape(*values.shape, width)
                near = _between(_tails(known, v, sigma))
                near = near.div_(near.sum(-1, keepdim=True)).to(values.dtype)
                masses = near.new_zeros(*values.shape, self.count)
                return masses.scatter_(-1, first + torch.arange(width - 1, device=v.device), near)
            masses = _between(_tails(edges, v, sigma))
        return (masses / masses.sum(-1, keepdim=True)).to(values.dtype)

    def project(self, values: Tensor, probabilities: Tensor) -> Tensor:
        """[..., B] from numbers [..., M] and their probabilities: the mass of each to the support points beside it.

        With values r + gamma * support this is the distributional Bellman backup of C51.

        >>> import torch, whyloss
        >>> bins = whyloss.Bins.atoms(0, 2, 3)
        >>> bins.project(torch.tensor([0.5, 1.5]), torch.tensor([0.5, 0.5]))
        tensor([0.2500, 0.5000, 0.2500])
        """
        return (self.two_hot(values) * probabilities.unsqueeze(-1)).sum(-2)

    # From logits [N, B, ...] back to numbers [N, ...].

    def mean(self, logits: Tensor) -> Tensor:
        """The expected number."""
        p = _last(logits).softmax(-1)
        return p @ self.support.to(p.dtype)

    def mode(self, logits: Tensor) -> Tensor:
        """The number of the likeliest bin."""
        return self.support.to(logits.dtype)[_last(logits).argmax(-1)]

    def median(self, logits: Tensor) -> Tensor:
        """The number that half of the mass lies below, taken as evenly spread within its bin."""
        return self.quantile(logits, 0.5)

    def quantile(self, logits: Tensor, level: float) -> Tensor:
        """The number that this share of the mass lies below, taken as evenly spread within its bin.

        >>> import torch, whyloss
        >>> whyloss.Bins.uniform(0, 4, 4).quantile(torch.zeros(1, 4), 0.1)
        tensor([0.4000])
        """
        if not 0 <= level <= 1:
            raise ValueError(f"Bins.quantile: 0 <= level <= 1 is needed, got {level}.")
        p = _last(logits).softmax(-1)
        up_to = p.cumsum(-1)
        place = (up_to < level * up_to[..., -1:]).sum(-1, keepdim=True).clamp_max(self.count - 1)
        mass = p.gather(-1, place)
        share = (level * up_to[..., -1:] - (up_to.gather(-1, place) - mass)) / mass
        edges = self.edges.to(p.dtype)
        low, high = edges[place], edges[place + 1]
        return torch.lerp(low, high, share.clamp(0, 1)).squeeze(-1)

    def extra_repr(self) -> str:
        return f"{self.count} bins from {float(self.edges[0]):g} to {float(self.edges[-1]):g}"


def _all_between(v: Tensor, low: Tensor, high: Tensor) -> bool:
    """Whether that is known, at the cost of one look."""
    if not visible(v) or not v.numel():
        return False
    least, most = v.aminmax()
    return least.item() >= low.item() and most.item() <= high.item()


def _between(tails: Tensor) -> Tensor:
    """Twice the masses between edges. Where the sign of the tails changes the whole mass of 1 is missing."""
    above = torch.signbit(tails).to(tails.dtype)
    return tails.diff(dim=-1).add_(above.diff(dim=-1), alpha=2)


def _tails(edges: Tensor, v: Tensor, sigma: float | Tensor) -> Tensor:
    """Twice the smaller tail of a normal distribution about v at every edge: of what lies below it, or less what lies
    above."""
    below = (v - edges).div_(sigma * 2**0.5)
    return torch.special.erfc(below.abs()).copysign_(below)


def _tails_far_out(edges: Tensor, v: Tensor, sigma: float | Tensor) -> Tensor:
    """The same for numbers beyond the edges, up to a factor, so that what is small stays a number.

    A tail is erfcx times a bell, whose height is told relative to the range's point next to the number. From `far`
    beyond the ends on, the end bin has all but exp(-1000) of the mass, and nothing changes any more."""
    far = 1000 * sigma * (1 + sigma / edges.diff().min())
    v = v.clamp(edges[0] - far, edges[-1] + far)
    z, near = (edges - v) / sigma, (v.clamp(edges[0], edges[-1]) - v) / sigma
    beyond = torch.special.erfcx(z.abs() / 2**0.5) * torch.exp((near - z) * (near + z) / 2)
    return torch.where(z > 0, -beyond, beyond)


def _last(logits: Tensor) -> Tensor:
    return logits if logits.ndim < 2 else logits.movedim(1, -1)
