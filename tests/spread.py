"""The random inputs of the suite cover what they claim; a suite that tests one point for ever looks just as green."""

import torch
from instances import ALL, ROWS, defaults, losses, rows, soft

from whyloss.losses.catalogue import catalogue


def test_logits_reach_from_nearly_impossible_to_nearly_certain():
    z, y = rows(400, 5)
    p = torch.softmax(z, 1)[torch.arange(400), y]
    assert p.min() < 1e-4
    assert p.max() > 1 - 1e-4
    assert ((p > 0.1) & (p < 0.9)).double().mean() > 0.1
    # No decade of the log-odds between -8 and 8 is empty.
    m = torch.logit(p)
    for low in range(-8, 8, 2):
        assert ((m >= low) & (m < low + 2)).any(), low


def test_even_a_handful_of_rows_spreads():
    z, y = rows()
    p = torch.softmax(z, 1)[torch.arange(len(y)), y]
    assert p.min() < 0.05
    assert p.max() > 0.5
    assert len(p.unique()) == len(p)


def test_scales_of_logits_differ_from_row_to_row():
    z, _ = rows(400, 5)
    spread = z.std(1)
    assert spread.max() > 20 * spread.min()
    assert rows(400, 5, scale=20.0)[0].std() > 5 * z.std()


def test_every_class_is_a_label():
    for classes in (2, 4, 5):
        assert rows(6, classes)[1].unique().tolist() == list(range(classes))


def test_seeds_differ_and_repeat():
    assert torch.equal(rows(seed=3)[0], rows(seed=3)[0])
    assert not torch.equal(rows(seed=3)[0], rows(seed=4)[0])


def test_soft_targets_reach_from_flat_to_one_hot():
    q = soft(100, 4)
    assert q.max() > 0.999
    assert (q.amax(1) < 0.35).any()
    assert torch.allclose(q.sum(1), torch.ones(100, dtype=q.dtype))


def test_every_loss_of_the_catalogue_is_in_the_suite():
    assert {c.__name__ for c in losses()} == set(catalogue())
    # What takes hidden states has tests of its own.
    assert {c.cls for c in defaults(ALL)} == {c for c in losses() if not c.head}


def test_every_number_field_is_varied():
    # Names for one member of a family.
    one_value = {"BalancedSoftmaxLoss", "ClassDependentTemperatureLoss", "Entmax15Loss", "SparsemaxLoss"}
    for cls in {case.cls for case in ALL}:
        varied = {name for case in ALL if case.cls is cls for name in case.numbers}
        for name, entry in cls.fields().items():
            if isinstance(entry.default, int | float) and name not in {"ignore_index", "label_smoothing"}:
                fixed = isinstance(entry.default, bool) or name == "smooth" or cls.__name__ in one_value
                assert fixed or name in varied, (cls, name)


def test_both_links_and_enough_parameters():
    assert len(ROWS) > 50
    assert {link for case in ROWS for link in case.links} == {"softmax", "sigmoid"}
