"""Linear heads whose classes are split over ranks: on every rank the value and the slopes of the hidden states that one
process finds, and this rank's part of the others, for every row loss, in chunks."""

from typing import Any

import pytest
import torch
from heads import CLASSES, WIDTH, Trial, on_a_rank, trials
from shards import of_three

import whyloss

TRIALS = trials()
TOLERANCE = {torch.float64: (1e-9, 1e-11), torch.float32: (2e-5, 1e-6), torch.bfloat16: (3e-2, 1e-2)}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What three processes found; started once."""
    return of_three(on_a_rank, tmp_path_factory.mktemp("heads"))


@pytest.mark.parametrize("name", TRIALS)
def test_ranks_find_what_one_process_does(name: str, ranks: list[dict[str, Any]]):
    trial: Trial = TRIALS[name]
    value, (hidden, *parts) = trial.alone()
    rtol, atol = TOLERANCE[trial.dtype]
    found = [rank["trials"][name] for rank in ranks]
    for ours, gradients in found:
        assert ours.dtype == value.dtype
        assert torch.equal(ours, found[0][0]) or ours.isnan().all()
        torch.testing.assert_close(ours, value, rtol=rtol, atol=atol, equal_nan=True)
        torch.testing.assert_close(gradients[0], hidden, rtol=rtol, atol=atol, equal_nan=True)
    for place, part in enumerate(parts, 1):
        ours = torch.cat([gradients[place] for _, gradients in found])
        torch.testing.assert_close(ours, part, rtol=rtol, atol=atol, equal_nan=True)


def test_what_is_frozen_costs_nothing_and_the_ranks_talk_little(ranks: list[dict[str, Any]]):
    """Two collectives for a chunk, and one for the slopes of the hidden states."""
    for rank in ranks:
        more = rank["more"]
        assert more["body"][2] == 3
        assert more["head"][2] == 2
        assert torch.equal(more["body"][0], more["value"])
        torch.testing.assert_close(more["autocast"], more["value"], rtol=2e-2, atol=1e-2)
        assert more["bytes"] < 0.15  # of one rank's logits


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("sigmoid", "no logit depends on another"),
        ("target", "target (40,) is needed"),
        ("label", f"but there are {CLASSES} classes"),
        ("normalizer", "replaces the denominator"),
    ],
)
def test_what_cannot_work_is_refused_in_words_by_every_rank(call: str, words: str, ranks: list[dict[str, Any]]):
    for rank in ranks:
        assert words in rank["more"][call]


@pytest.mark.parametrize("split", [{"group": "ranks"}, {"start": 3}])
def test_a_split_without_torch_distributed_is_refused(split: dict[str, Any]):
    with pytest.raises(ValueError, match="not initialised"):
        whyloss.FocalLoss().linear(torch.ones(2, WIDTH), torch.ones(3, WIDTH), torch.tensor([0, 1]), **split)
