"""Settings that all tests share."""

import pytest
import torch

from soundlasso.models.separator import Separator, load_model


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute with one thread: steady on a busy machine, where two would wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def lariat() -> Separator:
    return load_model("lariat")
