"""Every classification loss, exact and fast, and the measured reason to choose one.

>>> import torch, whyloss
>>> loss = whyloss.FocalLoss(gamma=2.0)
>>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
tensor(0.7019)

Names are loaded when they are first used, so that the command line starts without torch."""

# ruff: noqa: F403 - only type checkers see the star imports; at run time names come from the catalogue

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whyloss import functional as functional
    from whyloss.losses.adjust import Adjustment as Adjustment
    from whyloss.losses.adjust import LogitAdjustment as LogitAdjustment
    from whyloss.losses.adjust import balanced_weights as balanced_weights
    from whyloss.losses.adjust import deferred_weights as deferred_weights
    from whyloss.losses.adjust import effective_number_weights as effective_number_weights
    from whyloss.losses.batch import BatchLoss as BatchLoss
    from whyloss.losses.continuous import *
    from whyloss.losses.continuous.bins import Bins as Bins
    from whyloss.losses.explain import explain_engine as explain_engine
    from whyloss.losses.formula import statistics as statistics
    from whyloss.losses.imbalance import *
    from whyloss.losses.imbalance.counts import class_counts as class_counts
    from whyloss.losses.label_sets import LabelSetLoss as LabelSetLoss
    from whyloss.losses.loss import LabelledLoss as LabelledLoss
    from whyloss.losses.loss import Loss as Loss
    from whyloss.losses.loss import RowLoss as RowLoss
    from whyloss.losses.margin import *
    from whyloss.losses.margin.cosine import margin_annealing as margin_annealing
    from whyloss.losses.margin.head import CosineHead as CosineHead
    from whyloss.losses.multilabel import *
    from whyloss.losses.proper import *
    from whyloss.losses.proper.simplex import entmax as entmax
    from whyloss.losses.proper.simplex import normmax as normmax
    from whyloss.losses.proper.simplex import sparsemax as sparsemax
    from whyloss.losses.proper.simplex import tempered_softmax as tempered_softmax
    from whyloss.losses.region import *
    from whyloss.losses.relations import *
    from whyloss.losses.relations.heads import CoralHead as CoralHead
    from whyloss.losses.relations.heads import CornHead as CornHead
    from whyloss.losses.relations.heads import CumulativeLinkHead as CumulativeLinkHead
    from whyloss.losses.relations.soft_targets import beta_targets as beta_targets
    from whyloss.losses.relations.soft_targets import binomial_targets as binomial_targets
    from whyloss.losses.relations.soft_targets import distance_targets as distance_targets
    from whyloss.losses.relations.soft_targets import poisson_targets as poisson_targets
    from whyloss.losses.relations.soft_targets import triangular_targets as triangular_targets
    from whyloss.losses.relations.tree import Tree as Tree
    from whyloss.losses.robust import *
    from whyloss.losses.robust.active_passive import active_passive as active_passive
    from whyloss.losses.robust.negative_learning import complementary_labels as complementary_labels
    from whyloss.losses.robust.transitions import anchor_transition as anchor_transition
    from whyloss.losses.robust.transitions import confident_joint as confident_joint
    from whyloss.losses.robust.transitions import confident_transition as confident_transition
    from whyloss.losses.robust.transitions import pair_transition as pair_transition
    from whyloss.losses.robust.transitions import symmetric_transition as symmetric_transition
    from whyloss.losses.whole import WholeRowLoss as WholeRowLoss

__version__ = "0.1.0"

# What is no loss of the catalogue: bases, and helpers of losses.
_HOME = {
    "Loss": "loss",
    "LabelledLoss": "loss",
    "RowLoss": "loss",
    "WholeRowLoss": "whole",
    "LabelSetLoss": "label_sets",
    "BatchLoss": "batch",
    "RegionLoss": "region.region",
    "PairLoss": "region.combined",
    "RegionMapLoss": "region.maps",
    "smoothed_by_neighbours": "region.neighbours",
    "signed_distance": "region.distance",
    "soft_skeleton": "region.skeleton",
    "ThresholdLoss": "relations.thresholds",
    "SoftLabelLoss": "relations.soft_labels",
    "BinnedLoss": "continuous.binned",
    "Bins": "continuous.bins",
    "TreeLoss": "relations.hierarchy",
    "Tree": "relations.tree",
    "CoralHead": "relations.heads",
    "CornHead": "relations.heads",
    "CumulativeLinkHead": "relations.heads",
    "distance_targets": "relations.soft_targets",
    "poisson_targets": "relations.soft_targets",
    "binomial_targets": "relations.soft_targets",
    "beta_targets": "relations.soft_targets",
    "triangular_targets": "relations.soft_targets",
    "distance_cost": "relations.costs",
    "RankingLoss": "imbalance.ranking",
    "ConfusionLoss": "imbalance.confusion",
    "HardExamples": "imbalance.hard",
    "statistics": "formula",
    "Adjustment": "adjust",
    "LogitAdjustment": "adjust",
    "active_passive": "robust.active_passive",
    "anchor_transition": "robust.transitions",
    "balanced_weights": "adjust",
    "complementary_labels": "robust.negative_learning",
    "confident_joint": "robust.transitions",
    "confident_transition": "robust.transitions",
    "deferred_weights": "adjust",
    "effective_number_weights": "adjust",
    "CosineHead": "margin.head",
    "margin_annealing": "margin.cosine",
    "class_counts": "imbalance.counts",
    "sparsemax": "proper.simplex",
    "entmax": "proper.simplex",
    "normmax": "proper.simplex",
    "tempered_softmax": "proper.simplex",
    "LogitNormalization": "proper.rewritten",
    "TaylorSoftmax": "proper.rewritten",
    "explain_engine": "explain",
    "pair_transition": "robust.transitions",
    "symmetric_transition": "robust.transitions",
}


def __getattr__(name: str) -> Any:
    if name == "functional":
        return import_module("whyloss.functional")
    if name.startswith("_"):
        raise AttributeError(name)
    if name in _HOME:
        return getattr(import_module(f"whyloss.losses.{_HOME[name]}"), name)
    losses = import_module("whyloss.losses.catalogue").catalogue()
    if name in losses:
        return losses[name]
    raise AttributeError(f"whyloss has no {name!r}")


def __dir__() -> list[str]:
    return sorted([*_HOME, "functional", "__version__", *import_module("whyloss.losses.catalogue").catalogue()])
