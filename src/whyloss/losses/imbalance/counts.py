"""How many examples each class has: what most losses of this family start from."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


def class_counts(
    labels: "Tensor | Sequence[Any] | Dataset[Any] | DataLoader[Any]",
    classes: int | None = None,
    ignore_index: int = -100,
) -> Tensor:
    """[C] examples of each class, 0 where there is none; summed over the ranks where torch.distributed is initialised.

    Args:
        labels: class indices (integers, of any shape), or shares [N, C, ...] (floats or bools: soft, one-hot and
            multi-label targets), which are summed; a list of either; or a Dataset or DataLoader of (x, y) pairs, which
            is read once from end to end. Every rank counts its own part, and needs `classes` if it may miss the last
            ones.
        classes: C; None is one more than the largest label seen.
        ignore_index: labels and shares with this value are left out.

    >>> import torch
    >>> class_counts(torch.tensor([0, 2, 2, -100]), classes=4)
    tensor([1, 0, 2, 0])
    >>> class_counts([[0.5, 0.5], [1.0, 0.0]])
    tensor([1.5000, 0.5000])
    """
    total: Tensor | None = None
    for part in _parts(labels):
        counts = _counted(part, classes, ignore_index)
        if total is None or len(total) < len(counts):
            total, counts = counts, torch.zeros(1, dtype=counts.dtype, device=counts.device) if total is None else total
        total[: len(counts)] += counts
    if total is None:
        if classes is None:
            raise ValueError("class_counts: no labels, and no number of classes either.")
        total = torch.zeros(classes, dtype=torch.int64)
    return over_ranks(total)


def over_ranks(x: Tensor) -> Tensor:
    """The sum over all ranks; x itself where there are none."""
    if not (dist.is_available() and dist.is_initialized()):
        return x
    carried = x.cuda() if dist.get_backend() == "nccl" else x.clone()
    dist.all_reduce(carried)
    return carried.to(x.device)


def _parts(labels: Any) -> Iterator[Tensor]:
    """The labels in one or several tensors."""
    if isinstance(labels, DataLoader):
        yield from (torch.as_tensor(y) for _, y in labels)
    elif isinstance(labels, Dataset):
        data: Any = labels  # by index where it has a length, for it need not end by itself
        items = (data[i] for i in range(len(data))) if hasattr(data, "__len__") else data
        yield from (torch.as_tensor(y).unsqueeze(0) for _, y in items)
    else:
        nothing = not isinstance(labels, Tensor) and len(labels) == 0
        yield torch.as_tensor(labels, dtype=torch.int64 if nothing else None)


def _counted(labels: Tensor, classes: int | None, ignore_index: int) -> Tensor:
    if labels.is_floating_point() or labels.dtype == torch.bool:
        if labels.ndim < 2 or (classes is not None and labels.shape[1] != classes):
            wanted = "C" if classes is None else classes
            raise ValueError(
                f"class_counts: shares {tuple(labels.shape)}, but [N, {wanted}, ...] is needed. Class indices? Convert "
                "them with labels.long()."
            )
        shares = labels.detach().to(torch.get_default_dtype())
        shares = torch.where(shares == ignore_index, 0.0, shares)
        return shares.movedim(1, 0).flatten(1).sum(1)
    flat = labels.flatten().long()
    keep = flat != ignore_index
    if classes is None:
        classes = max(int(flat.amax()) + 1 if flat.numel() else 0, 0)
    label = torch.where(keep, flat, 0)
    if not torch.compiler.is_compiling() and bool(((label < 0) | (label >= max(classes, 1))).any()):
        raise ValueError(
            f"class_counts: labels from {int(label.min())} to {int(label.max())} but {classes} classes. A void label? "
            "Pass it as ignore_index."
        )
    return torch.zeros(classes, dtype=torch.int64, device=flat.device).index_add_(0, label, keep.long())
