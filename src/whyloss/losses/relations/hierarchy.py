"""Losses that know a tree of classes: a mistake within the right branch costs less.

Targets may be classes or inner nodes of the tree, where a label is known only roughly. Everything is put together from
the probabilities of nodes given their parents, which are exact however sure a row is."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from whyloss.losses import checks
from whyloss.losses.relations.soft_labels import SoftLabelLoss
from whyloss.losses.relations.tree import Tree
from whyloss.losses.whole import Whole, WholeRowLoss
from whyloss.stats.each import to_infinity, weighed
from whyloss.stats.smoothing import one_hot


class TreeLoss(WholeRowLoss):
    """A loss of a softmax over the classes of a tree. Subclass it and write `shares`.

    Shapes: logits [N, C, *spatial]; targets [N, *spatial] number nodes: classes 0 to C - 1, then inner nodes as in
    `tree.names`. Soft targets and `weight` have an entry for every node."""

    tree: Tree
    links = ("softmax",)
    takes_labels = True

    def shares(self, below: Tensor, target: Tensor) -> Tensor:
        """[N, nodes] what each log-probability given the parent counts for, from the target's mass on each node, and on
        and below it."""
        raise NotImplementedError(f"{type(self).__name__} has no shares.")

    def check(self) -> None:
        super().check()
        if isinstance(self.tree, Mapping):
            self.tree = Tree(self.tree)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        if target.ndim == 1:
            on_the_way = self.tree.log_on_the_way(logits[:, : self.tree.classes], target)
            if on_the_way is not None:
                return -(self._shares_on_the_way(target, logits.dtype) * on_the_way).sum(1)
            target = one_hot(target, self.tree.nodes, logits.dtype)
        given_parent = self.tree.log_given_parent(self.tree.totals(logits[:, : self.tree.classes]))
        return to_infinity(-weighed(self.shares(self.tree.sums(target), target), given_parent).sum(1))

    def _shares_on_the_way(self, node: Tensor, dtype: torch.dtype) -> Tensor:
        """[N, levels] what counts for each step on the way to one node a row."""
        every, path = torch.arange(self.tree.nodes, device=node.device), self.tree.path
        few = len(node) < len(every)
        asked = node if few else every
        q = one_hot(asked, len(every), dtype)
        found = pad(self.shares(self.tree.sums(q), q), (0, 1)).gather(1, path[asked] % (len(every) + 1))
        return found if few else found[node]

    def enter(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, reads: Mapping[str, Tensor]) -> Whole:
        name, tree = type(self).__name__, self.tree
        checks.logits(name, logits, "softmax")
        columns = logits.shape[min(1, logits.ndim - 1)]
        if columns != tree.classes:
            raise ValueError(f"{name}: logits {tuple(logits.shape)} but the tree has {tree.classes} classes.")
        # To the door, inner nodes are classes that are masked: smoothing leaves them out.
        last = logits if logits.ndim == 1 else logits.movedim(1, -1)
        wide = pad(last, (0, tree.nodes - tree.classes), value=-torch.inf)
        return super().enter(wide if logits.ndim == 1 else wide.movedim(-1, 1), target, sample_weight, reads)


class HierarchicalCrossEntropyLoss(TreeLoss):
    """Cross-entropy taken apart along the way from the root to the class, with weights that make wide decisions count
    more than fine ones.

    The paper gives the weights as exp(-alpha h), h the height of the node, and says that higher alpha prefers generic
    information: that is so if h is counted from the root, as its authors' experiments do. Counted from the leaves it
    is the other way round.

    Args:
        tree: of the classes.
        alpha: >= 0; 0 is cross-entropy.
        counted_from: the "root": the first decision counts 1, one d steps further down exp(-alpha d); or the "leaves":
            the decision for a node of height h counts exp(-alpha h).

    Formula: -sum_l lambda(C_l) log p(C_l given its parent). Source: Bertinetto et al. 2020, arXiv:1912.09393, section
    3.1.

    >>> import torch, whyloss
    >>> tree = whyloss.Tree({"animal": ["cat", "dog"], "vehicle": ["bus", "car"]})
    >>> loss = whyloss.HierarchicalCrossEntropyLoss(tree=tree, alpha=0.5)
    >>> loss(torch.zeros(1, 4), torch.tensor([tree.index("dog")]))  # (1 + exp(-0.5)) log 2
    tensor(1.1136)
    """

    alpha: float = 0.1
    counted_from: Literal["root", "leaves"] = "root"
    source = "Bertinetto et al. 2020, arXiv:1912.09393, section 3.1"
    short = ("hxe",)
    equation = "-sum_l lambda(C_l) log p(C_l given its parent)"
    proper = True
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)
        ends = ("root", "leaves")
        self.require(self.counted_from in ends, f"counted_from in {ends}", self.counted_from)

    def shares(self, below: Tensor, target: Tensor) -> Tensor:
        steps = self.tree.depth - 1 if self.counted_from == "root" else self.tree.height
        return below * torch.exp(-self.alpha * steps.to(below.dtype))


class HierarchicalLogLoss(TreeLoss):
    """Cross-entropy at every level of the tree: of the class, and of each node above it.

    Mass in the right branch is worth something even if the class is missed. With `alpha` infinite the target's own node
    alone counts: the likelihood of labels some of which are rougher than others.

    Args:
        tree: of the classes.
        alpha: >= 0; a node d steps above the target counts exp(-alpha d): 0 all levels alike, inf the target alone.

    Formula: -sum_d exp(-alpha d) log sum_{j below node d steps up} p_j. Source: the levels of Bertinetto et al. 2020,
    arXiv:1912.09393, as log-probabilities of nodes; targets at inner nodes as in Redmon & Farhadi 2017.

    >>> import torch, whyloss
    >>> tree = whyloss.Tree({"animal": ["cat", "dog"], "vehicle": ["bus", "car"]})
    >>> z, y = torch.zeros(2, 4), torch.tensor([tree.index("dog"), tree.index("vehicle")])
    >>> whyloss.HierarchicalLogLoss(tree=tree, alpha=float("inf"), reduction="none")(z, y)
    tensor([1.3863, 0.6931])
    """

    alpha: float = 1.0
    source = "Bertinetto et al. 2020, arXiv:1912.09393; Redmon & Farhadi 2017"
    short = ("hierarchical-log",)
    equation = "-sum_d exp(-alpha d) log sum_{j below node d steps up} p_j"
    proper = True
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)

    def shares(self, below: Tensor, target: Tensor) -> Tensor:
        # A node's log-probability is the sum of those given the parent from the root down to it, so each of these
        # counts for all nodes below it.
        return self.tree.sums(self.tree.sums(target, math.exp(-self.alpha)))


class WordTreeLoss(WholeRowLoss):
    """A softmax in every family of the tree, and the likelihood of the way down to the target: a cascade.

    The network answers for every node, not for classes alone; a target at an inner node leaves what is below it alone.

    Args:
        tree: of the classes.

    Shapes: logits [N, nodes, *spatial], one for every node but the root, numbered as in `tree.names`.

    Formula: -sum over nodes on the way to y of log softmax over the node and its siblings. Source: Redmon & Farhadi
    2017, arXiv:1612.08242, section 4.

    >>> import torch, whyloss
    >>> tree = whyloss.Tree({"animal": ["cat", "dog"], "car": {}})
    >>> loss = whyloss.WordTreeLoss(tree=tree)
    >>> loss(torch.zeros(1, 4), torch.tensor([tree.index("dog")]))  # 2 log 2
    tensor(1.3863)
    >>> loss.probabilities(torch.zeros(1, 4))
    tensor([[0.2500, 0.2500, 0.5000, 0.5000]])
    """

    tree: Tree
    source = "Redmon & Farhadi 2017, arXiv:1612.08242, section 4"
    short = ("wordtree", "yolo-cascade")
    equation = "-sum_{nodes on the way to y} log softmax(z over the node and its siblings)"
    links = ("softmax",)
    proper = True
    bounded = False
    symmetric = False
    convex = True

    def check(self) -> None:
        super().check()
        if isinstance(self.tree, Mapping):
            self.tree = Tree(self.tree)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        if logits.shape[1] != self.tree.nodes:
            raise ValueError(
                f"{type(self).__name__}: {logits.shape[1]} logits but the tree has {self.tree.nodes} nodes below its "
                "root: one logit for each is needed."
            )
        return to_infinity(-weighed(self.tree.sums(target), self.tree.log_given_parent(logits)).sum(1))

    def probabilities(self, logits: Tensor) -> Tensor:
        """[N, nodes] the probability of every node; the first columns are the classes."""
        return torch.exp(self.tree.log_softmax(self.tree.log_given_parent(logits)))


class SoftHierarchyLoss(SoftLabelLoss):
    """Cross-entropy towards a label that is shared with other classes, the more the lower the node above both.

    Args:
        distance: [C, C], >= 0, how far apart classes are: `tree.lca_heights()`, which is divided by its largest entry
            as the paper has it, or any other.
        beta: > 0, how sharply the label falls with the distance; large: cross-entropy.

    Formula: -sum_j softmax(-beta d(y, j))_j log p_j, d the height of the lowest common ancestor over the tree's.
    Source: Bertinetto et al. 2020, arXiv:1912.09393, section 3.2.

    >>> import torch, whyloss
    >>> tree = whyloss.Tree({"animal": ["cat", "dog"], "vehicle": ["bus", "car"]})
    >>> loss = whyloss.SoftHierarchyLoss(distance=tree.lca_heights(), beta=10.0)
    >>> loss(torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0]]), torch.tensor([0, 0]))
    tensor(1.6493)
    """

    distance: Tensor
    beta: float = 10.0
    source = "Bertinetto et al. 2020, arXiv:1912.09393, section 3.2"
    short = ("soft-hierarchy",)
    equation = "-sum_j softmax(-beta d(y, j))_j log p_j"

    def check(self) -> None:
        d = self.distance
        self.require(d.ndim == 2 and d.shape[0] == d.shape[1], "a square matrix of distances [C, C]", tuple(d.shape))
        self.require(bool((d >= 0).all()) and bool((d > 0).any()), "distances >= 0, not all 0", d.tolist())
        self.require(self.beta > 0, "beta > 0", self.beta)
        super().check()

    def soft_labels(self) -> Tensor:
        d = self.distance.double()
        return torch.softmax(-self.beta * d / d.max(), 1)
