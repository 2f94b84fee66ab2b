"""Settings that all tests share."""

import pytest
import torch

from soundlasso.models.separator import Separator, load_model


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    """Compute with the number of threads that the figures were measured with."""
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def lariat() -> Separator:
    return load_model("lariat")
