"""Seconds of a call, in turns with others: a busy machine slows all of them alike.

On the CPU by the time that the thread was at work, or, of several threads, by the wall clock; on CUDA by events, over
inputs that take turns too, so that none is still in the cache. Large inputs come while the GPU is still busy, as in
training, where the host runs ahead of it; small ones come to an idle GPU, where the host's part in the time is seen,
and once more inside a CUDA graph, where the host has none."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import TypeVar

import torch

Key = TypeVar("Key")
Run = Callable[[int], object]  # with the number of the inputs
FEWEST, WARM = 3, 1
AHEAD = 4_000_000  # cycles, some two milliseconds, that the host may run ahead
REPLAYS = 20


def take_turns(
    runs: Mapping[Key, Run],
    device: str,
    rounds: int,
    seconds: float,
    after: Callable[[Key, int], None] | None = None,
    busy: bool = False,
) -> dict[Key, list[float]]:
    """Seconds of each run in each round: at most so many rounds, or for so long, but never fewer than three.

    `after` is told which run ended on which inputs, before the next begins. `busy`: a GPU has work to do when a run
    comes, so that the host can run ahead."""
    found: dict[Key, list[float]] = {key: [] for key in runs}
    keys, end = list(runs), 0.0
    for number in range(-WARM, rounds):
        if number == 0:
            end = time.perf_counter() + seconds
        if number >= FEWEST and time.perf_counter() > end:
            break
        # Every round another begins: what runs first after a pause would otherwise always be the same.
        first = number % max(1, len(keys))
        for key in keys[first:] + keys[:first]:
            took = once(partial(runs[key], number + WARM), device, busy)
            if after is not None:
                after(key, number + WARM)
            if number >= 0:
                found[key].append(took)
    return found


def once(run: Callable[[], object], device: str, busy: bool = False) -> float:
    """Seconds of one run."""
    if device != "cuda":
        clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        began = clock()
        run()
        return clock() - began
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    if busy:
        torch.cuda._sleep(AHEAD)  # pyright: ignore[reportPrivateUsage] - torch has no other kernel that only waits
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def in_graph(run: Run, inputs: Sequence[object]) -> float | None:
    """Seconds of a call on each of the inputs in one CUDA graph, divided by their number; None where it cannot be
    captured, as with what waits for the device."""
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            run(0)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for number in range(len(inputs)):
                run(number)
        times = [once(graph.replay, "cuda") for _ in range(REPLAYS)]
    except Exception:  # whatever a peer may raise
        torch.cuda.synchronize()
        return None
    return median(times) / max(1, len(inputs))
