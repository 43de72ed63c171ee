"""Every loss as a function. Written by `make stubs` from the classes; not to be edited."""

from collections.abc import Callable
from typing import Any, Literal, TypedDict, Unpack

from torch import Tensor

from whyloss.losses.adjust import Adjustment
from whyloss.losses.continuous.bins import Bins
from whyloss.losses.loss import Loss
from whyloss.losses.relations.tree import Tree

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
    inplace: bool
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
    empty: Literal["zero", "nan"]
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

class BinnedOptions(TypedDict, total=False):
    reduction: Literal["mean", "sum", "none"]
    ignore_nan: bool
    empty: Literal["zero", "nan"]
    validate: bool | None
    engine: Literal["auto", "reference", "dense", "triton"]
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
def bi_tempered_logistic_loss(
    logits: Tensor,
    target: Tensor,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
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
def evidential_loss(
    logits: Tensor,
    target: Tensor,
    *,
    risk: Literal["squared", "likelihood", "cross-entropy"] = "squared",
    evidence: Literal["softplus", "relu", "exp"] = "softplus",
    kl: float = 1.0,
    **options: Unpack[LabelledOptions],
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
def jensen_shannon_consistency_loss(
    logits: Tensor,
    target: Tensor,
    *,
    views: Tensor,
    factor: float = 12.0,
    **options: Unpack[LabelledOptions],
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
def unhinged_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def taylor_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    order: int = 2,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def partially_huberized_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    tau: float = 10.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def truncated_generalized_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    q: float = 0.7,
    k: float = 0.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def soft_bootstrapping_loss(
    logits: Tensor,
    target: Tensor,
    *,
    beta: float = 0.95,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def hard_bootstrapping_loss(
    logits: Tensor,
    target: Tensor,
    *,
    beta: float = 0.8,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def jensen_shannon_loss(
    logits: Tensor,
    target: Tensor,
    *,
    label_share: float = 0.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def generalized_jensen_shannon_loss(
    logits: Tensor,
    target: Tensor,
    *,
    views: Tensor,
    label_share: float = 0.5,
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
def normalized_negative_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    floor: float = 1e-07,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def normalized_negative_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    floor: float = 1e-07,
    gamma: float = 0.5,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def prediction_balance_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[BatchOptions],
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
def negative_learning_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def selective_negative_learning_loss(
    logits: Tensor,
    target: Tensor,
    *,
    complement: Tensor,
    threshold: float | None = None,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def selective_positive_learning_loss(
    logits: Tensor,
    target: Tensor,
    *,
    threshold: float = 0.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def determinant_mutual_information_loss(
    logits: Tensor,
    target: Tensor,
    *,
    floor: float = 1e-06,
    **options: Unpack[BatchOptions],
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
def reduced_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    threshold: float = 0.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def batch_normalized_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def quality_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    beta: float = 2.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def varifocal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.75,
    gamma: float = 2.0,
    **options: Unpack[LabelledOptions],
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
def vector_scaling_loss(
    logits: Tensor,
    target: Tensor,
    *,
    counts: Tensor,
    gamma: float = 0.15,
    tau: float = 1.25,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def class_dependent_temperature_loss(
    logits: Tensor,
    target: Tensor,
    *,
    counts: Tensor,
    gamma: float = 0.3,
    tau: float = 0.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def equalization_loss(
    logits: Tensor,
    target: Tensor,
    *,
    frequency: Tensor,
    threshold: float = 0.00176,
    **options: Unpack[LabelSetOptions],
) -> Tensor: ...
def balanced_binary_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    over: Literal["batch", "image", "label"] = "batch",
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def hard_example_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    loss: Loss | None = None,
    keep: float = 0.25,
    threshold: float | None = None,
    **options: Unpack[Options],
) -> Tensor: ...
def pairwise_auc_loss(
    logits: Tensor,
    target: Tensor,
    *,
    surrogate: Literal["squared_hinge", "hinge", "logistic"] = "squared_hinge",
    margin: float = 1.0,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def partial_auc_loss(
    logits: Tensor,
    target: Tensor,
    *,
    surrogate: Literal["squared_hinge", "hinge", "logistic"] = "squared_hinge",
    margin: float = 1.0,
    fpr: float = 0.3,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def soft_partial_auc_loss(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    margin: float = 1.0,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def smooth_average_precision_loss(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 0.1,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def top_push_loss(
    logits: Tensor,
    target: Tensor,
    *,
    margin: float = 1.0,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def recall_at_quantile_loss(
    logits: Tensor,
    target: Tensor,
    *,
    quantile: float = 0.1,
    margin: float = 1.0,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def soft_f1_loss(
    logits: Tensor,
    target: Tensor,
    *,
    average: Literal["macro", "micro"] = "macro",
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def soft_mcc_loss(
    logits: Tensor,
    target: Tensor,
    *,
    average: Literal["macro", "micro"] = "macro",
    **options: Unpack[BatchOptions],
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
def weston_watkins_loss(
    logits: Tensor,
    target: Tensor,
    *,
    margin: float = 1.0,
    power: int = 1,
    summed: bool = False,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def smooth_hinge_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def modified_huber_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def soft_margin_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def norm_face_loss(
    logits: Tensor,
    target: Tensor,
    *,
    scale: float = 30.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def cos_face_loss(
    logits: Tensor,
    target: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.35,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def arc_face_loss(
    logits: Tensor,
    target: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def sub_center_arc_face_loss(
    logits: Tensor,
    target: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.5,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def sphere_face_loss(
    logits: Tensor,
    target: Tensor,
    *,
    scale: float = 30.0,
    margin: int = 4,
    annealing: float = 0.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def soft_triple_loss(
    logits: Tensor,
    target: Tensor,
    *,
    scale: float = 20.0,
    margin: float = 0.01,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def fixed_ada_cos_loss(
    logits: Tensor,
    target: Tensor,
    *,
    classes: int,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def p2_s_grad_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def large_margin_softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    norm: Tensor,
    margin: int = 4,
    annealing: float = 0.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def angular_softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    norm: Tensor,
    margin: int = 4,
    annealing: float = 0.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def mag_face_loss(
    logits: Tensor,
    target: Tensor,
    *,
    norm: Tensor,
    scale: float = 64.0,
    low: float = 10.0,
    high: float = 110.0,
    least: float = 0.45,
    most: float = 0.8,
    pull: float = 35.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def expected_cost_loss(
    logits: Tensor,
    target: Tensor,
    *,
    cost: Tensor,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def optimal_transport_loss(
    logits: Tensor,
    target: Tensor,
    *,
    cost: Tensor,
    epsilon: float = 0.1,
    iterations: int = 20,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def squared_earth_mover_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def class_distance_weighted_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 5.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def slace_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def sord_loss(
    logits: Tensor,
    target: Tensor,
    *,
    classes: int,
    eta: float = 1.0,
    alpha: float = 1.0,
    distance_power: float = 1.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def exponential_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    classes: int,
    eta: float = 1.0,
    tau: float = 1.0,
    distance_power: float = 1.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def poisson_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    classes: int,
    eta: float = 1.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def binomial_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    classes: int,
    eta: float = 1.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def beta_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    classes: int,
    eta: float = 1.0,
    concentration: float = 4.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def triangular_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    classes: int,
    eta: float = 1.0,
    alpha: float = 0.05,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def coral_loss(
    logits: Tensor,
    target: Tensor,
    *,
    importance: Tensor | None = None,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def corn_loss(
    logits: Tensor,
    target: Tensor,
    *,
    mean_over: Literal["questions", "rows"] = "questions",
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def cumulative_link_loss(
    logits: Tensor,
    target: Tensor,
    *,
    curve: Literal["logit", "probit", "cloglog"] = "logit",
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def ecoc_distance_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def weighted_kappa_loss(
    logits: Tensor,
    target: Tensor,
    *,
    exponent: float = 2.0,
    log: bool = True,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def hierarchical_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    tree: Tree,
    alpha: float = 0.1,
    counted_from: Literal["root", "leaves"] = "root",
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def hierarchical_log_loss(
    logits: Tensor,
    target: Tensor,
    *,
    tree: Tree,
    alpha: float = 1.0,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def word_tree_loss(
    logits: Tensor,
    target: Tensor,
    *,
    tree: Tree,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def soft_hierarchy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    distance: Tensor,
    beta: float = 10.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def multi_label_soft_margin_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[LabelSetOptions],
) -> Tensor: ...
def multi_label_margin_loss(
    logits: Tensor,
    target: Tensor,
    *,
    margin: float = 1.0,
    **options: Unpack[LabelSetOptions],
) -> Tensor: ...
def zlpr_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[LabelSetOptions],
) -> Tensor: ...
def listwise_softmax_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[LabelSetOptions],
) -> Tensor: ...
def candidate_set_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[LabelSetOptions],
) -> Tensor: ...
def risk_consistent_candidates_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[LabelSetOptions],
) -> Tensor: ...
def two_way_loss(
    logits: Tensor,
    target: Tensor,
    *,
    positive_temperature: float = 4.0,
    negative_temperature: float = 1.0,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def asymmetric_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def hill_loss(
    logits: Tensor,
    target: Tensor,
    *,
    lam: float = 1.5,
    margin: float = 1.0,
    gamma: float = 2.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def self_paced_correction_loss(
    logits: Tensor,
    target: Tensor,
    *,
    tau: float = 0.6,
    margin: float = 1.0,
    gamma: float = 2.0,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def selective_partial_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
    unannotated: int = -1,
    gamma_unannotated: float = 4.0,
    top: int = 5,
    priors: Tensor | None = None,
    max_prior: float = 0.05,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def positive_unlabelled_loss(
    logits: Tensor,
    target: Tensor,
    *,
    prior: float,
    surrogate: Literal["sigmoid", "logistic"] = "sigmoid",
    nonnegative: bool = True,
    beta: float = 0.0,
    gamma: float = 1.0,
    **options: Unpack[BatchOptions],
) -> Tensor: ...
def distribution_balanced_loss(
    logits: Tensor,
    target: Tensor,
    *,
    counts: Tensor,
    samples: int,
    alpha: float = 0.1,
    beta: float = 10.0,
    mu: float = 0.2,
    lam: float = 2.0,
    kappa: float = 0.05,
    **options: Unpack[LabelSetOptions],
) -> Tensor: ...
def hl_gauss_loss(
    logits: Tensor,
    target: Tensor,
    *,
    bins: Bins,
    sigma: float = 0.75,
    **options: Unpack[BinnedOptions],
) -> Tensor: ...
def two_hot_loss(
    logits: Tensor,
    target: Tensor,
    *,
    bins: Bins,
    **options: Unpack[BinnedOptions],
) -> Tensor: ...
def distribution_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    bins: Bins | None = None,
    **options: Unpack[BinnedOptions],
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
def focal_tversky_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 1.3333333333333333,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def log_dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 1.0,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def squared_dice_loss(
    logits: Tensor,
    target: Tensor,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def dice_semimetric_loss(
    logits: Tensor,
    target: Tensor,
    *,
    variant: Literal[1, 2] = 1,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def jaccard_metric_loss(
    logits: Tensor,
    target: Tensor,
    *,
    variant: Literal[1, 2] = 1,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def generalized_dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    power: float = 2.0,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def generalized_wasserstein_dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    distances: Tensor,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def lovasz_softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    charge: Literal["mean", "largest"] = "mean",
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def lovasz_hinge_loss(
    logits: Tensor,
    target: Tensor,
    *,
    charge: Literal["mean", "largest"] = "mean",
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def dice_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    label_smoothing: float = 0.0,
    dice_weight: float = 1.0,
    pixel_weight: float = 1.0,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def dice_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    label_smoothing: float = 0.0,
    dice_weight: float = 1.0,
    pixel_weight: float = 1.0,
    gamma: float = 2.0,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def unified_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    label_smoothing: float = 0.0,
    balance: float = 0.5,
    delta: float = 0.6,
    gamma: float = 0.5,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def asymmetric_unified_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    label_smoothing: float = 0.0,
    balance: float = 0.5,
    delta: float = 0.6,
    gamma: float = 0.5,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def exponential_logarithmic_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 0.3,
    **options: Unpack[RowOptions],
) -> Tensor: ...
def exponential_logarithmic_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 0.3,
    label_smoothing: float = 0.0,
    dice_weight: float = 0.8,
    pixel_weight: float = 0.2,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def centerline_dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.5,
    iterations: int = 5,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def boundary_loss(
    logits: Tensor,
    target: Tensor,
    *,
    distance: Tensor = ...,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def hausdorff_distance_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def hausdorff_erosion_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    erosions: int = 10,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
def spatially_varying_label_smoothing_loss(
    logits: Tensor,
    target: Tensor,
    *,
    sigma: float = 1.0,
    radius: int = 1,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def neighbor_aware_calibration_loss(
    logits: Tensor,
    target: Tensor,
    *,
    penalty: float = 0.1,
    norm: int = 1,
    radius: int = 1,
    **options: Unpack[LabelledOptions],
) -> Tensor: ...
def region_mutual_information_loss(
    logits: Tensor,
    target: Tensor,
    *,
    label_smoothing: float = 0.0,
    balance: float = 0.5,
    side: int = 3,
    stride: int = 3,
    epsilon: float = 1e-06,
    **options: Unpack[RegionOptions],
) -> Tensor: ...
