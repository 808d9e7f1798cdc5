"""What a fault leaves is never taken for whole: a short form of the campaign."""

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parents[1] / "benchmarks" / "faults.py"

for _needed in ("pymks", "lightning"):
    pytest.importorskip(_needed, reason='needs pip install "lsml[data,learn]"')


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs fork and limits of a file")
def test_what_a_fault_leaves_is_whole_or_not_there():
    """As each scenario of the campaign says; a program, since it forks."""
    command = [sys.executable, str(CAMPAIGN), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "## Wrong" not in done.stdout
