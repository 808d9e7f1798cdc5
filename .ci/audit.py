"""Ask whether a version that CI installs has a known weakness.

pip-audit asks the package registry. Where that answers nothing, as on a machine without
network or with a mirror that has no advisories, this says so and stops nobody:
pip-audit itself ends with success then, having looked at no package. A weakness ends
with status 1.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120  # seconds
COMMAND = [sys.executable, "-m", "pip_audit", "--requirement", "constraints.txt"]
COMMAND += ["--no-deps", "--disable-pip", "--format", "json", "--timeout", "10"]
COMMAND += ["--progress-spinner", "off"]


def asked() -> list[dict[str, object]] | str:
    """What is known of each package, or why nothing is."""
    try:
        done = subprocess.run(
            COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {PATIENCE} seconds"
    try:
        packages: list[dict[str, object]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines()
        return said[-1][:200] if said else f"pip-audit ended with {done.returncode}"
    known = [package for package in packages if "vulns" in package]
    return known or f"none of the {len(packages)} packages is known to the registry"


def weaknesses(packages: list[dict[str, object]]) -> list[str]:
    """A line for each."""
    return [
        f"{package['name']} {package['version']}: {weak['id']}, mended in "
        f"{', '.join(weak['fix_versions']) or 'no version'}"
        for package in packages
        for weak in package["vulns"]
    ]


def main() -> None:
    """Ask, and tell."""
    packages = asked()
    if isinstance(packages, str):
        print(f"registry not reachable, audit skipped: {packages}")
        return
    found = weaknesses(packages)
    print("\n".join([*found, f"{len(packages)} packages audited"]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
