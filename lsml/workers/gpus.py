"""One process per GPU: which process sees which."""

import os
from collections.abc import Mapping, Sequence

import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"
CPU, CUDA = DEVICES = ("cpu", "cuda")


def environments(
    workers: int, device: str, gpus: Sequence[str]
) -> list[Mapping[str, str]]:
    """Variables of each worker; on GPUs each sees one of its own, as its only one.

    Raises
    ------
    ValueError
        More workers than GPUs.
    """
    if device == CPU:
        return [{} for _ in range(workers)]
    if workers > len(gpus):
        raise ValueError(
            f"{workers} workers on {len(gpus)} GPUs: each needs one of its own"
        )
    return [{VISIBLE: gpu} for gpu in gpus[:workers]]


def check_device(device: str) -> None:
    """Refuse what is no kind of device.

    Raises
    ------
    ValueError
        The known ones.
    """
    if device not in DEVICES:
        raise ValueError(
            f"device {device!r} is unknown; choose one of {', '.join(DEVICES)}"
        )


def gpus_here() -> list[str]:
    """Names of the GPUs that this process may use, as the variable has them.

    Raises
    ------
    ValueError
        There are none.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise ValueError("device 'cuda': PyTorch finds no GPU here")
    given = [name for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return given[:count] or [str(k) for k in range(count)]
