"""Every loss as a function. Written by `make stubs` from the classes; not to be edited."""

from collections.abc import Callable
from typing import Literal, TypedDict, Unpack

from torch import Tensor

from whyloss.losses.adjust import Adjustment
from whyloss.losses.loss import Loss

class RowOptions(TypedDict, total=False):
    weight: Tensor | None
    ignore_index: int
    reduction: Literal["mean", "sum", "none"]
    link: Literal["softmax", "sigmoid"]
    adjust: Adjustment | None
    label_smoothing: float
    smoothing_over: Literal["all", "others"]
    smoothing_weight: Literal["class", "sample"]
    empty: Literal["zero", "nan"]
    engine: Literal["auto", "reference", "dense", "triton"]
    inplace: bool
    validate: bool | None
    sample_weight: Tensor | None
    normalizer: float | Tensor | None

class RegionOptions(TypedDict, total=False):
    weight: Tensor | None
    ignore_index: int
    reduction: Literal["mean", "sum", "none"]
    link: Literal["softmax", "sigmoid"]
    over: Literal["image", "batch", "world"]
    absent: Literal["penalise", "skip", "zero"]
    background: bool
    smooth: float
    validate: bool | None
    sample_weight: Tensor | None
    normalizer: float | Tensor | None

def functional(cls: type[Loss]) -> Callable[..., Tensor]: ...
def cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def binary_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def label_smoothing_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def brier_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def squared_logit_loss(
    logits: Tensor,
    target: Tensor,
    *,
    k: float = 1.0,
    m: float = 1.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def poly1_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    epsilon: float = 1.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def poly1_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    epsilon: float = 1.0,
    gamma: float = 2.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def z_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.0001,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def confidence_penalty_loss(
    logits: Tensor,
    target: Tensor,
    *,
    beta: float = 0.1,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def mean_absolute_error_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def generalized_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    q: float = 0.7,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def reverse_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    a: float = -4.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def symmetric_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    a: float = -4.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def normalized_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def normalized_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 0.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def asymmetric_generalized_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    a: float = 1.0,
    q: float = 2.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def asymmetric_unhinged_loss(
    logits: Tensor,
    target: Tensor,
    *,
    a: float = 6.3,
    q: float = 1.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def asymmetric_exponential_loss(
    logits: Tensor,
    target: Tensor,
    *,
    a: float = 2.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def forward_correction_loss(
    logits: Tensor,
    target: Tensor,
    *,
    transition: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def backward_correction_loss(
    logits: Tensor,
    target: Tensor,
    *,
    transition: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def sigmoid_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def class_balanced_loss(
    logits: Tensor,
    target: Tensor,
    *,
    counts: Tensor,
    beta: float | None = 0.999,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def logit_adjusted_loss(
    logits: Tensor,
    target: Tensor,
    *,
    counts: Tensor,
    tau: float = 1.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def balanced_softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    counts: Tensor,
    tau: float = 1.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def ldam_loss(
    logits: Tensor,
    target: Tensor,
    *,
    counts: Tensor,
    max_margin: float = 0.5,
    scale: float = 30.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def multiclass_hinge_loss(
    logits: Tensor,
    target: Tensor,
    *,
    margin: float = 1.0,
    power: int = 1,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def binary_hinge_loss(
    logits: Tensor,
    target: Tensor,
    *,
    margin: float = 1.0,
    power: int = 1,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def dice_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def jaccard_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def tversky_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def dice_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    dice_weight: float = 1.0,
    pixel_weight: float = 1.0,
    label_smoothing: float = 0.0,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def dice_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    dice_weight: float = 1.0,
    pixel_weight: float = 1.0,
    label_smoothing: float = 0.0,
    gamma: float = 2.0,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
