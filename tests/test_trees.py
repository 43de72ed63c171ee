"""Trees of classes, and the losses that know one."""

import math

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor
from torch.nn.functional import one_hot

import whyloss

#           root
#    animal       vehicle    f
#  pet    d       e1  e2
# a  b c
NESTED = {"animal": {"pet": ["a", "b", "c"], "d": {}}, "vehicle": ["e1", "e2"], "f": {}}
TREE = whyloss.Tree(NESTED)
BELOW = {"pet": [0, 1, 2], "animal": [0, 1, 2, 3], "vehicle": [4, 5]}


def probability(z: Tensor, name: str) -> Tensor:
    p = z.softmax(1)
    return p[:, BELOW.get(name, [TREE.names.index(name)])].sum(1)


def test_nodes_are_numbered_leaves_first_and_then_upwards():
    assert TREE.names == ("a", "b", "c", "d", "e1", "e2", "f", "pet", "vehicle", "animal")
    assert (TREE.classes, TREE.nodes) == (7, 10)
    assert TREE.depth.tolist() == [3, 3, 3, 2, 2, 2, 1, 2, 1, 1]
    assert TREE.height.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1, 2]
    assert TREE.index("pet") == 7


def test_three_ways_to_make_a_tree():
    paths = [("animal", "pet", n) for n in "abc"] + [("animal", "d"), ("vehicle", "e1"), ("vehicle", "e2"), ("f",)]
    parents = {"a": "pet", "b": "pet", "c": "pet", "pet": "animal", "d": "animal", "animal": "root"}
    parents |= {"e1": "vehicle", "e2": "vehicle", "vehicle": "root", "f": "root", "root": None}
    numbers = list(parents)
    by_number = whyloss.Tree.from_parents(
        [-1 if p is None else numbers.index(p) for p in parents.values()], names=numbers
    )
    for tree in (whyloss.Tree.from_paths(paths), whyloss.Tree.from_parents(parents), by_number):
        assert tree.names[:7] == TREE.names[:7]
        assert torch.equal(tree.lca_heights(), TREE.lca_heights())
        assert set(tree.names) == set(TREE.names)


def test_one_name_under_two_parents_is_told_apart_by_its_path():
    tree = whyloss.Tree.from_paths([("x", "other"), ("x", "a"), ("y", "other"), ("y", "b")])
    assert tree.names == ("x/other", "a", "y/other", "b", "x", "y")


def test_ancestors_and_common_heights():
    above = TREE.ancestors()
    assert [TREE.names[i] for i in above[0].nonzero().flatten()] == ["a", "pet", "animal"]
    assert above.diagonal().all()
    heights = TREE.lca_heights()
    assert heights[0].tolist() == [0, 1, 1, 2, 3, 3, 3]
    assert heights[4].tolist() == [3, 3, 3, 3, 0, 1, 3]
    assert torch.equal(heights, heights.T)


def test_sums_and_totals_are_those_of_the_classes_below():
    z, _ = rows(6, 7)
    totals = TREE.totals(z)
    for i, name in enumerate(TREE.names):
        torch.testing.assert_close((totals[:, i] - z.logsumexp(1)).exp(), probability(z, name))
    q = soft(6, 10)
    above = TREE.ancestors().double()
    torch.testing.assert_close(TREE.sums(q), q @ above)
    apart = (TREE.depth.unsqueeze(1) - TREE.depth).clamp_min(0)
    torch.testing.assert_close(TREE.sums(q, 0.3), q @ (above * 0.3**apart))


def test_probabilities_given_the_parent_multiply_to_those_of_nodes():
    z, _ = rows(6, 7)
    p = TREE.log_softmax(TREE.log_given_parent(TREE.totals(z))).exp()
    torch.testing.assert_close(p, torch.stack([probability(z, n) for n in TREE.names], 1))


