"""Settings of the whole test run."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """On grids this small, threads wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["eager", "native"])
def engine(request, monkeypatch):
    """Modules that use it hold on whole-array operations and on fused kernels."""
    if request.param == "native":
        pytest.importorskip("numba")
        for size in ("SMALL", "COLD"):
            monkeypatch.setattr(f"lsml.acceleration.{size}", 0)
