"""Other people's implementations of the losses beyond the sums, under the name of their package.

The forms were checked against the releases named here. What a package makes from the number of classes alone is made
once, and not in every call."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from .beyond import FACTOR, FALSE_NEGATIVES, FALSE_POSITIVES, GAP, POWER, SCALE, T1, T2, TURN, VIEWS
from .peer import Call, Entry, OnHead, OnLogits


def _made(module: str, name: str, *arguments: Any, **options: Any) -> Callable[[], Call]:
    return lambda: getattr(import_module(module), name)(*arguments, **options)


def _of_count(module: str, make: Callable[[Any, int], Any], more: int = 0) -> Callable[[], OnLogits]:
    """The loss of the package that `make` builds for so many classes: as many as there are logits, and `more`."""

    def build() -> OnLogits:
        package = import_module(module)

        @cache
        def loss(classes: int) -> Any:
            return make(package, classes)

        return lambda z, y: loss(z.shape[1] + more)(z, y)

    return build


def _ordinal(name: str, **options: Any) -> Callable[[], OnLogits]:  # dlordinal 2.7
    return _of_count(
        "dlordinal.losses", lambda package, classes: getattr(package, name)(num_classes=classes, **options)
    )


def _triangular(package: Any, classes: int) -> Any:
    return package.TriangularLoss(torch.nn.CrossEntropyLoss(), classes)


def _code_distance() -> OnLogits:
    """Theirs takes probabilities, and is the sum over the rows."""
    loss = _of_count("dlordinal.losses", lambda package, classes: package.OrdinalECOCDistanceLoss(classes), 1)()
    return lambda z, y: loss(torch.sigmoid(z), y) / len(z)


def _coral() -> OnLogits:  # coral-pytorch 1.4
    loss = import_module("coral_pytorch.losses").CoralLoss()
    # The answers are made here: the package's own way is a loop over the rows.
    return lambda z, y: loss(z, (y.unsqueeze(1) > torch.arange(z.shape[1], device=z.device)).to(z.dtype))


def _hl_gauss(package: Any, bins: int) -> Any:  # hl-gauss-pytorch 0.3
    return package.HLGaussLoss(0.0, 1.0, bins, sigma=0.75 / bins, warn_out_of_range=False)


def _jsd() -> Call:  # timm 1.0
    return import_module("timm.loss").JsdCrossEntropy(num_splits=VIEWS, alpha=FACTOR, smoothing=0)


def _bi_tempered() -> OnLogits:  # pytorch-toolbelt 0.8
    loss = import_module("pytorch_toolbelt.losses").BiTemperedLogisticLoss(t1=T1, t2=T2, ignore_index=-100)
    return lambda z, y: loss(z, y)


def _auc() -> OnLogits:  # libauc 2.0
    loss = import_module("libauc.losses").PairwiseAUCLoss(surr_loss="squared_hinge")
    return lambda z, y: loss(z.reshape(-1), y.reshape(-1))


def _monai(name: str, **options: Any) -> Callable[[], OnLogits]:  # 1.6
    def build() -> OnLogits:
        loss = getattr(import_module("monai.losses"), name)(softmax=True, to_onehot_y=True, **options)
        return lambda z, y: loss(z, y.unsqueeze(1))

    return build


def _wasserstein(package: Any, classes: int) -> Any:
    loss = package.GeneralizedWassersteinDiceLoss(1 - torch.eye(classes), smooth_nr=0.0, smooth_dr=0.0)
    call: OnLogits = lambda z, y: loss(z, y.unsqueeze(1))  # noqa: E731
    return call


def _neighbours(package: Any, classes: int) -> Any:
    return package.NACLLoss(classes, 2, alpha=0.1 * classes)  # the mean over the classes, not their sum


def _kornia(name: str, *arguments: Any) -> Callable[[], OnLogits]:  # 0.9
    def build() -> OnLogits:
        loss = getattr(import_module("kornia.losses"), name)
        return lambda z, y: loss(z, y, *arguments)

    return build


def _smp(name: str, **options: Any) -> Callable[[], Call]:  # segmentation-models-pytorch 0.6
    return _made("segmentation_models_pytorch.losses", name, "multiclass", **options)


def _angular(name: str, **options: Any) -> Callable[[], OnHead]:  # pytorch-metric-learning 2.9
    def build() -> OnHead:
        package = import_module("pytorch_metric_learning.losses")

        @cache
        def made(classes: int, width: int) -> Any:
            return getattr(package, name)(classes, width, scale=SCALE, **options)

        def call(hidden: Tensor, weight: Tensor, y: Tensor) -> Tensor:
            loss = made(*weight.shape)
            loss._parameters.pop("W", None)  # which would hide the weight that wants a gradient
            loss.W = weight.T
            return loss(hidden, y)

        return call

    return build


EXACT: dict[str, Any] = {"smooth_nr": 0.0, "smooth_dr": 0.0}
SHARES: dict[str, Any] = {"alpha": FALSE_POSITIVES, "beta": FALSE_NEGATIVES}

ENTRIES: dict[str, tuple[Entry, ...]] = {
    "dlordinal": (
        Entry("rows", "squared-earth-mover", "dlordinal", _ordinal("EMDLoss")),
        Entry("rows", "class-distance", "dlordinal", _ordinal("CDWCELoss", alpha=POWER)),
        Entry("rows", "triangular", "dlordinal", _of_count("dlordinal.losses", _triangular), same=False),
        Entry("rows", "sord", "dlordinal", _ordinal("SORDLoss", alpha=1.0, train_targets=None)),
        Entry("rows", "slace", "dlordinal", _ordinal("SLACELoss", alpha=1.0)),
        Entry("rows", "weighted-kappa", "dlordinal", _ordinal("WKLoss", use_logits=True, use_logarithm=True)),
        Entry("steps", "code-distance", "dlordinal", _code_distance),
        Entry("steps", "corn", "dlordinal", _of_count("dlordinal.losses", lambda p, c: p.CORNLoss(c), 1)),
    ),
    "entmax": (  # 1.3
        Entry("rows", "sparsemax", "entmax", _made("entmax", "SparsemaxLoss")),
        Entry("rows", "entmax-1.5", "entmax", _made("entmax", "Entmax15Loss")),
        Entry("rows", "entmax-1.3", "entmax", _made("entmax", "EntmaxBisectLoss", alpha=1.3)),
        Entry("rows", "normmax", "entmax", _made("entmax", "NormmaxBisectLoss", alpha=2)),
    ),
    "coral-pytorch": (
        Entry("steps", "coral", "coral-pytorch", _coral),
        Entry("steps", "corn", "coral-pytorch", _of_count("coral_pytorch.losses", lambda p, c: p.CornLoss(c), 1)),
    ),
    "hl-gauss-pytorch": (Entry("bins", "hl-gauss", "hl-gauss-pytorch", _of_count("hl_gauss_pytorch", _hl_gauss)),),
    "pytorch-toolbelt": (Entry("rows", "bi-tempered", "pytorch-toolbelt", _bi_tempered),),
    "libauc": (Entry("scores", "pairwise-auc", "libauc", _auc),),
    "timm": (
        Entry("rows", "consistency", "timm", _jsd),
        Entry("sets", "zlpr", "timm", _made("timm.loss", "ZlprLoss")),
        Entry("sets", "two-way", "timm", _made("timm.loss", "TwoWayLoss")),
    ),
    "monai": (
        Entry("masks", "jaccard", "monai", _monai("DiceLoss", jaccard=True, batch=True, **EXACT)),
        Entry("masks", "tversky", "monai", _monai("TverskyLoss", **SHARES, **EXACT)),
        Entry("masks", "generalized-dice", "monai", _monai("GeneralizedDiceLoss", **EXACT)),
        Entry("masks", "wasserstein-dice", "monai", _of_count("monai.losses", _wasserstein)),
        Entry("masks", "soft-mcc", "monai", _monai("MCCLoss", batch=True)),
        Entry("masks", "neighbours", "monai, zeros around", _of_count("monai.losses", _neighbours), same=False),
        Entry("masks", "centerline-dice", "monai, classes at once", _monai("SoftclDiceLoss"), same=False),
        Entry("masks", "boundary", "monai, other borders", _monai("BoundaryLoss"), same=False),
        Entry(
            "masks", "hausdorff", "monai, other borders", _monai("HausdorffDTLoss", include_background=True), same=False
        ),
    ),
    "kornia": (
        Entry("masks", "lovasz", "kornia", _kornia("lovasz_softmax_loss")),
        Entry("masks", "tversky", "kornia", _kornia("tversky_loss", FALSE_POSITIVES, FALSE_NEGATIVES)),
    ),
    "segmentation-models-pytorch": (
        Entry("masks", "jaccard", "smp", _smp("JaccardLoss")),
        Entry("masks", "lovasz", "smp", _smp("LovaszLoss", per_image=True)),
    ),
    "pytorch-metric-learning": (
        Entry("cosines", "arcface", "pytorch-metric-learning", _angular("ArcFaceLoss", margin=TURN * 180 / torch.pi)),
        Entry("cosines", "cosface", "pytorch-metric-learning", _angular("CosFaceLoss", margin=GAP)),
    ),
}
