"""The rare class and the tiny objects: scores, cuts, gradients and images against brute force and closed forms."""

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

from whyloss.claims.sentences import folk_imbalance, folk_objects
from whyloss.claims.sentences.folk_imbalance import FOCAL, at_cut, balanced_accuracy, best_cut, f1, positives_share
from whyloss.claims.sentences.folk_objects import PIXELS, dice_at, images, missed
from whyloss.losses.region import DiceLoss


@pytest.mark.parametrize(("score", "known"), [(f1, f1_score), (balanced_accuracy, balanced_accuracy_score)])
def test_scores_and_their_best_cut_are_those_of_brute_force(score, known):
    generator = torch.Generator().manual_seed(1)
    y = (torch.rand(2, 80, generator=generator) < 0.2).long()
    z = torch.randn(2, 80, generator=generator) + y
    assert at_cut(score, z, y.double(), 0.3).tolist() == pytest.approx(
        [known(b, a > 0.3) for a, b in zip(z, y, strict=True)]
    )
    best, cut = best_cut(score, z, y)
    for value, at, a, b in zip(best, cut, z, y, strict=True):
        ordered = a.sort().values
        every = [known(b, a > cut_off) for cut_off in (ordered[:-1] + ordered[1:]) / 2]
        assert float(value) == pytest.approx(max(every))
        assert known(b, a > at) == pytest.approx(max(every))


@pytest.mark.parametrize("p", [0.5, 0.01, 0.9])
def test_the_share_of_the_positives_is_that_of_the_formula(p: float):
    """Binary cross-entropy: 1 - p against p. Focal loss: alpha d/dz of (1 - p)^2 log p against its mirror image."""
    assert positives_share(FOCAL["bce"], p, 10) == pytest.approx((1 - p) / (1 - p + 10 * p))
    z = torch.tensor(p, dtype=torch.float64).logit().requires_grad_()
    q = z.sigmoid()
    (up,) = torch.autograd.grad(-((1 - q) ** 2) * q.log(), z, retain_graph=True)
    (down,) = torch.autograd.grad(-(q**2) * (1 - q).log(), z)
    for name, alpha in (("alpha_25", 0.25), ("alpha_75", 0.75)):
        odds = alpha * float(up.abs()) / ((1 - alpha) * 10 * float(down.abs()))
        assert positives_share(FOCAL[name], p, 10) == pytest.approx(odds / (1 + odds))


def test_the_rare_class_is_as_rare_as_asked_for():
    task = folk_imbalance.rare_class("net", 10, [0, 1], 5000)
    assert torch.allclose(task.train.y.double().mean(1), torch.tensor(1 / 11, dtype=torch.float64), atol=0.015)
    assert task.test.p is not None
    assert float(task.test.p[..., 1].mean()) == pytest.approx(1 / 11, abs=0.01)


def test_objects_are_tiny_and_brighter_and_empty_images_are_empty():
    rows = images([0, 1], 40, 0.5, 0)
    mask = rows.y.view(2, 40, PIXELS)
    assert (mask[:, :20] == 0).all()
    sizes = mask[:, 20:].sum(-1)
    assert 0.001 < float(sizes.min()) / PIXELS < 0.003
    assert float(sizes.max()) / PIXELS < 0.011
    inside, outside = (rows.x[..., 0][rows.y == value].mean() for value in (1, 0))
    assert float(inside - outside) == pytest.approx(folk_objects.CONTRAST, abs=0.2)
    assert rows.x[rows.y == 0][:, 0].std() == pytest.approx(1, abs=0.02)


def test_dice_of_every_cut_is_that_of_counting():
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(3, 5, PIXELS, generator=generator)
    mask = torch.rand(5, PIXELS, generator=generator) < 0.01
    mask[0] = False
    cuts = torch.tensor([[-1.0, 0.0, 2.0, 9.0]]).expand(3, -1)
    found = dice_at(cuts, z, mask)
    for k, cut in enumerate((-1.0, 0.0, 2.0, 9.0)):
        said = z > cut
        by_hand = 2 * (said & mask).sum(-1) / (said.sum(-1) + mask.sum(-1)).clamp_min(1)
        by_hand[:, 0] = (~said[:, 0].any(-1)).float()  # an empty image: right only if nothing is said
        assert torch.allclose(found[..., k], by_hand)


def test_missed_objects_are_counted_among_objects_only():
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[0, 1, 2] = mask[0, 2, 3] = True
    said = torch.zeros_like(mask)
    said[0, 1, 2] = said[0, 3, 0] = True
    assert missed(said, mask).tolist() == [0.5]


def test_a_region_is_an_image_or_the_whole_batch():
    generator = torch.Generator().manual_seed(4)
    z, y = torch.randn(2, 30, 1, generator=generator), torch.randint(0, 2, (2, 30), generator=generator)
    loss = DiceLoss(link="sigmoid")
    whole = folk_objects.over_regions(loss, 30)(z, y)
    assert float(whole) == pytest.approx(
        sum(float(loss(a.view(1, 1, 30), b.view(1, 1, 30))) for a, b in zip(z, y, strict=True)), rel=1e-5
    )
    over_batch = DiceLoss(link="sigmoid", over="batch")
    assert float(over_batch(z[0].view(3, 1, 10), y[0].view(3, 1, 10))) == pytest.approx(
        float(loss(z[0].view(1, 1, 30), y[0].view(1, 1, 30))), rel=1e-5
    )
    each = folk_objects.over_regions(loss, 10)(z, y)
    assert float(each) == pytest.approx(2 * float(loss(z.view(6, 1, 10), y.view(6, 1, 10))), rel=1e-5)
