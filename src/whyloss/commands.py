"""The commands and what their help teaches: each turns what was typed into one call.

Knows the options and their words. Everything heavy is imported inside the commands, so that help is there at once."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from whyloss import __version__
from whyloss.advise.finding import InputError

BUNDLED = "breast_cancer"

Column = Annotated[str, Parameter(metavar="COLUMN")]
Family = Literal["proper", "robust", "imbalance", "margin", "relations", "multilabel", "continuous", "region"]

app = App(
    name="whyloss",
    help="Which loss should a classifier be trained on? Measured on your data, and honest when it makes no difference.",
    help_epilogue="""Examples:
```text
whyloss advise                                try it, on data of scikit-learn
whyloss advise flowers.csv --label species    your own table
whyloss claims                                what people say about losses, settled by experiment
whyloss list                                  every loss
whyloss show focal                            one loss, with its curves
whyloss bench --quick                         how fast they are here, beside plain torch
```""",
    version=__version__,
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)


@app.command(
    help_epilogue="""Examples:
```text
whyloss advise
    A first look, on bundled data.

whyloss advise flowers.csv --label species
    The main job. Then open whyloss-report/report.html.

whyloss advise visits.parquet --label outcome --group patient
    Several rows per patient: training and test folds share no patient.

whyloss advise reviews.csv --label stars --ordered bad,fair,good
    The classes have an order.

whyloss advise orders.csv --label returned --drop id --drop date
    Two columns are not features.

whyloss advise digits --budget quick --seed 1 --out quick-look
    Bundled digits, fewer trials, another seed, another folder.
```
A run that was interrupted goes on where it stopped when the same command is given again."""
)
def advise(
    file: str | None = None,
    /,
    *,
    label: Column | None = None,
    metric: Annotated[str | None, Parameter(metavar="METRIC")] = None,
    group: Column | None = None,
    ordered: Annotated[str | None, Parameter(metavar="A,B,C")] = None,
    drop: Annotated[list[str] | None, Parameter(metavar="COLUMN")] = None,
    out: Annotated[Path, Parameter(metavar="DIR")] = Path("whyloss-report"),
    seed: int = 0,
    budget: Literal["quick", "normal", "thorough"] = "normal",
    jobs: int | None = None,
    backend: Annotated[str | None, Parameter(metavar="NAME")] = None,
) -> None:
    """Find out which loss, and which decision rule, fits your data.

    Looks at the data (wrong labels, imbalance, related classes, outliers, calibration), tries what is cheaper than
    another loss (threshold, prior, temperature), races losses against cross-entropy on the same folds, and says what
    the difference is worth: "advised", "worth trying", "no difference" or "undecided".

    Args:
        file: A CSV or TSV file (also .gz), a Parquet file, or an npz file with arrays X and y; or the name of data that
            comes with scikit-learn: breast_cancer, digits, iris, wine. [default: breast_cancer]
        label: The column that holds the classes: its name, or its number counted from 0 (-1 is the last). Needed for
            files of your own, except an npz file with an array y.
        metric: What "better" means: accuracy, balanced_accuracy, f1, log_loss, brier, roc_auc, average_precision, mae
            or quadratic_kappa. [default: chosen from the classes and their counts; the report says why]
        group: The column that says which rows belong together (a patient, a session, a site); they are kept on one side
            of every split. [default: none; duplicated rows are always kept together]
        ordered: The classes from lowest to highest, with commas between them, if they have an order. [default: none]
        drop: A column that is not a feature; may be given several times. [default: none; columns that look like
            identifiers are left out, and the report says so]
        out: The folder for report.html, report.json and the finished trials; made if it is not there.
        seed: Decides splits, initial weights and batches: the same seed gives the same report.
        budget: How much to train: quick for a first look, thorough for small differences.
        jobs: How many processes work at once. [default: one per core]
        backend: Where they work: the name of a joblib backend, or the address of a Dask scheduler (dask://...).
            [default: this machine]
    """
    from rich.console import Console

    from whyloss.advise.report import show as show_report
    from whyloss.advise.run import advise as run

    source = BUNDLED if file is None else file
    classes = None if ordered is None else _classes(ordered)
    typed = ["whyloss", "advise", source]
    for name, value in {"label": label, "metric": metric, "group": group, "ordered": ordered}.items():
        typed += [] if value is None else [f"--{name}", value]
    for column in drop or []:
        typed += ["--drop", column]
    typed += ["--out", str(out), "--seed", str(seed), "--budget", budget]
    for name, value in {"jobs": jobs, "backend": backend}.items():
        typed += [] if value is None else [f"--{name}", str(value)]
    report = run(
        source,
        label=label,
        metric=metric,
        group=group,
        ordered=classes,
        drop=drop or [],
        out=out,
        seed=seed,
        budget=budget,
        jobs=jobs,
        backend=backend,
        console=Console(stderr=True),  # progress; standard output is for the report
        command=shlex.join(typed),
    )
    show_report(report, Console(), html=out / "report.html")


@app.command(
    name="claims",
    help_epilogue="""Examples:
```text
whyloss claims --quick
    A first look at all of them, in about two minutes.

whyloss claims
    All of them, in about a quarter of an hour. Then open whyloss-claims/claims.html.

whyloss claims S1-5 S2-6
    Two sentences only.

whyloss claims C-1
    A contradiction, and with it its two sides.

whyloss claims --seed 1 --out again
    The same experiments on other data, initial weights and batches.

whyloss claims --lang zh
    In Chinese.
```
A run that was interrupted goes on where it stopped when the same command is given again.""",
)
def settle_claims(
    ids: Annotated[list[str] | None, Parameter(name="ID", negative=())] = None,
    /,
    *,
    quick: bool = False,
    seed: int = 0,
    out: Annotated[Path, Parameter(metavar="DIR")] = Path("whyloss-claims"),
    jobs: int | None = None,
    lang: Literal["en", "zh"] = "en",
) -> None:
    """Settle what people say about losses: each sentence with its experiment and the verdict that came out.

    Sentences that are repeated wherever losses are taught ("MSE cannot be used", "Dice handles imbalance better"), and
    five pairs of them that contradict each other. Each is measured under two protocols, one learning rate for all and
    every loss tuned, and gets a verdict from the figures alone: "holds", "does not hold", "equivalent", "holds only
    when ..." or "undecided".

    Args:
        ids: Which claims or contradictions: S1-5, S2-6/15, C-1. [default: all]
        quick: Fewer seeds and shorter training: a first look, marked as such wherever a verdict stands.
        seed: Decides data, initial weights and batches: the same seed gives the same verdicts.
        out: The folder for claims.html, claims.json, a page for each contradiction and the finished experiments; made
            if it is not there.
        jobs: How many processes work at once. [default: one per core]
        lang: The language of the table, the pages and the texts in claims.json: English or Chinese.
    """
    from rich.console import Console

    from whyloss.claims.command import claims
    from whyloss.claims.report import show as show_claims

    typed = ["whyloss", "claims", *(ids or []), *(["--quick"] if quick else []), "--seed", str(seed), "--out", str(out)]
    typed += ["--jobs", str(jobs)] if jobs is not None else []
    typed += ["--lang", lang] if lang != "en" else []
    found = claims(
        ids or [],
        quick=quick,
        seed=seed,
        out=out,
        jobs=jobs,
        language=lang,
        console=Console(stderr=True),  # progress; standard output is for the table
        command=shlex.join(typed),
    )
    show_claims(found, Console(), lang, out / "claims.html")


@app.command(
    name="bench",
    help_epilogue="""Examples:
```text
whyloss bench --quick
    A first look, in less than a minute. Then open whyloss-bench/bench.html.

whyloss bench
    All cases of this device; on a CPU a quarter of an hour.

whyloss bench linear --loss focal --loss brier
    Two losses behind a linear head, by a part of the case's name.

whyloss bench logits-4096x5000 linear-1024x512x30000-bf16
    Shapes of your own: the kind, N x C or N x D x C, and the dtype if it is not float32.

whyloss bench segmentation --seconds 20 --compile
    More rounds, and torch.compile on the CPU too.

whyloss bench beyond
    Losses that are no sums over a row: ordered classes, sparse maps, sets of labels, masks, angles.

whyloss bench --markdown > bench.md
    Tables to paste.

whyloss bench --edges
    Not speed but numbers: where losses go wrong, ours and those of the packages that are installed.
```
Cases on a CPU: logits-512x32000, logits-4096x1000, logits-8192x100, logits-65536x10, logits-100x10,
linear-2048x256x20000, segmentation-2x19x128x256, multilabel-256x9605. On CUDA: language models' heads and logits,
ImageNet, images and volumes, in 16 bits and in float32. On both, where asked for: rows, steps, bins, sets, scores,
masks and cosines of some shapes, all of them "beyond". Close other programs, and compare ratios rather than
milliseconds between machines.""",
)
def measure(
    cases: Annotated[list[str] | None, Parameter(name="CASE", negative=())] = None,
    /,
    *,
    loss: Annotated[list[str] | None, Parameter(metavar="NAME")] = None,
    device: Literal["cpu", "cuda"] | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    quick: bool = False,
    rounds: int | None = None,
    seconds: float | None = None,
    compile: Annotated[bool | None, Parameter(negative="--no-compile")] = None,
    edges: bool = False,
    threads: int = 1,
    seed: int = 0,
    out: Annotated[Path, Parameter(metavar="DIR")] = Path("whyloss-bench"),
    markdown: bool = False,
) -> None:
    """Measure on this machine: time, memory and error of the losses, beside plain torch and what else is installed.

    Every engine that fits, plain torch written by hand, torch.compile of it, and the peers that are installed (Liger,
    cut-cross-entropy, quack, MONAI, kornia, timm, torchvision, torch's own linear_cross_entropy; beyond the sums also
    dlordinal, entmax, coral-pytorch, hl-gauss-pytorch, segmentation-models-pytorch, pytorch-metric-learning,
    pytorch-toolbelt, libauc). All compute the same loss on the same inputs in one process, in turns, so that what else
    the machine does slows all alike.

    How to read it: "x torch" is the time of plain torch over this one, above 1 is faster. "floor" is the share of the
    least possible time, from the copy bandwidth and the rate of matrix products measured in the same run. "MiB" is
    the most memory at once above the inputs. "error" is against float64; one in red is not a rounding error.

    Args:
        cases: Which cases: a name, a part of one, or a pattern with *; or a shape of your own; or "beyond", those of
            losses that are no sums over a row. [default: all of the device but these]
        loss: One loss; may be given several times. [default: all; with --quick four of them]
        device: Where. [default: cuda if there is one]
        dtype: Compute every case in this dtype. [default: each case's own]
        quick: Fewer losses and rounds: a first look.
        rounds: Rounds of each comparison, at most; never fewer than three are made. [default: 200; with --quick 10]
        seconds: Seconds that the rounds of each comparison may take. [default: 3; with --quick 0.3]
        compile: Measure torch.compile too, which takes its time to compile. [default: on CUDA only]
        edges: The edge contract instead of times (or besides, where cases or losses are named): masked classes,
            ignored rows, probabilities that round to 1, empty masks and others, through our losses and those of
            every package that is installed, each with a verdict that is computed.
        threads: Threads of the CPU.
        seed: Decides the inputs.
        out: The folder for bench.json and bench.html; made if it is not there.
        markdown: Print the tables as Markdown.
    """
    from rich.console import Console

    from whyloss.bench.command import bench
    from whyloss.bench.report import markdown as as_markdown
    from whyloss.bench.report import show as show_bench

    typed = ["whyloss", "bench", *(cases or [])]
    for name in loss or []:
        typed += ["--loss", name]
    given = {"device": device, "dtype": dtype, "rounds": rounds, "seconds": seconds}
    typed += [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    typed += [f"--{name}" for name, value in {"quick": quick, "compile": compile, "edges": edges}.items() if value]
    typed += ["--threads", str(threads), "--seed", str(seed), "--out", str(out)]
    report = bench(
        cases or [],
        losses=loss or [],
        device=device,
        dtype=dtype,
        rounds=rounds,
        seconds=seconds,
        quick=quick,
        compiled=compile,
        edges=edges,
        threads=threads,
        seed=seed,
        out=out,
        console=Console(stderr=True),  # progress; standard output is for the tables
        command=shlex.join(typed),
    )
    if markdown:
        print(as_markdown(report), end="")
    else:
        show_bench(report, Console(), out / "bench.html")


@app.command(
    name="list",
    help_epilogue="""Examples:
```text
whyloss list
whyloss list --family robust
whyloss list --json > losses.json
whyloss list --out losses
```""",
)
def list_(
    *,
    family: Family | None = None,
    json: bool = False,
    out: Annotated[Path | None, Parameter(metavar="DIR")] = None,
) -> None:
    """List every loss: names, formula, source, and what is true of it.

    Proper: in expectation, nothing beats the true probabilities. Bounded: one row can cost only so much. Symmetric:
    summed over all possible labels it is constant, so that uniform label noise does not move its optimum. Convex: in
    the logits. "Depends" is on the parameters.

    Args:
        family: One family only. [default: all]
        json: Print JSON for other programs, with every loss's parameters, instead of a table.
        out: Write the catalogue as pages into this folder instead: an index, and a page with a picture for every loss.
    """
    from whyloss.pages.command import list_losses

    list_losses(family, json, out)


@app.command(
    name="show",
    help_epilogue="""Examples:
```text
whyloss show focal
whyloss show gce --param q=0.3
whyloss show sce --param alpha=1 --param beta=0.5 --out sce.svg
whyloss show logit-adjusted --param "counts=[900, 90, 10]"
whyloss show dice
```""",
)
def show_(
    name: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    param: Annotated[list[str] | None, Parameter(metavar="NAME=VALUE")] = None,
) -> None:
    """Show one loss: formula, source, parameters, facts, an example, and its curve and gradient.

    Args:
        name: A class name, a short name or a function name, in any spelling: FocalLoss, focal, focal_loss.
        out: Write the picture to this file too: .svg, .png, .html (opens without a network) or .json (Vega-Lite).
            [default: none, the terminal only]
        param: A parameter to draw the loss with, as name=value; may be given several times. [default: the loss's own
            defaults]
    """
    from whyloss.pages.command import show_loss

    show_loss(name, param or [], out)


def _classes(ordered: str) -> list[str]:
    classes = [name.strip() for name in ordered.split(",")]
    if len(classes) < 2 or "" in classes:
        raise InputError(
            f"--ordered is {ordered!r}, but at least two classes are needed, from lowest to highest, with commas "
            "between them: --ordered low,middle,high."
        )
    return classes
