"""What a benchmark ran on, and files that are whole or not there."""

import json
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import lsml


def description(device: str) -> dict[str, Any]:
    """Processor, cores, memory and versions; what a number must be read with."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory("MemTotal") / 2**30, 1),
        "accelerator": torch.cuda.get_device_name() if device == "cuda" else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lsml": lsml.__version__,
    }


def now() -> dict[str, Any]:
    """Date, and how busy the machine is."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def processor() -> str:
    """Model name as the system gives it."""
    names = entries("cpuinfo", r"model name\s*:\s*(.+)")
    return names[0] if names else platform.processor() or platform.machine()


def memory(field: str) -> int:
    """Bytes of one field of /proc/meminfo; 0 where there is none."""
    found = entries("meminfo", rf"{field}:\s*(\d+) kB")
    return 1024 * int(found[0]) if found else 0


def entries(name: str, pattern: str) -> list[str]:
    """What a file of /proc says; nothing on other systems."""
    path = Path("/proc") / name
    return re.findall(pattern, path.read_text()) if path.exists() else []


def slug(machine: dict[str, Any]) -> str:
    """Part of a file name: the accelerator, or the processor and its cores."""
    name = machine["accelerator"] or f"{machine['processor']} {machine['cores']} cores"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def write(path: Path, text: str) -> None:
    """Replace a file at once, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def write_json(path: Path, content: object) -> None:
    """As text that differs line by line."""
    write(path, json.dumps(content, indent=1) + "\n")
