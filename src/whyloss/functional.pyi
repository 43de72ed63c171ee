"""Every loss as a function. Written by `make stubs` from the classes; not to be edited."""

from collections.abc import Callable
from typing import Any, Literal, TypedDict, Unpack

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
    validate: bool | None
    engine: Literal["auto", "reference", "dense", "triton"]
    sample_weight: Tensor | None
    normalizer: float | Tensor | None

class LabelledOptions(TypedDict, total=False):
    weight: Tensor | None
    ignore_index: int
    reduction: Literal["mean", "sum", "none"]
    link: Literal["softmax", "sigmoid"]
    adjust: Adjustment | None
    label_smoothing: float
    smoothing_over: Literal["all", "others"]
    smoothing_weight: Literal["class", "sample"]
    empty: Literal["zero", "nan"]
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

class LabelSetOptions(TypedDict, total=False):
    weight: Tensor | None
    ignore_index: int
    reduction: Literal["mean", "sum", "none"]
    empty: str
    validate: bool | None
    sample_weight: Tensor | None
    normalizer: float | Tensor | None

class BatchOptions(TypedDict, total=False):
    ignore_index: int
    link: Literal["softmax", "sigmoid"]
    empty: Literal["zero", "nan"]
    validate: bool | None
    sample_weight: Tensor | None
    normalizer: float | Tensor | None

class Options(TypedDict, total=False):
    sample_weight: Tensor | None
    normalizer: float | Tensor | None

def functional(cls: type[Loss]) -> Callable[..., Tensor]: ...
def cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def exponential_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def multiclass_exponential_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def perceptron_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def binary_perceptron_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def jensen_shannon_consistency_loss(
    logits: Tensor,
    target: Tensor,
    *,
    views: Tensor,
    factor: float = 12.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def distillation_loss(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 2.0,
    teacher: Literal["logits", "probabilities"] = "logits",
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def labelled_distillation_loss(
    logits: Tensor,
    target: Tensor,
    *,
    labels: Tensor,
    temperature: float = 2.0,
    teacher: Literal["logits", "probabilities"] = "logits",
    share: float = 0.9,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def jensen_shannon_distillation_loss(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    teacher: Literal["logits", "probabilities"] = "logits",
    beta: float = 0.5,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def total_variation_distillation_loss(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    teacher: Literal["logits", "probabilities"] = "logits",
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def evidential_loss(
    logits: Tensor,
    target: Tensor,
    *,
    risk: Literal["squared", "likelihood", "cross-entropy"] = "squared",
    evidence: Literal["softplus", "relu", "exp"] = "softplus",
    kl: float = 1.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def entmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.5,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def entmax15_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.5,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def sparsemax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def normmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def fenchel_young_loss(
    logits: Tensor,
    target: Tensor,
    *,
    omega: Callable[..., Any] | None = None,
    argmax: Callable[..., Any] | None = None,
    **options: Unpack[LabelledOptions],
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
def entropic_open_set_loss(
    logits: Tensor,
    target: Tensor,
    *,
    outlier: int = -1,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def objectosphere_loss(
    logits: Tensor,
    target: Tensor,
    *,
    features: Tensor,
    outlier: int = -1,
    xi: float = 10.0,
    factor: float = 0.0001,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def outlier_exposure_loss(
    logits: Tensor,
    target: Tensor,
    *,
    outlier: int = -1,
    factor: float = 0.5,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def energy_hinge_loss(
    logits: Tensor,
    target: Tensor,
    *,
    outlier: int = -1,
    inside: float = -23.0,
    outside: float = -5.0,
    factor: float = 0.1,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def poly_n_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    epsilons: tuple[float, ...] = (1.0, 1.0),
    **options: Unpack[RowOptions],
) -> Tensor: ...
def max_sup_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.1,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def spherical_score_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def pseudospherical_score_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def power_score_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def soft_capped_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    cap: float = 30.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def logit_norm_loss(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 0.04,
    floor: float = 0.01,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def taylor_softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    order: int = 2,
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
def bi_tempered_logistic_loss(
    logits: Tensor,
    target: Tensor,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
    **options: Unpack[LabelledOptions],
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
