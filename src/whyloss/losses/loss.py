"""The base classes. A loss's fields are its parameters; its `formula` names the statistics that it reads.

`RowLoss` is for losses of one row (one sample, one pixel, one label) at a time. What is no function of sums over a row
keeps the same face: whole rows (whole.py), sets of labels (label_sets.py), batches (batch.py), regions (region/).
Losses add, subtract and scale; row losses with equal options that are added still share one pass over the logits."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor

from whyloss.losses import by_hand, compiled, parallel, plain
from whyloss.losses import rows as door
from whyloss.losses.adjust import Adjustment
from whyloss.losses.by_hand import ByHand
from whyloss.losses.declared import Declared
from whyloss.losses.formula import Formula, has_average, statistics_of
from whyloss.losses.key import key_of
from whyloss.stats.engine import Engine
from whyloss.stats.shard import of_dtensor
from whyloss.stats.table import arguments

Reduction = Literal["mean", "sum", "none"]
Link = Literal["softmax", "sigmoid"]
Fact = bool | None


class Loss(Declared):
    """What every loss is: an nn.Module of (logits, target), with a source, facts, and an algebra.

    Facts are claims about the mathematics that the test suite verifies; None means "depends on the parameters".
    proper: expected loss is smallest at the true probabilities. bounded: the value is. symmetric: summed over all
    possible labels, it is constant. convex: in the logits. ordered: the order of the classes matters to it.

    Parameters and options may be set later, and what is made of them follows; one that is out of its range raises
    ValueError and stays as it was. Those named in `fixed`, such as the sizes of a memory, may not be set, nor what
    follows itself (`derived`): that raises AttributeError.

    reads: tensors that a call takes besides, by keyword (`loss(logits, target, index=...)`), one entry a row each.
    may_read: those that it can do without.
    neighbours: pixels are no rows by themselves: it matters which lie side by side.
    cosines: its logits are cosines, in [-1, 1]; a constant added to them means something.
    head: takes hidden states in place of logits, and makes the logits itself.
    stateful: has parameters to learn, remembers earlier calls, or draws at random in training; no functional form.
    held: methods of the loss whose results the gradient takes as given, because the paper does.
    steered: its gradient is, on purpose, not the slope of its value in some other way."""

    source: ClassVar[str] = ""
    short: ClassVar[tuple[str, ...]] = ()
    equation: ClassVar[str] = ""
    proper: ClassVar[Fact] = None
    bounded: ClassVar[Fact] = None
    symmetric: ClassVar[Fact] = None
    convex: ClassVar[Fact] = None
    ordered: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()
    may_read: ClassVar[tuple[str, ...]] = ()
    neighbours: ClassVar[bool] = False
    stateful: ClassVar[bool] = False
    steered: ClassVar[bool] = False
    cosines: ClassVar[bool] = False
    held: ClassVar[tuple[str, ...]] = ()
    head: ClassVar[bool] = False

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        raise NotImplementedError

    def __call__(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        """The loss of `logits` for `target`; see the class for shapes and options."""
        return super().__call__(logits, target, sample_weight=sample_weight, normalizer=normalizer, **reads)

    def __add__(self, other: "Loss | float") -> "Loss":
        if isinstance(other, int | float) and other == 0:
            return self  # so that sum() works
        if not isinstance(other, Loss):
            return NotImplemented
        from whyloss.losses.algebra import add

        return add(self, other)

    __radd__ = __add__

    def __mul__(self, factor: float) -> "Loss":
        from whyloss.losses.algebra import scale

        return scale(self, factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Loss":
        return self * (1 / divisor)

    def __neg__(self) -> "Loss":
        return self * -1.0

    def __sub__(self, other: "Loss") -> "Loss":
        return self + -other if isinstance(other, Loss) else NotImplemented  # pyright: ignore


class LabelledLoss(ByHand, Loss):
    """A loss of rows and their labels: the options that `RowLoss` and `WholeRowLoss` share.

    Args:
        weight: [C] weight of each class; with the sigmoid link [2] or [..., 2], (negative, positive).
        ignore_index: a target with this value takes its row out, whatever the logits there hold.
        reduction: "mean" (weighted sum over the sum of weights), "sum", or "none" (one value per row).
        link: "softmax" (one label out of C) or "sigmoid" (every logit its own yes or no).
        adjust: shift, margin and scale of the logits (`LogitAdjustment` and others).
        label_smoothing: in [0, 1); the share of the label that is spread evenly over the classes.
        smoothing_over: "all" C classes (as torch) or the "others" only.
        smoothing_weight: with class weights, smoothed mass is weighted by the "class" it lands on (as torch), or the
            weight belongs to the "sample".
        empty: the mean of nothing is "zero" (with a zero gradient) or "nan" (as torch).
        validate: check the values of targets. None checks where that is cheap: on the CPU.

    Shapes: logits [N, C, *spatial] (or [C]) with targets [N, *spatial] of any integer type, or soft targets shaped like
    the logits. With the sigmoid link logits and targets have the same shape, targets 0/1 or in between.

    Differs from torch in three places, on purpose: the mean of nothing counted is 0, not NaN; a one-hot target equals
    the index target with class weights too; a row of soft targets that all equal `ignore_index` is ignored."""

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    link: Link = "softmax"
    adjust: Adjustment | None = None
    label_smoothing: float = 0.0
    smoothing_over: Literal["all", "others"] = "all"
    smoothing_weight: Literal["class", "sample"] = "class"
    empty: Literal["zero", "nan"] = "zero"
    validate: bool | None = None

    links: ClassVar[tuple[Link, ...]] = ("softmax", "sigmoid")

    def check(self) -> None:
        super().check()
        for name, allowed in (
            ("reduction", ("mean", "sum", "none")),
            ("link", self.links),
            ("smoothing_over", ("all", "others")),
            ("smoothing_weight", ("class", "sample")),
            ("empty", ("zero", "nan")),
        ):
            self.require(getattr(self, name) in allowed, f"{name} in {allowed}", getattr(self, name))
        self.require(0 <= self.label_smoothing < 1, "0 <= label_smoothing < 1", self.label_smoothing)


class RowLoss(LabelledLoss):
    """A loss of one row of logits and its label. Subclass it to make your own; nothing needs to be registered.

    Write the parameters as annotated fields, and `formula`, whose parameter names are the statistics it reads
    (`whyloss.statistics()` lists them). Everything below then works for it, on every engine.

    Args:
        engine: "auto", or one by name.
        inplace: the backward pass writes the gradient over the logits, so that no other memory of their size is needed;
            it costs one more reading of them. They are gone then: whatever else needs them for its own gradient raises
            torch's error about a modified variable. Logits that are a leaf keep their values, and so do all where plain
            operations of torch take the place of an engine.

    Options and shapes are those of `LabelledLoss`.

    >>> import torch, whyloss
    >>> class Cauchy(whyloss.RowLoss):
    ...     scale: float = 1.0
    ...     def formula(self, log_p):
    ...         return torch.log1p((log_p / self.scale) ** 2)
    >>> Cauchy(scale=2.0)(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.1134)
    """

    engine: Engine = "auto"
    inplace: bool = False

    normalized: ClassVar[bool] = False  # divide by the sum of the losses of all possible labels
    soft_labelled: ClassVar[bool] = False  # it is -sum_j table[y, j] log p_j over the classes that are not masked
    statistics: ClassVar[tuple[str, ...]] = ()  # that `formula` reads
    average: ClassVar[Callable[..., Tensor]]
    averaged: ClassVar[tuple[str, ...] | None] = None  # that `average` reads, if there is one
    read: ClassVar[frozenset[str]] = frozenset()  # arguments of these statistics: "power", "table"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.statistics = statistics_of(cls, "formula", RowLoss.formula)
        average = statistics_of(cls, "average")
        cls.averaged = average if has_average(cls) else None
        cls.read = arguments(cls.statistics)
        if "formula" in vars(cls) and "soft_labelled" not in vars(cls):
            cls.soft_labelled = False

    def formula(self, *args: Any, **kwargs: Any) -> Tensor:
        """The loss per row from the statistics named as parameters. They have one shape, as has the result."""
        raise NotImplementedError(f"{type(self).__name__} has no formula.")

    # A method average(self, ...) may give, from statistics, the mean of the loss over all classes as label. Label
    # smoothing then costs no more than the loss itself. It belongs to the formula of its own class, and is used with
    # no other.

    def offset(self, target: Tensor) -> Tensor | None:
        """What to add to the expected loss under a soft target [N, C], where convention has it differ by a constant: a
        sum over the classes, so that it can be had of slices of them (`sharded`), and a number."""
        return None

    def check(self) -> None:
        super().check()
        self.require(self.engine in get_args(Engine), f"engine in {get_args(Engine)}", self.engine)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        if normalizer is None:
            value = by_hand.reduced(self, logits, target) if sample_weight is None else None
            value = plain.reduced(self, logits, target, sample_weight) if value is None else value
            if value is not None:
                return value
        return door.enter(self, logits, target, sample_weight).reduced(self.reduction, normalizer)

    def linear(
        self,
        hidden: Tensor,
        weight: Tensor,
        target: Tensor,
        bias: Tensor | None = None,
        *,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        softcap: float | None = None,
        memory: int | None = None,
        group: Any = None,
        start: int | None = None,
    ) -> Tensor:
        """The loss of the logits `hidden @ weight.T + bias`, which are never kept.

        Computed over chunks of rows, gradients included: instead of the logits, their probabilities and their gradient
        (3 N C numbers) only a chunk of them is alive. Use it where C is large beside D: vocabularies, product
        catalogues. The value and the gradients are those of `loss(torch.nn.functional.linear(hidden, weight, bias),
        target)`; what does not need a gradient (a frozen head, a frozen body) costs nothing.

        Args:
            hidden: [..., D] hidden states.
            weight: [C, D], as in torch.nn.Linear.
            target: [...] class indices or [..., C] soft targets; with the sigmoid link [..., C].
            bias: [C]; minus infinity masks a class out.
            sample_weight: [...] or one weight per entry of the first axis.
            normalizer: what the mean divides by, in place of the number (or weight) of targets.
            softcap: c > 0 replaces each logit z by c tanh(z / c).
            memory: bytes that a chunk of logits, and what is made of it, may take; None chooses by the shapes. Less is
                slower; less than a few rows take makes the logits of some classes at a time, twice.
            group, start: as in `sharded`; either says that classes are split over ranks, each with its part of weight,
                bias and soft target. The slopes of the hidden states, the same on all ranks, are added up here.

        >>> import torch, whyloss
        >>> hidden, weight = torch.ones(2, 3), torch.eye(4, 3)
        >>> whyloss.FocalLoss().linear(hidden, weight, torch.tensor([0, 3]))
        tensor(1.1786)
        >>> whyloss.FocalLoss()(hidden @ weight.T, torch.tensor([0, 3]))
        tensor(1.1786)
        """
        if group is not None or start is not None:
            more = (group, start, sample_weight, normalizer, softcap, memory)
            return parallel.linear(self, hidden, weight, target, bias, *more)
        if compiled.fits(self, target, sample_weight, normalizer):
            return compiled.linear(self, hidden, weight, target, bias, sample_weight, normalizer, softcap, memory)
        entered = door.enter_linear(self, hidden, weight, target, bias, sample_weight, softcap, memory)
        return entered.reduced(self.reduction, normalizer)

    def sharded(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        group: Any = None,
        start: int | None = None,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        """The loss of logits whose classes are split over the ranks of torch.distributed; never gathered.

        On every rank the value is that of `loss(torch.cat(all slices, 1), target)`, and the gradient is this rank's
        slice of its gradient. A few numbers a row are exchanged: two collectives on the way forward, none on the way
        back. Where the loss of every class as label matters (soft targets, label smoothing that has no short form),
        plain operations of torch make it, a few rows at a time: slower, with three collectives forward and none back. A
        cross-entropy stays at two and none, and a loss that is divided by its sum over the labels takes three and one.

        The first call of a loss asks all ranks for the sizes of their slices, later ones with the same slice do not: so
        take a loss for each head, or slices that change on all ranks or on none. Let gradients be wanted on all ranks
        or on none, too.

        Args:
            logits: [N, C_local, *spatial] (or [C_local]) this rank's classes; a DTensor sharded on axis 1 will do too.
            target: [N, *spatial] indices counted over all classes, the same on every rank; or soft targets, of which
                each rank gets those of its own classes, shaped like its logits: the shares of a row sum to 1 over all
                ranks, and a row is ignored whose entries on all ranks equal `ignore_index`. All else that has an entry
                for each class (`weight`, counts, tables) or for each row is whole, and the same on every rank.
            group: the ranks that the classes are split over; None: all of them.
            start: this rank's first class, given on all ranks or on none; None: slices follow each other in the order
                of the ranks. They may differ in size.
            sample_weight: [N, *spatial] or [N].
            normalizer: what the mean divides by, in place of the number (or weight) of targets.

        What the ranks share below the logits (hidden states) gets from each rank the part of its classes: add these up,
        as for any layer whose outputs are split. Refused are the sigmoid link, where no logit depends on another; an
        adjustment that changes whole rows; and, where the loss of every class as label matters, tables (they take a
        matrix product over all classes), something to learn in the formula, and soft targets that need a gradient.

        Without torch.distributed all classes are here:

        >>> import torch, whyloss
        >>> logits, target = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([0])
        >>> whyloss.FocalLoss().sharded(logits, target), whyloss.FocalLoss()(logits, target)
        (tensor(0.0457), tensor(0.0457))
        """
        local, group, start = of_dtensor(logits, group, start)
        target = target.to_local() if hasattr(target, "device_mesh") else target  # pyright: ignore
        entered = door.enter_sharded(self, local, target, group, start, sample_weight)
        return entered.reduced(self.reduction, normalizer)

    def parts(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights): add both over ranks or accumulation steps, divide once."""
        return door.enter(self, logits, target, sample_weight).parts()

    def each(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(weighted loss, weight) of each row, whatever the reduction; both 0 for rows that are ignored."""
        return door.enter(self, logits, target, sample_weight).each()

    # What the door asks for. A sum of losses (algebra.py) answers for all of its terms.

    def formulas(self) -> "tuple[Formula, Formula | None]":
        """The formula, and its average over all labels where there is a short form."""
        own = Formula(self.statistics, self.formula, lambda: key_of(self, self.formula))
        if self.averaged is None:
            return own, None
        return own, Formula(self.averaged, self.average, lambda: key_of(self, self.average))

    def argument(self, name: str) -> Any:
        """The value of a statistic's argument: "power" or "table"."""
        return getattr(self, name) if name in self.read else None
