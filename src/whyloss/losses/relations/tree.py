"""A tree of classes: which are alike, what a node holds, and how likely a node is given its parent.

Nodes are numbered so that a target can name any of them: first the leaves, 0 to C - 1, which are the classes; then the
inner nodes, those nearer to the leaves first. The root comes last, and nothing needs to name it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

from whyloss.stats.each import log_odds_of_each, log_sum_exp
from whyloss.stats.visible import SURE, visible

TABLE = 2**21  # entries of a table that is worth its memory


class Tree(nn.Module):
    """A tree of classes, from nested dicts; `Tree.from_paths` and `Tree.from_parents` take other forms.

    It is part of a loss, and moves to devices with it.

    Args:
        nested: names to what is below them: a dict of the same kind, or a list of classes. The classes are the names
            with nothing below them, in the order in which they come.

    >>> import whyloss
    >>> tree = whyloss.Tree({"animal": ["cat", "dog"], "vehicle": {"bus": {}, "car": {}}})
    >>> tree.names
    ('cat', 'dog', 'bus', 'car', 'animal', 'vehicle')
    >>> tree.index("dog"), tree.index("animal")
    (1, 4)
    >>> tree.lca_heights()[0]
    tensor([0., 1., 2., 2.])
    """

    names: tuple[str, ...]  # of all nodes but the root
    classes: int  # leaves
    nodes: int  # all but the root
    path: Tensor  # [nodes, levels] the nodes from below the root down to each node, then -1
    depth: Tensor  # [nodes] steps below the root
    height: Tensor  # [nodes] steps above the farthest leaf below
    order: Tensor  # [nodes] where each node is in the families, one after the other
    levels: int  # of families
    parting: Tensor | None  # [nodes, C] steps that the ways to node and class share; all if it is below

    def __init__(self, nested: Mapping[str, Any]):
        super().__init__()
        parents: dict[str, str | None] = {}

        def walk(below: Any, parent: str | None) -> None:
            for name in below:
                if name in parents:
                    raise ValueError(f"Tree: the name {name!r} is there twice; every node needs a name of its own.")
                parents[name] = parent
                if isinstance(below, Mapping) and below[name]:
                    walk(below[name], name)

        walk(nested, None)
        self._grow(parents)

    @classmethod
    def from_parents(cls, parents: Mapping[str, str | None] | Sequence[int], names: Sequence[str] = ()) -> "Tree":
        """From each node's parent: by name (None above the topmost), or by number (-1 above the topmost).

        The classes are the nodes that are nobody's parent, in the order in which they come.

        >>> import whyloss
        >>> whyloss.Tree.from_parents([-1, 0, 0, 2, 2]).names
        ('1', '3', '4', '2')
        >>> whyloss.Tree.from_parents({"cat": "animal", "dog": "animal", "animal": None, "car": None}).names
        ('cat', 'dog', 'car', 'animal')
        """
        if not isinstance(parents, Mapping):
            names = names or [str(i) for i in range(len(parents))]
            if len(names) != len(parents) or len(set(names)) != len(names):
                raise ValueError(f"Tree: {len(parents)} nodes need as many different names, got {list(names)}.")
            for name, parent in zip(names, parents, strict=True):
                if not -1 <= parent < len(parents):
                    raise ValueError(f"Tree: {name!r} is an orphan: its parent {parent} is not among the nodes.")
            parents = {n: None if p < 0 else names[p] for n, p in zip(names, parents, strict=True)}
        tree = cls.__new__(cls)
        nn.Module.__init__(tree)
        tree._grow(dict(parents))
        return tree

    @classmethod
    def from_paths(cls, paths: Iterable[Sequence[str]]) -> "Tree":
        """From the labels of each class, the widest first: ("animal", "cat"). Path i is class i.

        Names need to be different within a level's parent only; where one comes twice the node is named by its path.

        >>> import whyloss
        >>> whyloss.Tree.from_paths([("animal", "cat"), ("animal", "dog"), ("car",)]).names
        ('cat', 'dog', 'car', 'animal')
        """
        found = [tuple(p) for p in paths]
        every = {path[: i + 1] for path in found for i in range(len(path))}
        last = [path[-1] for path in every if path]
        called = {path: path[-1] if last.count(path[-1]) == 1 else "/".join(path) for path in every}
        for i, path in enumerate(found):
            if not path:
                raise ValueError(f"Tree: the path of class {i} is empty.")
            if path in found[:i]:
                raise ValueError(f"Tree: classes {found.index(path)} and {i} have the same path {path}.")
            if any(other[: len(path)] == path for other in found if other != path):
                raise ValueError(f"Tree: class {i}, {path}, lies on the way to another class. Give it a leaf below.")
        parents = {called[path]: called.get(path[:-1]) for path in found}
        parents |= {called[path]: called.get(path[:-1]) for path in sorted(every - set(found))}
        return cls.from_parents(parents)

    def _grow(self, parents: dict[str, str | None]) -> None:
        for name, parent in parents.items():
            if parent is not None and parent not in parents:
                raise ValueError(f"Tree: {name!r} is an orphan: its parent {parent!r} is not among the nodes.")
        lines = {name: _line(name, parents) for name in parents}
        height = dict.fromkeys(parents, 0)
        for line in lines.values():
            for steps, name in enumerate(reversed(line)):
                height[name] = max(height[name], steps)
        inner = set(parents.values()) - {None}
        tops = [name for name, parent in parents.items() if parent is None]
        if len(tops) == 1 and tops[0] in inner:  # the root was named
            parents = {n: None if p == tops[0] else p for n, p in parents.items() if n != tops[0]}
            lines = {name: lines[name][1:] for name in parents}
        leaves = [name for name in parents if name not in inner]
        if len(leaves) < 2:
            raise ValueError(f"Tree: at least two classes are needed, got {leaves}.")
        self.names = (*leaves, *sorted(parents.keys() - set(leaves), key=lambda n: (height[n], list(parents).index(n))))
        self.classes, self.nodes = len(leaves), len(self.names)
        number = {name: i for i, name in enumerate(self.names)}
        levels = max(map(len, lines.values()))
        path = [[number[n] for n in lines[name]] + [-1] * (levels - len(lines[name])) for name in self.names]
        self._keep("path", torch.tensor(path))
        self._keep("depth", (self.path >= 0).sum(1))
        self._keep("height", torch.tensor([height[name] for name in self.names]))
        children: dict[str | None, list[int]] = {}
        for name in self.names:
            children.setdefault(parents[name], []).append(number[name])
        by_height: dict[int, list[list[int]]] = {}
        for name in self.names[self.classes :]:
            by_height.setdefault(height[name], []).append(children[name])
        groups = [by_height[h] for h in sorted(by_height)] + [[children[None]]]
        self.levels = len(groups)
        for level, group in enumerate(groups):
            most = max(map(len, group))
            self._keep(f"family{level}", torch.tensor([own + [-1] * (most - len(own)) for own in group]))
        flat = torch.cat([f[f >= 0] for f in self.families])
        self._keep("order", flat.argsort())
        self.register_buffer("parting", self._parting(), persistent=False)

    def _parting(self) -> Tensor | None:
        if self.nodes * self.classes > TABLE:
            return None
        together = torch.ones(self.nodes, self.classes, dtype=torch.bool)
        steps = torch.zeros(self.nodes, self.classes, dtype=torch.int64)
        for here in self.path.unbind(1):
            # From a node on, all ways that led there stay together.
            together = together & ((here.unsqueeze(1) == here[: self.classes]) | (here < 0).unsqueeze(1))
            steps += together
        return steps

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    @property
    def families(self) -> tuple[Tensor, ...]:
        """By the parents' height: [parents, children], -1 where there is none."""
        return tuple(self.get_buffer(f"family{level}") for level in range(self.levels))

    def index(self, name: str) -> int:
        """The number that a target names this node by."""
        if name not in self.names:
            raise ValueError(f"Tree: there is no node {name!r}. Nodes: {', '.join(self.names)}.")
        return self.names.index(name)

    def ancestors(self) -> Tensor:
        """[nodes, nodes], True where the second is the first or above it."""
        found = torch.zeros(self.nodes, self.nodes + 1, dtype=torch.bool, device=self.path.device)
        return found.scatter_(1, self.path % (self.nodes + 1), True)[:, :-1]

    def lca_heights(self) -> Tensor:
        """[C, C] height of the lowest node above both classes: how bad it is to take one for the other."""
        path = self.path[: self.classes]
        top = int(self.height.max()) + 1
        found = torch.full((self.classes, self.classes), float(top), device=path.device)
        together = torch.ones_like(found, dtype=torch.bool)
        for level in range(path.shape[1]):
            here = path[:, level]
            together = together & (here.unsqueeze(1) == here) & (here >= 0)
            found = torch.where(together, self.height[here].to(found.dtype), found)
        return found

    def totals(self, z: Tensor) -> Tensor:
        """[N, nodes] log-sum-exp of the classes below each node, from logits [N, C]."""
        for family in self.families[:-1]:
            z = torch.cat([z, log_sum_exp(_gather(z, family, -torch.inf))], 1)
        return z

    def sums(self, q: Tensor, decay: float = 1.0) -> Tensor:
        """[N, nodes] from mass on nodes what is on each and below it, less by a factor `decay` for each step."""
        done = q[:, : self.classes]
        for family in self.families[:-1]:
            here = q[:, done.shape[1] : done.shape[1] + len(family)]
            done = torch.cat([done, here + decay * _gather(done, family, 0.0).sum(2)], 1)
        return done

    def log_given_parent(self, x: Tensor) -> Tensor:
        """[N, nodes] log-probability of every node given its parent: a softmax of `x` [N, nodes] in each family."""
        found = [logsigmoid(log_odds_of_each(_gather(x, f, -torch.inf)))[:, f >= 0] for f in self.families]
        return torch.cat(found, 1)[:, self.order]

    def log_on_the_way(self, z: Tensor, node: Tensor) -> Tensor | None:
        """[N, levels] log-probability given its parent of every node on the way to one node a row, 0 behind it, from
        logits [N, C]; None where the sums of exponentials might not hold it."""
        if self.parting is None or not visible(z):
            return None
        e = torch.exp(z - z.detach().amax(1, keepdim=True))
        # What leaves the way at each step, and last what is below the node.
        parts = e.new_zeros(len(e), self.path.shape[1] + 1).scatter_add(1, self.parting[node], e)
        if not bool((parts.detach()[:, -1] > SURE).all()):
            return None
        rest = parts[:, :-1]
        return -torch.log1p(rest / (parts.flip(1).cumsum(1)[:, :-1].flip(1)))

    def log_softmax(self, given_parent: Tensor) -> Tensor:
        """[N, nodes] log-probability of every node, from those given the parent."""
        return _gather(given_parent, self.path, 0.0).sum(2)

    def extra_repr(self) -> str:
        return f"{self.classes} classes, {self.nodes - self.classes} inner nodes"


def _line(name: str, parents: Mapping[str, str | None]) -> list[str]:
    """The nodes from the topmost down to this one."""
    line, above = [name], parents[name]
    while above is not None:
        if above in line:
            raise ValueError(f"Tree: the parents go round in a cycle: {' under '.join([*line, above])}.")
        line.append(above)
        above = parents[above]
    return line[::-1]


def _gather(x: Tensor, index: Tensor, nothing: float) -> Tensor:
    """x[:, index], and `nothing` where the index is -1."""
    # By rows of the transpose, as the gradient of an index along a row is slow to put together.
    wide = pad(x, (0, 1), value=nothing)
    place = index.flatten() % wide.shape[1]
    return wide.T.index_select(0, place).T.unflatten(1, index.shape)
