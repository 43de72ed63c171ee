"""How far probabilities lie from the truth where the truth is known, and the temperature that mends them.

The truth stands in for the labels, so that no error is left from drawing them. Knows logits; no losses, no claims."""

from math import log

import torch
from torch import Tensor

BINS = 15
COLD, HOT = 1e-6, 1e6  # sharpness 1 / T between these is unbounded for every practical purpose


def top_class(logits: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """(..., rows): the probability of the class that is decided for, as the model says and as it truly is."""
    said, chosen = torch.softmax(logits.double(), -1).max(-1)
    return said, p.expand(logits.shape).gather(-1, chosen.unsqueeze(-1)).squeeze(-1)


def calibration_error(said: Tensor, true: Tensor) -> Tensor:
    """Expected calibration error of stated probabilities over bins of equally many rows, with the true probability in
    place of the label. (..., rows), (..., rows) -> (...)."""
    said, order = said.sort(-1)
    gaps = (said - true.gather(-1, order)).tensor_split(BINS, -1)
    return torch.stack([gap.sum(-1).abs() for gap in gaps]).sum(0) / said.shape[-1]


def reliability(said: Tensor, true: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What was said in each bin, and what is true there, over all seeds: a line of a picture."""
    order = said.flatten().argsort()
    x, y = (tuple(float(b.mean()) for b in side.flatten()[order].tensor_split(BINS)) for side in (said, true))
    return x, y


def best_sharpness(logits: Tensor, labels: Tensor) -> Tensor:
    """1 / temperature of the smallest log loss on these rows, without bounds: it is convex in it, so its slope is
    bisected. (..., rows, C), (..., rows) -> (...)."""
    z = logits.double()
    hit = z.gather(-1, labels.unsqueeze(-1)).squeeze(-1).mean(-1)
    low, high = (torch.full(hit.shape, log(end), dtype=z.dtype) for end in (COLD, HOT))
    for _ in range(30):
        middle = (low + high) / 2
        p = torch.softmax(z * middle.exp()[..., None, None], -1)
        rising = (p * z).sum(-1).mean(-1) > hit
        low, high = torch.where(rising, low, middle), torch.where(rising, middle, high)
    return ((low + high) / 2).exp()


def true_accuracy(logits: Tensor, p: Tensor) -> Tensor:
    """The accuracy that these decisions have on average over the labels."""
    return top_class(logits, p)[1].mean(-1)
