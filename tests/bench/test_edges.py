"""The edge contract as cases: ours is right on each of them, and the verdicts come from the numbers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from whyloss.bench.edges import cases, truths
from whyloss.bench.edges.cases import EDGES
from whyloss.bench.edges.edge import Edge, Peer, ours
from whyloss.bench.edges.judge import MEANINGS, judge
from whyloss.bench.edges.run import conform, run, told
from whyloss.losses.catalogue import catalogue
from whyloss.stats.kernels import absent as no_kernels

KERNELS = () if no_kernels(torch.device("cpu")) else ("triton",)  # in Triton's interpreter
NAMED = {edge.name: edge for edge in EDGES}
Z, Y = torch.tensor([[1.0, 0.0], [0.5, 2.0]]), torch.tensor([0, 1])


def engines(edge: Edge) -> tuple[str, ...]:
    cls = catalogue()[edge.ours.loss]
    takes_one = "engine" in cls.fields() and edge.name not in OWN_PATH
    return ("reference", "dense", *KERNELS) if takes_one else ("auto",)


# A linear head has its own chunks; double backward belongs to the reference engine, which "auto" takes.
OWN_PATH = {edge.name for edge in EDGES if edge.name.startswith("linear") or edge.name.endswith("twice")}
THERE = [(edge, engine) for edge in EDGES if edge.ours.exists for engine in engines(edge)]


@pytest.mark.parametrize(("edge", "engine"), [pytest.param(*pair, id=f"{pair[0].name}-{pair[1]}") for pair in THERE])
def test_ours_is_right_on_every_case(edge: Edge, engine: str):
    came, verdict = run(edge, edge.ours.build(**({} if engine == "auto" else {"engine": engine})))
    assert verdict == "OK", came
    if edge.truth is None:
        assert came.startswith(("ValueError: ", "TypeError: "))


def test_names_of_cases_are_their_own():
    assert len(NAMED) == len(EDGES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("certain", 2.0611536e-9),
        ("focal-hopeless", 100.0),
        ("sigmoid-focal-hopeless", 100 + 0.25 * 0.6931472),
        ("focal-weighted", 1.5595812),
        ("focal-alpha-per-sample", 0.5 * (0.9 * 0.6931472 + 0.1 * 5.0067153)),
        ("ordinal-hopeless", 32 * (30 - 0.6931472)),
        ("masked-soft-target", 1.3132617),
        ("masked-normalized", 1.3132617 / (1.3132617 + 0.3132617)),
        ("log-dice-no-overlap", 39.99665),
        ("gce-hopeless", 2.0),
        ("agce-hopeless", 0.8284271),
        ("reverse-certain", 4 * 2.0611536e-9),
        ("float16-vocabulary", 4 * 50256 / 50257),
        ("entmax-ignored", 10.0),
    ],
)
def test_values_that_are_known_by_hand(name: str, value: float):
    edge = NAMED[name]
    assert edge.truth is not None
    assert edge.truth(edge.logits.double(), edge.target).item() == pytest.approx(value, rel=1e-5)


def test_the_formulas_are_those_of_torch_where_torch_has_them():
    z, y = 3 * torch.randn(20, 5, dtype=torch.float64), torch.arange(20) % 5
    torch.testing.assert_close(truths.cross_entropy(z, y), F.cross_entropy(z, y))
    torch.testing.assert_close(truths.smoothed_rows(z, y, 0.1).mean(), F.cross_entropy(z, y, label_smoothing=0.1))
    t = (y.unsqueeze(1) == y[:5]).double()
    torch.testing.assert_close(truths.binary_cross_entropy(z, t), F.binary_cross_entropy_with_logits(z, t))
    torch.testing.assert_close(truths.sigmoid_focal(0.0)(z, t), F.binary_cross_entropy_with_logits(z, t))
    p = torch.softmax(z, 1)[torch.arange(20), y]
    torch.testing.assert_close(truths.focal(2.0)(z, y), -((1 - p) ** 2 * p.log()).mean())


def found(value: float, *gradient: float) -> dict[str, Tensor]:
    return {"value": torch.tensor(value), "gradient": torch.tensor(gradient)}


def right(value: float, *gradient: float) -> dict[str, Tensor]:
    return {name: part.double() for name, part in found(value, *gradient).items()}


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("came", "true", "verdict"),
    [
        (found(1, -1, 1), right(1, -1, 1), "OK"),
        (found(INF, 0, 1), right(INF, 0, 1), "OK"),
        (ValueError("no"), None, "OK"),
        (ValueError("no"), right(1, -1, 1), "CRASH"),
        (found(1, -1, 1), None, "SILENT"),
        (found(2, -1, 1), right(1, -1, 1.5), "SILENT"),  # what comes without the argument
        (found(1, NAN, 1), right(1, -1, 1), "NAN"),
        (found(INF, -1, 1), right(1, -1, 1), "NAN"),
        (found(3, 0, 0), right(1, -1, 1), "DEAD"),
        (found(0.5, -0.5, 0.75), right(1, -1, 1.5), "MEAN"),
        (found(0, 0, 2e-9), right(2e-9, -2e-9, 2e-9), "ROUNDED"),
        (found(7, -3, 3), right(1, -1, 1), "OTHER"),
        (found(1.5, -1, 1), right(1, -1, 1), "WRONG"),
        (found(1, -1, 1, 0), right(1, -1, 1), "WRONG"),
        (found(1, 1, -1), right(1, -1, 1), "WRONG"),
    ],
)
def test_a_verdict_for_each_kind_of_answer(came: Any, true: Any, verdict: str):
    assert judge(came, true, torch.float32, right(7, -3, 3), right(2, -1, 1)) == verdict


def test_gradients_in_16_bits_may_be_as_coarse_as_the_dtype_and_values_may_not():
    true = right(1, -1, 1)
    coarse = {"value": torch.tensor(1.0), "gradient": torch.tensor([-1.0, 1.004]).bfloat16()}
    assert judge(coarse, true, torch.bfloat16) == "OK"
    assert judge({**coarse, "value": torch.tensor(1.004).bfloat16()}, true, torch.bfloat16) == "ROUNDED"
    assert judge(found(1, -1, 1.004), true, torch.float32) == "WRONG"


def planted(*peers: Peer, loss: str = "CrossEntropyLoss", name: str = "planted") -> Edge:
    return Edge(name, "Planted", "two rows", "their mean", Z, Y, truths.cross_entropy, ours(loss), peers)


def absent() -> Callable[[Tensor, Tensor], Tensor]:
    raise ImportError("no such part")


def refusing() -> Callable[[Tensor, Tensor], Tensor]:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        raise RuntimeError("cannot read /home/somebody/site-packages/thing.py\nsecond line")

    return loss


def test_peers_that_raise_are_missing_or_differ_have_rows_that_say_so():
    peers = (
        Peer("torch", "right", lambda: F.cross_entropy),
        Peer(
            "torch", "sum", lambda: torch.nn.CrossEntropyLoss(reduction="sum"), ("a sum", lambda z, y: 2 * mean(z, y))
        ),
        Peer("torch", "refusing", refusing),
        Peer("no-such-package", "absent", absent),
        Peer("torch", "absent", absent),
        Peer("torch", "kernel", refusing, triton=True),
    )
    report = conform([planted(*peers), planted(loss="NoSuchLoss"), planted(name="alone")])
    assert [(row["library"], row["call"], row["verdict"]) for row in report["rows"]] == [
        ("whyloss", "CrossEntropyLoss", "OK"),
        ("torch", "right", "OK"),
        ("torch", "sum", "OTHER"),
        ("torch", "refusing", "CRASH"),
    ] + [("torch", "kernel", "CRASH")] * bool(KERNELS)
    assert report["rows"][2]["came"].endswith("(a sum)")
    assert report["rows"][3]["came"] == "RuntimeError: cannot read …"
    assert report["rows"][1]["version"] == str(torch.__version__)
    skipped = [tuple(part.values()) for part in report["skipped"]]
    assert ("no-such-package", 1, "not installed") in skipped
    assert ("torch", 1, "not to be made here, ImportError: no such part") in skipped
    assert report["alone"] == 1


def mean(z: Tensor, y: Tensor) -> Tensor:
    return truths.cross_entropy(z, y)


def test_what_came_is_one_line():
    assert (
        told({"value": torch.tensor(-0.0), "gradient": torch.tensor([1e-9, -2.5])}) == "value 0, gradient [1e-9, -2.5]"
    )
    assert told({"gradient": torch.zeros(9)}) == "gradient all 0"
    assert told({"gradient": torch.arange(-9.0, 3)}) == "gradient up to 9"
    assert told({"value": torch.zeros(0, 3)}) == "value of shape (0, 3)"


def test_a_peer_changes_nothing_for_the_next(recwarn: pytest.WarningsRecorder):
    def careless() -> Callable[[Tensor, Tensor], Tensor]:
        def loss(z: Tensor, y: Tensor) -> Tensor:
            value = F.cross_entropy(z, y)
            z.data.zero_()
            y.zero_()
            torch.set_grad_enabled(False)
            print("hello")
            return value

        return loss

    edge = planted(Peer("torch", "careless", careless), Peer("torch", "right", lambda: F.cross_entropy))
    assert conform([edge])["rows"][-1]["verdict"] == "OK"
    assert torch.is_grad_enabled()
    assert torch.equal(Y, torch.tensor([0, 1]))


def test_no_verdict_stands_in_the_cases():
    words = re.compile(r"\b(" + "|".join(verdict for verdict in MEANINGS if verdict != "OK") + r"|verdict)\b")
    for file in Path(cases.__file__).parent.glob("*.py"):
        assert not words.search(file.read_text()), file.name