@pytest.mark.parametrize("counted_from", ["root", "leaves"])
def test_hierarchical_cross_entropy_by_hand(counted_from: str):
    z, _ = rows(6, 7)
    loss = whyloss.HierarchicalCrossEntropyLoss(tree=TREE, alpha=0.7, reduction="none", counted_from=counted_from)  # pyright: ignore
    P = {name: probability(z, name) for name in TREE.names}
    steps = (0, 1, 2) if counted_from == "root" else (2, 1, 0)
    shares = [math.exp(-0.7 * s) for s in steps]
    logs = [P["animal"].log(), (P["pet"] / P["animal"]).log(), (P["b"] / P["pet"]).log()]
    expected = -sum(w * x for w, x in zip(shares, logs, strict=True))
    torch.testing.assert_close(loss(z, torch.full((6,), TREE.index("b"))), expected)
    # A target known to a level of the tree only stops there.
    expected = -sum(w * x for w, x in zip(shares[:2], logs[:2], strict=True))
    torch.testing.assert_close(loss(z, torch.full((6,), TREE.index("pet"))), expected)


def test_weights_of_one_telescope_to_cross_entropy():
    z, y = rows(14, 7)
    expected = value_and_gradient(whyloss.CrossEntropyLoss(), z, y)
    flat = whyloss.Tree({name: {} for name in "abcdefg"})
    for loss in (
        whyloss.HierarchicalCrossEntropyLoss(tree=TREE, alpha=0.0),
        whyloss.HierarchicalLogLoss(tree=TREE, alpha=math.inf),
        whyloss.HierarchicalCrossEntropyLoss(tree=flat, alpha=3.0),
        whyloss.HierarchicalLogLoss(tree=flat, alpha=0.5),
        whyloss.WordTreeLoss(tree=flat),
    ):
        torch.testing.assert_close(value_and_gradient(loss, z, y), expected)


def test_hierarchical_log_loss_by_hand():
    z, _ = rows(6, 7)
    loss = whyloss.HierarchicalLogLoss(tree=TREE, alpha=0.5, reduction="none")
    weights = [math.exp(-0.5 * d) for d in range(3)]
    levels = [probability(z, name).log() for name in ("b", "pet", "animal")]
    expected = -sum(w * x for w, x in zip(weights, levels, strict=True))
    torch.testing.assert_close(loss(z, torch.full((6,), 1)), expected)
    expected = -(levels[1] + weights[1] * levels[2])
    torch.testing.assert_close(loss(z, torch.full((6,), TREE.index("pet"))), expected)


def test_mass_on_nodes_is_a_mixture_of_targets():
    z, q = rows(6, 7)[0], soft(6, 10)
    for cls in (whyloss.HierarchicalCrossEntropyLoss, whyloss.HierarchicalLogLoss):
        loss = cls(tree=TREE, reduction="none")
        each = torch.stack([loss(z, torch.full((6,), j)) for j in range(10)], 1)
        torch.testing.assert_close(loss(z, q), (q * each).sum(1))
        torch.testing.assert_close(loss(z, one_hot(torch.arange(6), 10).double()), loss(z, torch.arange(6)))


def test_a_cascade_multiplies_softmaxes():
    z = torch.randn(5, 10, generator=torch.Generator().manual_seed(0)).double()
    loss = whyloss.WordTreeLoss(tree=TREE, reduction="none")
    families = [["animal", "vehicle", "f"], ["pet", "d"], ["a", "b", "c"]]
    expected = torch.zeros(5).double()
    for family, name in zip(families, ("animal", "pet", "b"), strict=True):
        own = z[:, [TREE.index(n) for n in family]].log_softmax(1)
        expected = expected - own[:, family.index(name)]
    torch.testing.assert_close(loss(z, torch.full((5,), TREE.index("b"))), expected)
    p = loss.probabilities(z)
    torch.testing.assert_close(p[:, :7].sum(1), torch.ones(5).double())
    torch.testing.assert_close(-p[:, 1].log(), expected)
    # What is below the target is left alone.
    _, gradient = value_and_gradient(whyloss.WordTreeLoss(tree=TREE), z, torch.full((5,), TREE.index("animal")))
    assert torch.equal(gradient.any(0), torch.tensor([n in families[0] for n in TREE.names]))


def test_sure_rows_keep_their_accuracy():
    """Right by 40 and wrong by 40 inside a branch that is sure: float32 has value and gradient of float64."""
    z = torch.tensor([[40.0, 0, -40, 0, 0, 1, 0], [0.0, 40, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 60]])
    y = torch.tensor([0, 2, 4])
    for cls in (whyloss.HierarchicalCrossEntropyLoss, whyloss.HierarchicalLogLoss):
        loss = cls(tree=TREE, reduction="none")
        ours, exact = value_and_gradient(loss, z, y), value_and_gradient(loss, z.double(), y)
        for a, b in zip(ours, exact, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-30)


