"""Losses that know how labels go wrong: corrected by the matrix of the rates at which classes are mistaken."""

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss


class ForwardCorrectionLoss(RowLoss):
    """Cross-entropy of what the *given* labels should look like, if the true ones were corrupted with known rates.

    The model's probabilities then aim at the true labels. As good as its transition matrix.

    Args:
        transition: [C, C], rows sum to 1; entry (i, j) is the rate at which true class i is labelled j.

    Formula: -log sum_i T_iy p_i. Source: Patrini et al. 2017, arXiv:1609.03683, theorem 2.

    >>> import torch, whyloss
    >>> T = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    >>> whyloss.ForwardCorrectionLoss(transition=T)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5978)
    """

    transition: Tensor
    source = "Patrini et al. 2017, arXiv:1609.03683, theorem 2"
    short = ("forward",)
    equation = "-log sum_i T_iy p_i"
    symmetric = False
    convex = None

    @property
    def table(self) -> Tensor:
        return self.transition.T

    def check(self) -> None:
        super().check()
        _check_transition(self)

    def formula(self, log_expected: Tensor) -> Tensor:
        return -log_expected


class BackwardCorrectionLoss(RowLoss):
    """Cross-entropy averaged over labels so that, under the known noise, its expectation is that of clean labels.

    Unbiased, and of high variance: single rows can be negative and without bound below.

    Args:
        transition: [C, C], invertible, rows sum to 1; entry (i, j) is the rate at which true class i is labelled j.

    Formula: -sum_j (T^-1)_yj log p_j. Source: Patrini et al. 2017, arXiv:1609.03683, theorem 1.

    >>> import torch, whyloss
    >>> T = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    >>> whyloss.BackwardCorrectionLoss(transition=T)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6931)
    """

    transition: Tensor
    source = "Patrini et al. 2017, arXiv:1609.03683, theorem 1"
    short = ("backward",)
    equation = "-sum_j (T^-1)_yj log p_j"
    symmetric = False
    bounded = False
    soft_labelled = True

    def check(self) -> None:
        super().check()
        _check_transition(self)
        rank = int(torch.linalg.matrix_rank(self.transition))
        self.require(rank == len(self.transition), "an invertible transition matrix", f"one of rank {rank}")

    def derive(self) -> None:
        super().derive()
        self.derive_buffer("inverse", torch.linalg.inv(self.transition.double()), persistent=True)

    @property
    def table(self) -> Tensor:
        return self.get_buffer("inverse")

    def formula(self, affine_log_p: Tensor) -> Tensor:
        return -affine_log_p


def _check_transition(loss: ForwardCorrectionLoss | BackwardCorrectionLoss) -> None:
    t = loss.transition
    square = t.ndim == 2 and t.shape[0] == t.shape[1]
    loss.require(square, "a square transition matrix [C, C]", tuple(t.shape))
    rows_sum = bool(((t.sum(1) - 1).abs() < 1e-3).all()) and bool((t >= 0).all())
    loss.require(rows_sum, "a transition matrix >= 0 whose rows (true class) sum to 1", f"row sums {t.sum(1).tolist()}")
