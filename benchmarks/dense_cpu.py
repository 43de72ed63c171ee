"""The dense CPU engine beside plain torch written by hand for the same loss: forward and backward, one thread, float32.

Both run on the same inputs in turns (plain, ours, plain, ours, ...), so that a busy machine slows both alike; small
shapes several times a turn. Measured is the processor time of this process. The ratio is plain time / our time: above 1
whyloss is faster. It is given for the medians of all turns, and for the quickest turn of each, which a busy machine
disturbs least. Run it with `make bench`, or with --help for its options."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import whyloss

SHAPES = [(4096, 1000), (512, 32000), (65536, 10), (8192, 100), (100, 10)]
LOGITS_A_TURN = 2**16  # at least


def plain_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def plain_label_smoothing(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, label_smoothing=0.1)


def plain_focal(z: Tensor, y: Tensor) -> Tensor:
    log_p = F.log_softmax(z, 1).gather(1, y.unsqueeze(1)).squeeze(1)
    return (-((1 - log_p.exp()) ** 2) * log_p).mean()


def plain_gce(z: Tensor, y: Tensor) -> Tensor:
    p = F.softmax(z, 1).gather(1, y.unsqueeze(1)).squeeze(1)
    return ((1 - p**0.7) / 0.7).mean()


def plain_brier(z: Tensor, y: Tensor) -> Tensor:
    p = F.softmax(z, 1)
    own = p.gather(1, y.unsqueeze(1)).squeeze(1)
    return (1 - 2 * own + (p * p).sum(1)).mean()


CASES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "cross-entropy": (plain_cross_entropy, whyloss.CrossEntropyLoss()),
    "label smoothing": (plain_label_smoothing, whyloss.CrossEntropyLoss(label_smoothing=0.1)),
    "focal": (plain_focal, whyloss.FocalLoss(gamma=2.0)),
    "GCE": (plain_gce, whyloss.GeneralizedCrossEntropyLoss(q=0.7)),
    "Brier": (plain_brier, whyloss.BrierLoss()),
}


def turn(loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, y: Tensor) -> float:
    """Seconds of the processor for one forward and backward pass, the mean of several if they are short."""
    calls = -(-LOGITS_A_TURN // z.numel())
    z.grad = None
    start = time.process_time()
    for _ in range(calls):
        z.grad = None
        loss(z, y).backward()
    return (time.process_time() - start) / calls


def compare(case: str, shape: tuple[int, int], rounds: int) -> dict[str, object]:
    plain, ours = CASES[case]
    generator = torch.Generator().manual_seed(0)
    z = (3 * torch.randn(shape, generator=generator)).requires_grad_()
    y = torch.randint(shape[1], (shape[0],), generator=generator)
    difference = abs(plain(z, y).item() - ours(z, y).item())
    assert difference < 1e-4, f"{case}: the two losses differ by {difference}"
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for number in range(rounds + 2):
        for name, loss in (("plain", plain), ("ours", ours)):
            seconds = turn(loss, z, y)
            if number >= 2:  # the first rounds warm up
                times[name].append(seconds)
    medians = {name: 1e3 * statistics.median(each) for name, each in times.items()}
    quickest = {name: 1e3 * min(each) for name, each in times.items()}
    return {
        "case": case,
        "shape": list(shape),
        "plain_ms": medians["plain"],
        "whyloss_ms": medians["ours"],
        "ratio": medians["plain"] / medians["ours"],
        "ratio_of_quickest": quickest["plain"] / quickest["ours"],
        "rounds": rounds,
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="of each implementation (default: 15)")
    parser.add_argument("--only", choices=CASES, help="one loss (default: all)")
    parser.add_argument("--shapes", nargs="+", help="such as 4096x1000 (default: all five)")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="results as JSON (default: bench.json)")
    options = parser.parse_args()
    shapes = [tuple(int(n) for n in s.split("x")) for s in options.shapes] if options.shapes else SHAPES
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    print(f"{processor()}, torch {torch.__version__}, one thread, float32, median of {options.rounds}")
    print(f"{'shape':>12}  {'loss':<16} {'plain ms':>9} {'whyloss ms':>11} {'ratio':>6} {'of quickest':>12}")
    for shape in shapes:
        for case in [options.only] if options.only else CASES:
            row = compare(case, shape, options.rounds)
            rows.append(row)
            print(
                f"{shape[0]:>6}x{shape[1]:<5}  {case:<16} {row['plain_ms']:9.2f} {row['whyloss_ms']:11.2f} "
                f"{row['ratio']:6.2f} {row['ratio_of_quickest']:12.2f}",
                flush=True,
            )
    about = {"torch": torch.__version__, "whyloss": whyloss.__version__, "cpu": processor(), "threads": 1}
    options.out.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
