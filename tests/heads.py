"""What each of three processes does in the tests of linear heads whose classes are split over ranks; in a file that a
process can import. A trial is a call that everybody can make alone."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from shards import CASES, CLASSES, EACH, THREE
from torch import Tensor
from torch.distributed.tensor.debug import CommDebugMode

import whyloss
from whyloss.bench.memory import peak_bytes

ROWS, WIDTH = (4, 6), 5


@dataclass
class Trial:
    """A loss, its target, what else the call takes, and the dtype; upstream: what the value is multiplied by."""

    loss: Callable[[], Any]
    target: Tensor
    call: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float64
    upstream: Tensor | float = 1.7

    def parts(self) -> list[Tensor]:
        """Hidden states, weights, bias."""
        generator = torch.Generator().manual_seed(1)
        shapes = (*self.target.shape[: len(ROWS)], WIDTH), (CLASSES, WIDTH), (CLASSES,)
        return [torch.randn(s, generator=generator, dtype=torch.float64).to(self.dtype) for s in shapes]

    def alone(self) -> tuple[Tensor, list[Tensor]]:
        call = {name: x for name, x in self.call.items() if name != "memory"}
        return self._run(self.parts(), lambda loss, h, w, b: loss.linear(h, w, self.target, b, **call))

    def on_a_rank(self, rank: int) -> tuple[Tensor, list[Tensor]]:
        hidden, weight, bias = self.parts()
        target = self.target.split(THREE, -1)[rank] if self.target.is_floating_point() else self.target
        mine = [hidden, weight.split(THREE)[rank], bias.split(THREE)[rank]]
        call = {"group": dist.group.WORLD, **self.call}
        return self._run(mine, lambda loss, h, w, b: loss.linear(h, w, target, b, **call))

    def _run(self, parts: list[Tensor], of: Callable[..., Tensor]) -> tuple[Tensor, list[Tensor]]:
        leaves = [x.clone().requires_grad_() for x in parts]
        value = of(self.loss(), *leaves)
        if not value.requires_grad:  # some statistics are constants
            return value.detach(), [torch.zeros_like(x) for x in leaves]
        due = (value * self.upstream).sum()
        first = torch.autograd.grad(due, leaves, retain_graph=True)
        for a, b in zip(first, torch.autograd.grad(due, leaves), strict=True):
            torch.testing.assert_close(a, b)
        return value.detach(), list(first)


def trials() -> dict[str, Trial]:
    generator = torch.Generator().manual_seed(2)
    y = torch.randint(CLASSES, ROWS, generator=generator)
    y[0, :2], y[3] = -100, -100
    q = torch.softmax(torch.randn(*ROWS, CLASSES, generator=generator, dtype=torch.float64), -1)
    q[1, 2] = -100
    upstream, weights = torch.linspace(-1, 2, y.numel()).double().reshape(ROWS), torch.rand(ROWS, generator=generator)
    few: dict[str, Any] = {"memory": 1}  # sixteen rows at a time
    found = dict[str, Trial]()
    for case in CASES:
        found[f"{case}"] = Trial(lambda case=case: case.build(CLASSES, link="softmax"), y, few)
        found[f"{case}-none"] = Trial(
            lambda case=case: case.build(CLASSES, link="softmax", reduction="none"), y, few, upstream=upstream
        )
    for case in EACH:
        found[f"{case}-soft"] = Trial(lambda case=case: case.build(CLASSES, link="softmax"), q, few)
    per_class = torch.linspace(0.5, 2.0, CLASSES, dtype=torch.float64)
    for cls in (whyloss.CrossEntropyLoss, whyloss.BrierLoss, whyloss.NormalizedFocalLoss):
        changes = whyloss.Adjustment(shift=per_class, scale=per_class, margin=per_class)
        for name, options, call in (
            ("smoothing", {"label_smoothing": 0.1, "weight": per_class}, few),
            ("sum", {"reduction": "sum"}, {"sample_weight": weights, **few}),
            ("weights", {}, {"sample_weight": weights, "normalizer": 3.0}),
            ("softcap", {}, {"softcap": 1.5, **few}),
            ("own softcap", {"adjust": whyloss.Adjustment(softcap=1.5)}, few),
            ("changes", {"adjust": changes}, few),
            ("nan", {"empty": "nan"}, few),
        ):
            found[f"{cls.__name__}-{name}"] = Trial(lambda cls=cls, o=options: cls(**o), y, call)
        found[f"{cls.__name__}-no rows"] = Trial(cls, y[:0])
        found[f"{cls.__name__}-nothing counts"] = Trial(cls, torch.full_like(y, -100), few)
        for dtype in (torch.float32, torch.bfloat16):
            found[f"{cls.__name__}-{dtype}"] = Trial(cls, y, few, dtype)
    found["sum of losses"] = Trial(lambda: whyloss.CrossEntropyLoss() + 0.5 * whyloss.BrierLoss(), y, few)
    found["sum of unlike losses"] = Trial(
        lambda: whyloss.CrossEntropyLoss(label_smoothing=0.1) + whyloss.BrierLoss(), y, few
    )
    found["class weights that learn"] = Trial(lambda: whyloss.CrossEntropyLoss(weight=per_class.requires_grad_()), y)
    return found


def more(rank: int) -> dict[str, Any]:
    """What is asked for alone costs alone; collectives; errors; memory."""
    y = torch.arange(40) % CLASSES
    hidden, weight = torch.randn(40, WIDTH, generator=torch.Generator().manual_seed(3)), torch.ones(CLASSES, WIDTH)
    mine, world = (weight * torch.arange(CLASSES).unsqueeze(1)).split(THREE)[rank], {"group": dist.group.WORLD}
    loss, found = whyloss.FocalLoss(), dict[str, Any]()
    loss.linear(hidden, mine, y, **world)  # asks for the sizes
    for name, x, w in (
        ("body", hidden.clone().requires_grad_(), mine),
        ("head", hidden, mine.clone().requires_grad_()),
    ):
        with CommDebugMode() as counted:
            value = loss.linear(x, w, y, **world)
            (gradient,) = torch.autograd.grad(value, x if name == "body" else w)
        found[name] = (value.detach(), gradient, counted.get_total_counts())
    with torch.no_grad():
        found["value"] = loss.linear(hidden, mine, y, **world)
    with torch.autocast("cpu", torch.bfloat16):
        found["autocast"] = loss.linear(hidden, mine, y, **world)
    calls: dict[str, Callable[[], Any]] = {
        "sigmoid": lambda: whyloss.CrossEntropyLoss(link="sigmoid").linear(hidden, mine, y, **world),
        "target": lambda: loss.linear(hidden, mine, y[:3], **world),
        "label": lambda: loss.linear(hidden, mine, y + CLASSES, **world),
        "normalizer": lambda: whyloss.FocalLoss(reduction="sum").linear(hidden, mine, y, normalizer=2.0, **world),
    }
    for name, call in calls.items():
        try:
            found[name] = f"no error but {call()}"
        except ValueError as error:
            found[name] = str(error)
    wide, states = torch.randn(4000, 8).requires_grad_(), torch.randn(2000, 8).requires_grad_()
    labels = torch.arange(2000)
    fused = peak_bytes(
        lambda: torch.autograd.grad(loss.linear(states, wide, labels, memory=2**20, **world), (states, wide))
    )
    found["bytes"] = fused / (4 * 2000 * 4000)
    return found


def on_a_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    patience = timedelta(seconds=30)
    dist.init_process_group("gloo", timeout=patience, init_method=f"file://{folder}/meeting", rank=rank, world_size=3)
    found = {"trials": {name: trial.on_a_rank(rank) for name, trial in trials().items()}, "more": more(rank)}
    torch.save(found, f"{folder}/rank{rank}.pt")
    dist.barrier()  # nobody hangs up while the others still talk
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads sometimes abort a process that takes its time to leave
