"""Long work as a set of pure functions: run here or on a cluster, each result kept as soon as it is there.

Knows functions, keys and the ledger; nothing of what is computed."""

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import joblib

from whyloss.advise.finding import InputError
from whyloss.advise.ledger import Ledger

Place = TypeVar("Place", bound=Hashable)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Job(Generic[Found]):
    """`function(*arguments)`, and the key under which the ledger keeps what it returns."""

    key: Mapping[str, Any]
    function: Callable[..., Found]
    arguments: tuple[Any, ...]


def finish(
    jobs: Mapping[Place, Job[Found]],
    ledger: Ledger[Found],
    processes: int,
    backend: str | None = None,
    progress: Callable[[], None] = lambda: None,
) -> dict[Place, Found]:
    """The result of every job: read where the ledger has it, else run and kept. A worker that dies (out of memory, a
    lost machine) costs the jobs that it held, which are tried again."""
    found: dict[Place, Found] = {}
    for place, job in jobs.items():
        kept = ledger.get(job.key)
        if kept is not None:
            found[place] = kept
            progress()
    for attempt in range(3):
        missing = {place: job for place, job in jobs.items() if place not in found}
        if not missing:
            break
        try:
            for place, result in _run(missing, processes, backend):
                ledger.put(jobs[place].key, result)
                found[place] = result
                progress()
        except _lost_workers():
            if attempt == 1:
                processes, backend = 1, None
    return found


def _run(jobs: Mapping[Place, Job[Found]], processes: int, backend: str | None) -> Iterator[tuple[Place, Found]]:
    if processes == 1 and backend is None:
        yield from (_placed(place, job) for place, job in jobs.items())
        return
    with _backend(backend):
        # One job at a time, so that each is in the ledger as soon as it is done.
        options: dict[str, Any] = {"return_as": "generator_unordered", "batch_size": 1}
        parallel = joblib.Parallel(n_jobs=processes, **options)
        yield from parallel(joblib.delayed(_placed)(*item) for item in jobs.items())  # pyright: ignore


def _placed(place: Place, job: Job[Found]) -> tuple[Place, Found]:
    return place, job.function(*job.arguments)


def _lost_workers() -> tuple[type[BaseException], ...]:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    return (TerminatedWorkerError, ConnectionError)


@contextmanager
def _backend(name: str | None) -> Generator[None]:
    """joblib's backend by name: "loky" (processes, the default), "threading", "dask", "dask://ADDRESS", "ray"."""
    if name is None:
        yield
        return
    kind, _, address = name.partition("://")
    options: Mapping[str, Any] = {}
    try:
        if kind == "dask":
            from dask.distributed import Client  # pyright: ignore

            options = {"client": Client(address or None)}
        elif kind == "ray":
            from ray.util.joblib import register_ray  # pyright: ignore

            register_ray()
        with joblib.parallel_config(backend=kind, **options):
            yield
    except ImportError:
        raise InputError(f"--backend {name!r} needs the package {kind!r}: pip install '{kind}'.") from None
    except ValueError as error:
        if "Invalid backend" not in str(error):
            raise
        raise InputError(
            f"Unknown --backend {name!r}; loky, threading, dask, dask://ADDRESS and ray are known."
        ) from None
