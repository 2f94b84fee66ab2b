import torch

from soundlasso.dsp.masks import compete

GAINS = torch.tensor([[0.9, 0.2, 0.0], [0.6, 0.3, 0.0], [0.5, 0.1, 1.0]])


def test_alone_masks_stay_as_they_are() -> None:
    assert torch.equal(compete(GAINS, 0, consistent=False), GAINS)


def test_consistent_masks_never_take_more_than_there_is() -> None:
    shared = compete(GAINS, 0, consistent=True)
    assert torch.allclose(shared.sum(0), torch.tensor([1.0, 0.6, 1.0]))
    assert torch.allclose(shared[:, 0], GAINS[:, 0] / 2.0)


def test_what_is_avoided_takes_its_share_and_gives_no_stem() -> None:
    shared = compete(GAINS, 1, consistent=False)
    assert shared.shape == (2, 3)
    assert torch.allclose(shared[:, 0], torch.tensor([0.9 / 1.4, 0.6 / 1.1]))
    assert torch.allclose(shared[:, 1], GAINS[:2, 1])
