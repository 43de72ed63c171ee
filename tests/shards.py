"""What each of three processes does in the tests of class-sharded logits; in a file that a process can import.

A trial is a call of a loss on logits that everybody can make alone; the ranks make their slices of them."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from instances import ROWS, Case, defaults
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.debug import CommDebugMode

import whyloss
from whyloss.stats import shard

CLASSES = 7
THREE, TWO = (3, 1, 3), (2, 5)  # classes of each rank


def fits(case: Case) -> bool:
    """Whether ranks that each know a part of a row's logits can compute it."""
    adjust = case.build(CLASSES).adjust
    rows_are_changed = adjust is not None and adjust.of_rows
    return "softmax" in case.links and not rows_are_changed


CASES = [case for case in defaults(ROWS) if fits(case)]
EACH = [case for case in CASES if "table" not in case.cls.read]  # that can be had for every class as label


@dataclass
class Trial:
    """A loss, its whole logits and target, what else the call takes, and how many classes each rank gets."""

    loss: Callable[[], Any]
    logits: Tensor
    target: Tensor
    call: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[int, ...] = THREE
    upstream: Tensor | float = 1.0

    def run(self, of: Callable[[Any, Tensor], Tensor], logits: Tensor) -> tuple[Tensor, Tensor]:
        """(value, gradient) for these of the logits."""
        leaf = logits.clone().requires_grad_()
        value = of(self.loss(), leaf)
        if not value.requires_grad:  # some statistics are constants
            return value.detach(), torch.zeros_like(leaf)
        return value.detach(), torch.autograd.grad((value * self.upstream).sum(), leaf)[0]

    def alone(self) -> tuple[Tensor, Tensor]:
        """What is expected: one process, the reference engine."""

        def of(loss: Any, z: Tensor) -> Tensor:
            loss.engine = "reference"
            return loss(z, self.target, **self.call)

        return self.run(of, self.logits)

    def on_a_rank(self, rank: int, group: Any) -> tuple[Tensor, Tensor]:
        mine, target = self.logits.split(self.sizes, 1)[rank], self.target
        if target.is_floating_point():
            target = target.split(self.sizes, 1)[rank]
        return self.run(lambda loss, z: loss.sharded(z, target, group=group, **self.call), mine)


def weighted(case: Case, per_class: Tensor, **options: Any) -> Any:
    """The case's loss of each row, with class weights; some losses insist on their own."""
    own = case.build(CLASSES).weight is not None
    weight = {} if own else {"weight": per_class}
    options = {"smoothing_weight": "sample", **options}
    return case.build(CLASSES, link="softmax", reduction="none", **options, **weight)


def reading(statistic: str, **options: Any) -> Any:
    """A loss that is one statistic, so that each is tested whether a loss of the library reads it or not."""

    def formula(self: Any, **statistics: Tensor) -> Tensor:
        return statistics[statistic]

    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD
    formula.__signature__ = inspect.Signature([inspect.Parameter(n, kinds) for n in ("self", statistic)])
    table = torch.linspace(0, 1, CLASSES**2, dtype=torch.float64).reshape(CLASSES, CLASSES).sin()
    return type("Reading", (whyloss.RowLoss,), {"formula": formula, "table": table, "power": 1.5})(**options)


