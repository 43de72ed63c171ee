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
    from whyloss.losses.explain import explain_engine as explain_engine
    from whyloss.losses.imbalance import *
    from whyloss.losses.label_sets import LabelSetLoss as LabelSetLoss
    from whyloss.losses.loss import LabelledLoss as LabelledLoss
    from whyloss.losses.loss import Loss as Loss
    from whyloss.losses.loss import RowLoss as RowLoss
    from whyloss.losses.loss import statistics as statistics
    from whyloss.losses.margin import *
    from whyloss.losses.multilabel import *
    from whyloss.losses.proper import *
    from whyloss.losses.proper.simplex import entmax as entmax
    from whyloss.losses.proper.simplex import normmax as normmax
    from whyloss.losses.proper.simplex import sparsemax as sparsemax
    from whyloss.losses.proper.simplex import tempered_softmax as tempered_softmax
    from whyloss.losses.region import *
    from whyloss.losses.relations import *
    from whyloss.losses.robust import *
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
    "statistics": "loss",
    "Adjustment": "adjust",
    "LogitAdjustment": "adjust",
    "balanced_weights": "adjust",
    "deferred_weights": "adjust",
    "effective_number_weights": "adjust",
    "sparsemax": "proper.simplex",
    "entmax": "proper.simplex",
    "normmax": "proper.simplex",
    "tempered_softmax": "proper.simplex",
    "LogitNormalization": "proper.rewritten",
    "TaylorSoftmax": "proper.rewritten",
    "explain_engine": "explain",
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
