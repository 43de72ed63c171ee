"""Losses for unequal classes: values by hand, what they generalise, what they remember."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from instances import rows, soft, value_and_gradient
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

import whyloss
from whyloss.stats.each import lse_of_others
from whyloss.stats.exact import HUGE

COUNTS = torch.tensor([50.0, 30.0, 15.0, 5.0])
RARE = torch.tensor([0.5, 0.4, 0.099, 0.001])


def answers() -> tuple[Tensor, Tensor]:
    z, y = rows(8)
    return z, one_hot(y, 4)


def same(one: whyloss.Loss, other: whyloss.Loss, z: Tensor, y: Tensor, factor: float = 1.0) -> None:
    for ours, theirs in zip(value_and_gradient(one, z, y), value_and_gradient(other, z, y), strict=True):
        torch.testing.assert_close(ours, factor * theirs)


# --- what they generalise --------------------------------------------------------------------------------------------

CE = whyloss.CrossEntropyLoss()


@pytest.mark.parametrize(
    ("general", "special"),
    [
        (whyloss.ReducedFocalLoss(gamma=0.0), CE),
        (whyloss.BatchNormalizedFocalLoss(gamma=0.0), CE),
        (
            whyloss.VectorScalingLoss(counts=COUNTS, gamma=0.0, tau=1.5),
            whyloss.LogitAdjustedLoss(counts=COUNTS, tau=1.5),
        ),
        (
            whyloss.VectorScalingLoss(counts=COUNTS, gamma=0.4, tau=0.0),
            whyloss.ClassDependentTemperatureLoss(counts=COUNTS, gamma=0.4),
        ),
        (whyloss.ClassDependentTemperatureLoss(counts=COUNTS, gamma=0.0), CE),
        (whyloss.SeesawLoss(counts=COUNTS, p=0.0, q=0.0), CE),
        (whyloss.SeesawLoss(counts=torch.ones(4), q=0.0), CE),
        (whyloss.SoftmaxEqualizationLoss(frequency=RARE, threshold=0.0), CE),
        (whyloss.SoftmaxEqualizationLoss(frequency=RARE, gamma=0.0), CE),
        (whyloss.HardExampleCrossEntropyLoss(keep=1.0), CE),
        (whyloss.HardExampleCrossEntropyLoss(keep=12), CE),
        (whyloss.HardExamples(whyloss.BrierLoss(), keep=0.01, threshold=1.0), whyloss.BrierLoss()),
    ],
    ids=lambda loss: repr(loss).splitlines()[0],
)
def test_a_generalisation_equals_what_it_generalises(general: whyloss.Loss, special: whyloss.Loss):
    z, y = rows(12)
    same(general, special, z, y)
    same(general, special, z, soft(12))


def test_those_of_yes_and_no():
    z, y = answers()
    bce = whyloss.BinaryCrossEntropyLoss()
    focal = whyloss.SigmoidFocalLoss(alpha=0.5, gamma=1.5)
    same(whyloss.QualityFocalLoss(beta=1.5), focal, z, y, 2)
    same(whyloss.QualityFocalLoss(beta=0.0), bce, z, torch.linspace(0, 1, 32, dtype=z.dtype).reshape(8, 4))
    same(whyloss.GradientHarmonizingLoss(bins=1), bce, z, y)
    same(whyloss.BatchNormalizedFocalLoss(link="sigmoid", gamma=0.0), bce, z, y)
    same(whyloss.EqualizationLoss(frequency=RARE, threshold=0.0), bce, z, y, 4)  # a row is the sum over its classes
    same(whyloss.EqualizationV2Loss(classes=4), bce, z, y, 4)
    half = torch.tensor([[1, 1, 0, 0]] * 8)
    same(whyloss.BalancedBinaryCrossEntropyLoss(), bce, z, half, 0.5)


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_reduced_focal_is_cross_entropy_below_its_threshold():
    p = torch.tensor([0.1, 0.29, 0.31, 0.9], dtype=torch.float64)
    z, y = torch.stack([p.logit(), 0 * p], 1), torch.zeros(4).long()
    found = whyloss.ReducedFocalLoss(threshold=0.3, reduction="none")(z, y)
    factor = torch.tensor([1, 1, (0.69 / 0.3) ** 2, (0.1 / 0.3) ** 2])
    torch.testing.assert_close(found, -factor * p.log())


def test_batch_normalised_focal_is_a_weighted_mean_with_weights_held():
    z, y = rows(8)
    z.requires_grad_()
    log_p = torch.log_softmax(z, 1)[torch.arange(8), y]
    focus = (1 - log_p.exp()) ** 2
    (expected,) = torch.autograd.grad((-focus * log_p).sum() / focus.sum().detach(), z)
    value, gradient = value_and_gradient(whyloss.BatchNormalizedFocalLoss(), z, y)
    torch.testing.assert_close(value, ((-focus * log_p).sum() / focus.sum()).detach())
    torch.testing.assert_close(gradient, expected)
    # Rows so easy that (1 - p)^gamma is 0 in float32 still have a mean.
    easy = torch.tensor([[60.0, 0.0], [61.0, 0.0]])
    value = whyloss.BatchNormalizedFocalLoss()(easy, torch.zeros(2).long())
    expected = math.exp(-60) * (1 + math.exp(-3)) / (1 + math.exp(-2))
    assert value.item() == pytest.approx(expected, rel=1e-5, abs=0)


def test_qualities_are_numbers_to_meet_and_no_mixtures():
    z = torch.logit(torch.tensor([0.3, 0.7], dtype=torch.float64))
    t = torch.tensor([0.3, 0.2], dtype=torch.float64)
    value, gradient = value_and_gradient(whyloss.QualityFocalLoss(reduction="none"), z, t)
    assert value.tolist() == pytest.approx([0, 0.25 * -(0.2 * math.log(0.7) + 0.8 * math.log(0.3))])
    assert gradient[0].item() == pytest.approx(0, abs=1e-15)
    value = whyloss.VarifocalLoss(alpha=0.5, gamma=1.0, reduction="none")(z, torch.tensor([0.0, 0.2]))
    mixed = -0.2 * (0.2 * math.log(0.7) + 0.8 * math.log(0.3))
    assert value.tolist() == pytest.approx([-0.5 * 0.3 * math.log(0.7), mixed])


def test_the_density_of_gradients():
    """Three answers in the first bin of four, one in the last: 1/4 of the cost of each, shared by those in the bin."""
    z = torch.tensor([-2.0, -3.0, -4.0, 5.0]).double()
    loss = whyloss.GradientHarmonizingLoss(bins=4, momentum=0.5)
    each = torch.log1p(z.exp())
    first = (each[:3].mean() + each[3]) / 4
    torch.testing.assert_close(loss(z, torch.zeros(4)), first)
    assert loss.counts.tolist() == [3, 0, 0, 1]
    torch.testing.assert_close(loss(z[:1], torch.zeros(1)), each[0] / 4 / (0.5 * 3 + 0.5 * 1))
    assert loss.counts.tolist() == [2, 0, 0, 0.5]
    other = whyloss.GradientHarmonizingLoss(bins=4, momentum=0.5).eval()
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other(z[3:], torch.zeros(1)), each[3] / 4 / (0.25 + 0.5))
    assert other.counts.tolist() == [2, 0, 0, 0.5]


def test_seesaw_by_its_formula():
    z, y = rows(8)
    loss = whyloss.SeesawLoss(counts=COUNTS, p=0.8, q=2.0, reduction="none")
    p = torch.softmax(z, 1)
    expected = []
    for row, label in enumerate(y.tolist()):
        bottom = 0.0
        for j in range(4):
            mitigation = (float(COUNTS[j] / COUNTS[label])) ** 0.8 if COUNTS[label] > COUNTS[j] else 1.0
            compensation = float(p[row, j] / p[row, label]) ** 2 if p[row, j] > p[row, label] else 1.0
            bottom += mitigation * compensation * math.exp(z[row, j])
        expected.append(math.log(bottom) - float(z[row, label]))
    torch.testing.assert_close(loss(z, y), torch.tensor(expected, dtype=z.dtype))


def test_seesaw_counts_the_labels_that_it_trains_on():
    z, y = rows(8)
    loss = whyloss.SeesawLoss(counts=torch.zeros(4), cumulative=True)
    y[0] = -100
    for _ in range(2):
        loss(z, y)
    with torch.no_grad():
        loss(z, y)
    loss.eval()(z, y)
    assert torch.equal(loss.counts, 2 * one_hot(y[1:], 4).sum(0).float())
    assert torch.equal(loss.state_dict()["counts"], loss.counts)
    given = whyloss.SeesawLoss(counts=loss.counts.clone())
    assert torch.equal(loss(z, y), given(z, y))


def test_equalization_spares_rare_classes_in_rows_of_others():
    z = torch.tensor([[0.5, -1.0, 2.0], [0.1, 0.2, 0.3]]).double()
    y = torch.tensor([[1, 0, 0], [0, 0, 0]])
    loss = whyloss.EqualizationLoss(frequency=torch.tensor([0.5, 0.001, 0.001]), reduction="none")
    each = binary_cross_entropy_with_logits(z, y.double(), reduction="none")
    torch.testing.assert_close(loss(z, y), torch.stack([each[0, 0], each[1].sum()]))
    rare_itself = whyloss.EqualizationLoss(frequency=torch.tensor([0.001, 0.5, 0.001]), reduction="none")
    torch.testing.assert_close(rare_itself(z, y), torch.stack([each[0, :2].sum(), each[1].sum()]))


def test_softmax_equalization_draws_and_expects():
    z, y = rows(8)
    y[:2] = 3
    loss = whyloss.SoftmaxEqualizationLoss(frequency=RARE, gamma=1.0, reduction="none")
    without = cross_entropy(z[:, :3], y.clamp_max(2), reduction="none")
    torch.testing.assert_close(loss(z, y), torch.where(y == 3, cross_entropy(z, y, reduction="none"), without))
    loss = whyloss.SoftmaxEqualizationLoss(frequency=RARE, gamma=0.25, reduction="none")
    label = torch.zeros(4000).long()
    drawn = loss(z[:1].expand(4000, 4), label)
    kinds = torch.stack([cross_entropy(z[:1], label[:1]), cross_entropy(z[:1, :3], label[:1])])
    assert ((drawn.unsqueeze(1) - kinds).abs() < 1e-9).any(1).all()
    assert ((drawn - kinds[1]).abs() < 1e-9).double().mean().item() == pytest.approx(0.25, abs=0.04)
    rest = z[0, 1:3].exp().sum() + 0.75 * z[0, 3].exp()
    torch.testing.assert_close(loss.eval()(z[:1], label[:1])[0], torch.log1p(rest / z[0, 0].exp()))


def test_equalization_v2_weighs_by_the_gradients_so_far():
    z, y = answers()
    loss = whyloss.EqualizationV2Loss(classes=4, reduction="none")
    p, t = torch.sigmoid(z), y.double()
    each = -(t * p.log() + (1 - t) * (1 - p).log())
    torch.testing.assert_close(loss(z, y), each.sum(1))
    up, down = (t * (1 - p)).sum(0), ((1 - t) * p).sum(0)
    torch.testing.assert_close(loss.pulled_up.double(), up)
    f = torch.sigmoid(12 * (up / down - 0.8))
    weight = t * (1 + 4 * (1 - f)) + (1 - t) * f
    torch.testing.assert_close(loss(z, y), (weight * each).sum(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.pushed_down.double(), down + ((1 - t) * f * p).sum(0))
    kept = loss.pulled_up.clone()
    loss(z, y, sample_weight=torch.zeros(8))  # what does not count is not remembered
    loss.eval()(z, y)
    assert torch.equal(loss.pulled_up, kept)


def test_balanced_binary_cross_entropy_of_batches_images_and_labels():
    z = torch.randn(4, 2, 3, dtype=torch.float64)
    y = torch.tensor([[1, 0, 0], [0, 1, 1]]).repeat(4, 1, 1)
    y[0] = 0
    each = binary_cross_entropy_with_logits(z, y.double(), reduction="none")
    for over, dim in (("batch", (0, 1, 2)), ("image", (1, 2)), ("label", (0,))):
        no = (1 - y.double()).mean(dim, keepdim=True)
        expected = (torch.where(y == 1, no, 1 - no) * each).mean()
        torch.testing.assert_close(whyloss.BalancedBinaryCrossEntropyLoss(over=over)(z, y), expected)
    assert whyloss.BalancedBinaryCrossEntropyLoss()(z, torch.zeros(4, 2, 3)) == 0


@pytest.mark.parametrize("engine", ["reference", "dense"])
def test_an_adjustment_may_scale_class_by_class(engine: str):
    z, y = rows(8)
    scale, margin = torch.tensor([1.0, 0.5, 2.0, 0.1]), torch.tensor([0.3, 1.0, 0.1, 0.0])
    adjust = whyloss.Adjustment(shift=COUNTS.log(), margin=margin, scale=scale)
    loss = whyloss.CrossEntropyLoss(adjust=adjust, engine=engine)
    torch.testing.assert_close(loss(z, y), cross_entropy(scale * (z + COUNTS.log() - margin * one_hot(y, 4)), y))
    assert "adjust.scale" in loss.state_dict()
    pair = whyloss.Adjustment(scale=torch.tensor([1.0, 3.0]))
    binary = whyloss.BinaryCrossEntropyLoss(adjust=pair, engine=engine)
    torch.testing.assert_close(binary(z[:, 0], y % 2), binary_cross_entropy_with_logits(3 * z[:, 0], (y % 2).double()))
    with pytest.raises(ValueError, match="scale > 0"):
        whyloss.Adjustment(scale=torch.tensor([1.0, 0.0]))
    assert whyloss.Adjustment(scale=2.0).state_dict() == {}


# --- hard examples ---------------------------------------------------------------------------------------------------


def test_the_hardest_are_kept_and_the_others_get_no_gradient():
    z, y = rows(12)
    each = cross_entropy(z, y, reduction="none")
    order = each.argsort(descending=True)
    for keep, number in ((3, 3), (0.25, 3), (0.2, 3), (1.0, 12), (0.001, 1), (40, 12)):
        value, gradient = value_and_gradient(whyloss.HardExampleCrossEntropyLoss(keep=keep), z, y)
        torch.testing.assert_close(value, each[order[:number]].mean())
        assert (gradient != 0).any(1).sum() == number
    p = torch.exp(-each)
    for threshold, keep in ((0.5, 1), (0.01, 4), (0.9, 0.1)):
        number = max(int((p < threshold).sum()), keep if isinstance(keep, int) else 2)
        value = whyloss.HardExampleCrossEntropyLoss(keep=keep, threshold=threshold)(z, y)
        torch.testing.assert_close(value, each[order[:number]].mean())


def test_hard_examples_of_any_loss_with_any_option():
    z, y = rows(12)
    weight = torch.tensor([1.0, 5, 1, 1])
    y[:4] = -100
    plain = whyloss.BrierLoss(weight=weight, reduction="none")(z, y)
    kept = plain.argsort(descending=True)[:4]
    for reduction, expected in (
        ("sum", plain[kept].sum()),
        ("mean", plain[kept].sum() / weight[y[kept]].sum()),
        ("none", torch.zeros(12).double().index_put((kept,), plain[kept])),
    ):
        loss = whyloss.HardExamples(whyloss.BrierLoss(weight=weight, reduction=reduction), keep=0.5)  # of 8 that count
        torch.testing.assert_close(loss(z, y), expected)
    assert whyloss.HardExamples(whyloss.BrierLoss(), keep=0.5)(z, torch.full_like(y, -100)) == 0
    image, labels = z.reshape(3, 2, 2, 4).movedim(-1, 1), y.reshape(3, 2, 2)
    torch.testing.assert_close(whyloss.HardExamples(CE, keep=3)(image, labels), whyloss.HardExamples(CE, keep=3)(z, y))
    per_image = torch.tensor([0.0, 0.0, 1.0])
    ours = whyloss.HardExamples(CE, keep=2)(image, labels, sample_weight=per_image)
    torch.testing.assert_close(ours, whyloss.HardExamples(CE, keep=2)(z[8:], y[8:]))
    sets = whyloss.HardExamples(whyloss.EqualizationLoss(frequency=RARE), keep=1)
    t = one_hot(y.clamp_min(0), 4)
    each = whyloss.EqualizationLoss(frequency=RARE, reduction="none")(z, t)
    torch.testing.assert_close(sets(z, t), each.max())
    assert whyloss.HardExamples(CE)(z[:0], y[:0]) == 0
    for wrong in (0, 0.0, 1.5):
        with pytest.raises(ValueError, match="share in"):
            whyloss.HardExamples(CE, keep=wrong)
    with pytest.raises(ValueError, match="rows or of label sets"):
        whyloss.HardExamples(whyloss.DiceLoss())


# --- counts ----------------------------------------------------------------------------------------------------------


class Pairs(torch.utils.data.Dataset[tuple[int, object]]):
    def __init__(self, labels: list[object]):
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[int, object]:
        return i, self.labels[i]


def test_classes_are_counted_from_anything():
    count = whyloss.class_counts
    labels = [2, 0, 2, 2, 5]
    expected = [1, 0, 3, 0, 0, 1]
    data = Pairs(list(labels))
    for given in (labels, torch.tensor(labels), torch.tensor([labels]), torch.tensor(labels).to(torch.uint8), data):
        assert count(given).tolist() == expected
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    assert count(loader).tolist() == expected
    assert count(loader, classes=8).tolist() == [*expected, 0, 0]
    assert count(torch.tensor([0, -100, 1]), 3).tolist() == [1, 1, 0]
    assert count(torch.tensor([0, 255, 1]), 3, ignore_index=255).tolist() == [1, 1, 0]
    assert count([], 2).tolist() == [0, 0]
    masks = torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    masks[0, 1], masks[:, 2] = True, True
    assert count(masks).tolist() == [0, 16, 32]
    assert count(Pairs([torch.tensor([0.25, 0.75]), torch.tensor([1.0, 0.0])])).tolist() == [1.25, 0.75]
    assert count(torch.tensor([[1.0, 0.0], [-100, -100]])).tolist() == [1, 0]
    for given, classes, words in (
        (torch.tensor([0, 3]), 3, "3 classes"),
        (torch.tensor([0.0, 3.0]), None, "labels.long"),
        (torch.zeros(2, 3), 4, r"\[N, 4"),
        (Pairs([]), None, "no labels"),
    ):
        with pytest.raises(ValueError, match=words):
            count(given, classes)


@pytest.fixture
def rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if there were two ranks with the same rows."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    reduce = dist.all_reduce

    def twice(x: Tensor) -> None:
        reduce(x)
        x.mul_(2)

    monkeypatch.setattr(dist, "all_reduce", twice)
    yield
    dist.destroy_process_group()


def test_counts_and_memories_are_summed_over_ranks(rank: None):
    z, y = answers()
    assert whyloss.class_counts(torch.tensor([0, 2])).tolist() == [2, 0, 2]
    loss = whyloss.EqualizationV2Loss(classes=4)
    loss(z, y)
    torch.testing.assert_close(loss.pulled_up.double(), 2 * (y * torch.sigmoid(-z)).sum(0))
    loss = whyloss.SeesawLoss(counts=torch.zeros(4), cumulative=True)
    loss(z, y.argmax(1))
    assert torch.equal(loss.counts, 2 * y.sum(0).float())


def test_the_sum_over_the_others_of_every_class():
    z, _ = rows(6)
    z[0, 1], z[1] = -torch.inf, torch.tensor([100.0, -100, 0, -torch.inf])
    expected = torch.stack([z[:, [k for k in range(4) if k != j]].logsumexp(1) for j in range(4)], 1)
    torch.testing.assert_close(lse_of_others(z), expected)
    x = z[2:].clone().requires_grad_()
    assert torch.autograd.gradcheck(lse_of_others, x)
    assert lse_of_others(torch.tensor([[3.0, -torch.inf]])).tolist() == [[pytest.approx(-HUGE), 3.0]]