def rows(dtype: torch.dtype = torch.float64, count: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    z = 3 * torch.randn(count, CLASSES, generator=generator, dtype=torch.float64)
    return z.to(dtype), torch.randint(CLASSES, (count,), generator=generator)


def hard() -> tuple[Tensor, Tensor]:
    """Rows that are ignored and hold NaN, masked classes (a whole slice of them), a masked label, ties."""
    z, y = rows()
    y[3], z[3] = -100, torch.nan
    y[4], z[4, 0] = 0, -torch.inf
    y[5], z[5, 2:] = 1, -torch.inf
    y[6], z[6] = 2, 0.5
    y[7], z[7, 5] = 5, -torch.inf
    return z, y


def shares(count: int = 12) -> Tensor:
    """Soft targets, from nearly flat to nearly one-hot, some of them without some classes."""
    generator = torch.Generator().manual_seed(6)
    spread = torch.logspace(-1, 1, count, dtype=torch.float64).unsqueeze(1)
    q = torch.softmax(torch.randn(count, CLASSES, generator=generator, dtype=torch.float64) * spread, 1)
    q[1::3, 1:4] = 0
    return q / q.sum(1, keepdim=True)


def hard_shares() -> tuple[Tensor, Tensor]:
    """The same rows as in `hard`: ignored; masked classes that nobody asks for, a whole slice of them; masked ones that
    are asked for; ties at the top; a tie for the second place; one-hot; a class far above all others."""
    z, _ = hard()
    q = shares()
    q[3] = -100
    q[5] = torch.tensor([0.25, 0.75, 0, 0, 0, 0, 0])
    z[8, [2, 6]] = z[8].max() + 2
    z[9, 1], z[9, [0, 4]] = z[9].max() + 3, z[9].max() + 1
    q[10] = torch.eye(CLASSES)[4]
    z[10, 4] = 50.0
    z[11, 3] = 900.0
    return z, q


def of_every_label(per_class: Tensor) -> dict[str, Trial]:
    """Soft targets, smoothing that has no short form, and losses that are divided by their sum."""
    weights = torch.linspace(0, 2, 12, dtype=torch.float64)
    upstream = torch.linspace(-1, 2, 12, dtype=torch.float64)
    (z, _), q, found = rows(), shares(), dict[str, Trial]()
    for case in EACH:
        found[f"{case}-soft"] = Trial(lambda case=case: case.build(CLASSES, link="softmax"), z, q)
        for name, target in (("soft", hard_shares()), ("labels", hard())):
            for over, by in (("all", "class"), ("others", "sample")):
                options = {"label_smoothing": 0.1, "smoothing_over": over, "smoothing_weight": by}
                found[f"{case}-smoothing-{over}-hard-{name}"] = Trial(
                    lambda case=case, options=options: weighted(case, per_class, **options),
                    *target,
                    {"sample_weight": weights},
                    TWO if over == "all" else THREE,
                    upstream,
                )
        found[f"{case}-hard-soft"] = Trial(
            lambda case=case: weighted(case, per_class), *hard_shares(), {"sample_weight": weights}, THREE, upstream
        )
    for statistic in whyloss.statistics():
        if not whyloss.stats.table.arguments((statistic,)) & {"table"}:
            found[f"statistic-{statistic}-soft"] = Trial(lambda statistic=statistic: reading(statistic), *hard_shares())
    far = torch.linspace(0, 3, CLASSES).unsqueeze(0).clone()
    far[0, 5] += 120  # beside which the others' exponentials are 0 in float32
    for statistic in ("log_odds", "log_not_p", "rest_lse", "rest_sq", "rest_entropy", "rest_log_p", "rival"):
        found[f"statistic-{statistic}-soft-sure"] = Trial(
            lambda statistic=statistic: reading(statistic, reduction="none"), far, torch.eye(CLASSES)[[5]]
        )
    kinds = (whyloss.CrossEntropyLoss, whyloss.BrierLoss, whyloss.MulticlassHingeLoss, whyloss.NormalizedFocalLoss)
    for cls in kinds:
        options: dict[str, dict[str, Any]] = {
            "changes": {"adjust": whyloss.Adjustment(shift=per_class, scale=per_class, margin=per_class)},
            "softcap": {"adjust": whyloss.Adjustment(softcap=4.0)},
            "sum": {"reduction": "sum"},
            "mean-weight": {"weight": per_class, "label_smoothing": 0.2},
            "weights-of-0": {"weight": (per_class > 1).double()},
        }
        for name, option in options.items():
            for kind, target in (("soft", hard_shares()), ("labels", hard())):
                found[f"{cls.__name__}-{name}-{kind}"] = Trial(lambda cls=cls, o=option: cls(**o), *target)
        found[f"{cls.__name__}-normalizer-soft"] = Trial(cls, z, q, {"normalizer": 5.0}, TWO)
        found[f"{cls.__name__}-empty-slice-soft"] = Trial(cls, z, q, sizes=(0, 4, 3))
        found[f"{cls.__name__}-nothing-counts-soft"] = Trial(cls, z, torch.full_like(q, -100))
        found[f"{cls.__name__}-no-rows-soft"] = Trial(cls, z[:0], q[:0])
        found[f"{cls.__name__}-changes-float32-soft"] = Trial(
            lambda cls=cls, o=options["changes"]: cls(**o), z.float(), q.float()
        )
        for dtype in (torch.float32, torch.bfloat16):
            found[f"{cls.__name__}-{dtype}-soft"] = Trial(cls, z.to(dtype), q.to(dtype))
        sure = torch.zeros(3, CLASSES)
        sure[:2, 2], sure[1, 4], sure[2, 5] = 20.0, 15.0, 17.0
        one_hot = torch.eye(CLASSES)[[2, 2, 5]]
        found[f"{cls.__name__}-soft-sure"] = Trial(lambda cls=cls: cls(reduction="none"), sure, one_hot)
        lonely = torch.full((2, CLASSES), -torch.inf, dtype=torch.float64)
        lonely[0, 1], lonely[1, 6] = 2.0, -1.0
        found[f"{cls.__name__}-all-masked-but-the-label-soft"] = Trial(cls, lonely, torch.eye(CLASSES).double()[[1, 6]])
        pixels, spread = (x.reshape(2, 2, 3, CLASSES).movedim(-1, 1) for x in (z, q))
        found[f"{cls.__name__}-pixels-soft"] = Trial(lambda cls=cls: cls(reduction="none"), pixels, spread)
    # The less likely of two classes: its share of all losses is nearly 1.
    wrong = torch.full((1, CLASSES), -torch.inf)
    wrong[0, 2], wrong[0, 5] = 20.0, 0.0
    found["share-of-nearly-1-sure"] = Trial(whyloss.NormalizedFocalLoss, wrong, torch.tensor([5]))
    found["sum-of-losses-soft"] = Trial(
        lambda: whyloss.CrossEntropyLoss(label_smoothing=0.1) + 0.5 * whyloss.BrierLoss(label_smoothing=0.1), z, q
    )
    return found


def trials() -> dict[str, Trial]:
    z, y = rows()
    per_class = torch.linspace(0.5, 2.0, CLASSES, dtype=torch.float64)
    found: dict[str, Trial] = {}
    for case in CASES:
        found[f"{case}"] = Trial(lambda case=case: case.build(CLASSES, link="softmax"), z, y)
        found[f"{case}-hard-rows"] = Trial(
            lambda case=case: weighted(case, per_class),
            *hard(),
            {"sample_weight": torch.linspace(0, 2, len(y), dtype=torch.float64)},
            TWO,
            torch.linspace(-1, 2, len(y), dtype=torch.float64),
        )
    for statistic in whyloss.statistics():
        found[f"statistic-{statistic}"] = Trial(lambda statistic=statistic: reading(statistic), *hard())
    shift = whyloss.LogitAdjustment(per_class * 100)
    for cls in (whyloss.CrossEntropyLoss, whyloss.BrierLoss, whyloss.MulticlassHingeLoss, whyloss.FocalLoss):
        options: dict[str, dict[str, Any]] = {
            "shift": {"adjust": shift},
            "scale": {"adjust": whyloss.Adjustment(scale=2.5)},
            "scales": {"adjust": whyloss.Adjustment(shift=per_class, scale=per_class)},
            "margin": {"adjust": whyloss.Adjustment(margin=per_class, scale=3.0)},
            "sum": {"reduction": "sum"},
            "sum-weight": {"reduction": "sum", "weight": per_class},
            "mean-weight": {"weight": per_class},
            "ignore": {"ignore_index": 2},
        }
        for name, option in options.items():
            found[f"{cls.__name__}-{name}"] = Trial(lambda cls=cls, option=option: cls(**option), z, y)
        found[f"{cls.__name__}-normalizer"] = Trial(cls, z, y, {"normalizer": 5.0}, TWO)
        found[f"{cls.__name__}-one-slice-without-labels"] = Trial(cls, z, y % 3)
        found[f"{cls.__name__}-empty-slice"] = Trial(cls, z, y, sizes=(4, 3, 0))
        found[f"{cls.__name__}-nothing-counts"] = Trial(cls, z, torch.full_like(y, -100))
        found[f"{cls.__name__}-no-rows"] = Trial(cls, z[:0], y[:0])
        for dtype in (torch.float32, torch.bfloat16):
            found[f"{cls.__name__}-{dtype}"] = Trial(cls, z.to(dtype), y)
        sure = torch.zeros(3, CLASSES)
        sure[:2, 2], sure[1, 4], sure[2, 5] = 20.0, 15.0, 17.0
        found[f"{cls.__name__}-sure"] = Trial(lambda cls=cls: cls(reduction="none"), sure, torch.tensor([2, 2, 5]))
        lonely = torch.full((2, CLASSES), -torch.inf, dtype=torch.float64)
        lonely[0, 1], lonely[1, 6] = 2.0, -1.0
        found[f"{cls.__name__}-all-masked-but-the-label"] = Trial(cls, lonely, torch.tensor([1, 6]))
        pixels = z.reshape(2, 2, 3, CLASSES).movedim(-1, 1)
        found[f"{cls.__name__}-pixels"] = Trial(lambda cls=cls: cls(reduction="none"), pixels, y.reshape(2, 2, 3))
    for over in ("all", "others"):
        for weight in (None, per_class):
            options = {"label_smoothing": 0.1, "smoothing_over": over, "smoothing_weight": "sample", "weight": weight}
            found[f"smoothing-{over}{'' if weight is None else '-weight'}"] = Trial(
                lambda options=options: whyloss.CrossEntropyLoss(**options), *hard()
            )
    found |= of_every_label(per_class)
    found["sum-of-losses"] = Trial(lambda: whyloss.CrossEntropyLoss() + 0.5 * whyloss.BrierLoss(), z, y)
    return found


def errors(rank: int) -> dict[str, str]:
    """What is said about calls that cannot work."""
    z, y = (x[:4] for x in rows())
    mine = z.split(THREE, 1)[rank]
    wide = torch.zeros(3 if rank else 2, 11)
    mesh = init_device_mesh("cpu", (3,))
    calls: dict[str, Callable[[], Any]] = {
        "other rows": lambda: whyloss.CrossEntropyLoss().sharded(wide, torch.zeros(len(wide)).long()),
        "other target": lambda: whyloss.CrossEntropyLoss().sharded(mine, y[:3]),
        "outside": lambda: whyloss.CrossEntropyLoss().sharded(mine, y + 4),
        "whole target": lambda: whyloss.CrossEntropyLoss().sharded(mine, torch.full((4, CLASSES), 1 / CLASSES)),
        "no distribution": lambda: whyloss.CrossEntropyLoss().sharded(mine, torch.full_like(mine, 1 / 8)),
        "below 0": lambda: whyloss.CrossEntropyLoss().sharded(mine, torch.full_like(mine, 4 / 3 - rank)),
        "target to learn": lambda: whyloss.BrierLoss().sharded(mine, (0 * mine + 1 / CLASSES).requires_grad_()),
        "sigmoid": lambda: whyloss.CrossEntropyLoss(link="sigmoid").sharded(mine, mine.long()),
        "overlap": lambda: whyloss.CrossEntropyLoss().sharded(mine, y, start=(0, 2, 4)[rank]),
        "one start": lambda: whyloss.CrossEntropyLoss().sharded(mine, y, start=3 if rank == 1 else None),
        "weight": lambda: whyloss.CrossEntropyLoss(weight=torch.ones(3)).sharded(mine, y),
        "replicated": lambda: whyloss.CrossEntropyLoss().sharded(DTensor.from_local(z, mesh, [Replicate()]), y),
        "table": lambda: reading("expected").sharded(mine, torch.full_like(mine, 1 / CLASSES)),
    }
    found = {}
    for name, call in calls.items():
        try:
            found[name] = f"no error but {call()}"
        except ValueError as error:
            found[name] = str(error)
    return found


def counted(rank: int) -> dict[str, tuple[int, int]]:
    """Collectives on the way forward and on the way back: of losses that need few and many sums, for one label or for
    every class as label."""
    z, y = rows()
    mine, q, found = z.split(THREE, 1)[rank], shares().split(THREE, 1)[rank], dict[str, tuple[int, int]]()
    for cls in (whyloss.CrossEntropyLoss, whyloss.BrierLoss, whyloss.MulticlassHingeLoss, whyloss.NormalizedFocalLoss):
        for kind, target, eps in (("labels", y, 0.0), ("soft", q, 0.0), ("smoothed", y, 0.1)):
            leaf, loss = mine.clone().requires_grad_(), cls(label_smoothing=eps)
            loss.sharded(leaf, target)  # asks for the sizes
            with CommDebugMode() as forward:
                value = loss.sharded(leaf, target)
            with CommDebugMode() as backward:
                value.backward()
            found[f"{cls.__name__} {kind}"] = (forward.get_total_counts(), backward.get_total_counts())
    return found


def more(rank: int) -> dict[str, Any]:
    """Starts that are out of order, a DTensor, and a NaN on one rank."""
    z, y = rows()
    found = dict[str, Any]()
    at = (4, 0, 1)[rank]  # rank 0 has the last classes
    mine = z[:, at : at + THREE[rank]].clone().requires_grad_()
    value = whyloss.BrierLoss().sharded(mine, y, start=at)
    found["start"] = (value.detach(), torch.autograd.grad(value, mine)[0])
    mesh = init_device_mesh("cpu", (3,))
    local = z.chunk(3, 1)[rank].clone().requires_grad_()
    spread = DTensor.from_local(local, mesh, [Shard(1)], shape=z.shape, stride=z.stride())
    value = whyloss.BrierLoss().sharded(spread, y)
    found["dtensor"] = (value.detach(), torch.autograd.grad(value, local)[0])
    target = DTensor.from_local(shares().chunk(3, 1)[rank], mesh, [Shard(1)], shape=z.shape, stride=z.stride())
    value = whyloss.BrierLoss().sharded(spread, target)
    found["soft dtensor"] = (value.detach(), torch.autograd.grad(value, local)[0])
    mine = z.split(THREE, 1)[rank].clone()
    mine[0] = torch.nan if rank == 1 else mine[0]
    found["nan"] = whyloss.CrossEntropyLoss(reduction="none").sharded(mine, y)
    q = shares().split(THREE, 1)[rank]
    found["nan soft"] = whyloss.CrossEntropyLoss(reduction="none").sharded(mine, q)
    found["nan of every label"] = whyloss.NormalizedFocalLoss(reduction="none").sharded(mine, q)
    return found


def on_a_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    patience = timedelta(seconds=30)
    dist.init_process_group("gloo", timeout=patience, init_method=f"file://{folder}/meeting", rank=rank, world_size=3)
    two = dist.new_group([0, 1])
    shard.BLOCK = 5 * CLASSES  # several blocks of rows
    found: dict[str, Any] = {"trials": {}}
    for name, trial in trials().items():
        if len(trial.sizes) == 3 or rank < 2:
            found["trials"][name] = trial.on_a_rank(rank, None if len(trial.sizes) == 3 else two)
    found |= {"more": more(rank), "errors": errors(rank), "counted": counted(rank)}
    torch.save(found, f"{folder}/rank{rank}.pt")
    dist.barrier()  # nobody hangs up while the others still talk
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads sometimes abort a process that takes its time to leave


def of_three(work: Callable[..., None], folder: Path) -> list[dict[str, Any]]:
    """What three processes found and saved: `work`, of a rank and a folder."""
    mp.spawn(work, args=(str(folder),), nprocs=3)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(3)]
