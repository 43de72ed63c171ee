"""The largest of each row is torch.max's, ties, infinities and NaN included."""

import pytest
import torch

from whyloss.stats.largest import CLASSES, LEAST, largest


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_the_largest_is_torchs_and_its_place_holds_it(dtype: torch.dtype):
    z = torch.randn(LEAST // CLASSES + 3, 2 * CLASSES).to(dtype)
    z[0, 5] = z[0, 9] = z[1] = 7.0
    z[2, 3] = torch.inf
    z[3] = -torch.inf
    z[4, 8] = torch.nan
    for rows in (z, z.T.contiguous().T, z[:5], z[:, :3]):
        top, place = largest(rows)
        torch.testing.assert_close(top, rows.amax(1, keepdim=True), rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(rows.gather(1, place), top, rtol=0, atol=0, equal_nan=True)


def test_room_is_used_and_the_logits_stay():
    z = torch.randn(LEAST, CLASSES)
    kept, room = z.clone(), torch.full_like(z, 3.0)
    top, place = largest(z, room)
    assert torch.equal(z, kept)
    assert torch.equal(place, z.argmax(1, keepdim=True))
    assert torch.equal(top, z.gather(1, place))
    assert torch.equal(room, (z == top).float())
