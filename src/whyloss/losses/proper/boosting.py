"""Losses older than the likelihood's rule over them: the perceptron's and those that boosting minimises."""

import torch
from torch import Tensor

from whyloss.losses.loss import Link, RowLoss

# From this exponent on the exponential goes on as its tangent: float32 ends at e^88, and its sums before that.
STEEPEST = 60.0


class ExponentialLoss(RowLoss):
    """What AdaBoost minimises: the most wrong rows weigh exponentially more, so noise in the labels ruins it.

    Labels 0 and 1 stand for -1 and +1 and the logit is f. At the optimum f is half the log-odds: the probabilities are
    sigmoid(2 f), not sigmoid(f); with `adjust=Adjustment(scale=0.5)` they are sigmoid of the logit, and the loss is
    proper. With the softmax link it is the sum over the wrong classes, sum over j != y of exp(z_j - z_y).

    An exponent above 60, where numbers of 32 bits come to their end, is continued in a straight line.

    Formula: exp(-y f). Source: Friedman, Hastie & Tibshirani 2000, Ann. Statist. 28, lemma 1; with several classes
    Mukherjee & Schapire 2013, JMLR 14.

    >>> import torch, whyloss
    >>> whyloss.ExponentialLoss()(torch.tensor([0.0, 1.0]), torch.tensor([1, 1]))
    tensor(0.6839)
    """

    link: Link = "sigmoid"
    source = "Friedman, Hastie & Tibshirani 2000, Ann. Statist. 28, lemma 1"
    short = ("exponential", "adaboost")
    equation = "exp(-y f); sum_{j != y} exp(z_j - z_y)"
    proper = False
    bounded = False
    symmetric = False
    convex = True

    def formula(self, log_odds: Tensor) -> Tensor:
        return _exp(-log_odds)


class MulticlassExponentialLoss(RowLoss):
    """What SAMME, AdaBoost for several classes, minimises: exponential in the label's lead over the mean of the others.

    At the optimum the probabilities are softmax(z / (C - 1)); with two classes softmax(z). The paper constrains the
    logits to sum to 0; here a constant added to them changes nothing, which comes to the same. An exponent above 60 is
    continued in a straight line.

    Formula: exp(-(z_y - mean over j != y of z_j) / C). Source: Zhu et al. 2009, Statistics and Its Interface 2.

    >>> import torch, whyloss
    >>> whyloss.MulticlassExponentialLoss()(torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([0]))
    tensor(0.3679)
    """

    source = "Zhu et al. 2009, Statistics and Its Interface 2"
    short = ("samme",)
    equation = "exp(-(z_y - mean_{j != y} z_j) / C)"
    proper = False
    bounded = False
    symmetric = False
    convex = True

    def formula(self, log_odds: Tensor, rest_log_p: Tensor, rest_count: Tensor) -> Tensor:
        lead = log_odds - rest_log_p / rest_count.clamp_min(1)
        return _exp(-lead / (rest_count + 1))


def _exp(x: Tensor) -> Tensor:
    """e^x, continued beyond STEEPEST as its tangent."""
    inside = x.clamp_max(STEEPEST)
    return torch.exp(inside) * (1 + (x - inside))


class PerceptronLoss(RowLoss):
    """Costs what the winning class leads the label by, and nothing once the label wins: a hinge without a margin.

    Content with the narrowest lead, so it separates classes but says nothing of probabilities. All logits equal cost
    nothing, though their gradient is not 0.

    Formula: max_k z_k - z_y. Source: Rosenblatt 1958; with several classes Collins 2002, "Discriminative training
    methods for hidden Markov models".

    >>> import torch, whyloss
    >>> whyloss.PerceptronLoss()(torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([0]))
    tensor(2.)
    """

    source = "Rosenblatt 1958; Collins 2002"
    short = ("perceptron",)
    equation = "max_k z_k - z_y"
    proper = False
    bounded = False
    symmetric = False
    convex = True

    def formula(self, logit: Tensor, rival: Tensor) -> Tensor:
        return (rival - logit).clamp_min(0)


class BinaryPerceptronLoss(PerceptronLoss):
    """The perceptron's own loss of yes-or-no questions: labels 0 and 1 stand for -1 and +1, max(0, -y f).

    Formula: max(0, -y f) with f the logit. Source: Rosenblatt 1958.

    >>> import torch, whyloss
    >>> whyloss.BinaryPerceptronLoss()(torch.tensor([-2.0, 3.0]), torch.tensor([1, 1]))
    tensor(1.)
    """

    link: Link = "sigmoid"
    source = "Rosenblatt 1958"
    short = ("binary-perceptron",)
    equation = "max(0, -y f)"