def test_a_masked_target_costs_infinity_and_keeps_other_gradients_finite():
    z = torch.zeros(1, 7)
    z[0, 1] = -math.inf
    for cls in (whyloss.HierarchicalCrossEntropyLoss, whyloss.HierarchicalLogLoss):
        value, gradient = value_and_gradient(cls(tree=TREE), z, torch.tensor([1]))
        assert value == math.inf
        assert torch.isfinite(gradient).all()
    z[0, :3] = -math.inf  # a branch without classes
    value, gradient = value_and_gradient(whyloss.HierarchicalLogLoss(tree=TREE), z, torch.tensor([3]))
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


def test_soft_hierarchy_labels_by_hand():
    z, y = rows(7, 7)
    d = TREE.lca_heights().double() / 3
    loss = whyloss.SoftHierarchyLoss(distance=TREE.lca_heights(), beta=4.0)
    torch.testing.assert_close(loss(z, y), whyloss.CrossEntropyLoss()(z, torch.softmax(-4 * d, 1)[y]))
    sharp = whyloss.SoftHierarchyLoss(distance=TREE.lca_heights(), beta=200.0)
    torch.testing.assert_close(sharp(z, y), whyloss.CrossEntropyLoss()(z, y))


def test_a_tree_goes_with_its_loss():
    loss = whyloss.HierarchicalLogLoss(tree=NESTED)  # pyright: ignore
    assert isinstance(loss.tree, whyloss.Tree)
    assert not loss.state_dict()
    assert "7 classes, 3 inner nodes" in repr(loss)
    image = torch.randn(2, 7, 3, 3)
    assert torch.isfinite(loss(image, torch.randint(0, 10, (2, 3, 3))))


def test_a_thousand_classes_in_a_deep_tree():
    paths = [[f"{level}:{i >> level}" for level in range(9, 0, -1)] + [str(i)] for i in range(1000)]
    tree = whyloss.Tree.from_paths(paths)
    z, y = torch.randn(64, 1000), torch.randint(0, tree.nodes, (64,))
    value, gradient = value_and_gradient(whyloss.HierarchicalCrossEntropyLoss(tree=tree), z, y)
    assert torch.isfinite(value)
    assert gradient.any(1).sum() >= 60


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: whyloss.Tree({"x": ["a", "b"], "y": ["a", "c"]}), "'a' is there twice"),
        (lambda: whyloss.Tree({"x": ["a"]}), "at least two classes"),
        (lambda: whyloss.Tree.from_parents({"a": "x", "b": "x"}), "'a' is an orphan: its parent 'x'"),
        (lambda: whyloss.Tree.from_parents([-1, 0, 7]), "'2' is an orphan: its parent 7"),
        (lambda: whyloss.Tree.from_parents({"a": "b", "b": "a", "c": None}), "cycle"),
        (lambda: whyloss.Tree.from_parents([1, 0, -1]), "cycle"),
        (lambda: whyloss.Tree.from_parents([-1, 0, 0], names=["r", "a", "a"]), "different names"),
        (lambda: whyloss.Tree.from_paths([("a",), ("a",)]), "same path"),
        (lambda: whyloss.Tree.from_paths([("a", "b"), ("a",)]), "lies on the way"),
        (lambda: whyloss.Tree.from_paths([(), ("a",)]), "empty"),
        (lambda: TREE.index("z"), "no node 'z'"),
        (lambda: whyloss.HierarchicalLogLoss(tree=TREE)(torch.zeros(1, 5), torch.tensor([0])), "tree has 7 classes"),
        (lambda: whyloss.HierarchicalLogLoss(tree=TREE)(torch.zeros(1, 7), torch.tensor([10])), "target holds 10"),
        (lambda: whyloss.WordTreeLoss(tree=TREE)(torch.zeros(1, 7), torch.tensor([0])), "10 nodes below its root"),
        (lambda: whyloss.HierarchicalLogLoss(tree=TREE, alpha=-1.0), "alpha >= 0"),
        (lambda: whyloss.HierarchicalCrossEntropyLoss(tree=TREE, counted_from="top"), "counted_from in"),  # pyright: ignore
    ],
)
def test_what_is_refused(make, words: str):  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        make()
