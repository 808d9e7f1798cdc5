"""What a device has left, and a refusal before anything is taken."""

import psutil
import torch

GIGA = 1e9


def available(device: torch.device) -> int:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return int(psutil.virtual_memory().available)


def demand(need: int, device: torch.device, what: str, advice: str = "") -> None:
    """Refuse ``what`` if its bytes cannot fit.

    Raises
    ------
    MemoryError
        With the bytes needed and those available.
    """
    room = available(device)
    if need > room:
        raise MemoryError(
            f"{what} needs {need / GIGA:.2f} GB but {room / GIGA:.2f} GB are available "
            f"on {device}{advice}"
        )
