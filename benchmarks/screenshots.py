"""Pictures of the report and the viewer for the documentation.

Conjugate gradients and RLN-t with its shipped weights solve one microstructure, both
with their iterates; a headless Chromium opens what the two commands make of them. Needs
``lsml[report,view,test]``, Chromium and its driver.

    python benchmarks/screenshots.py --out docs/images
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import lsml
from lsml.report import write_report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import chromium, everywhere

SIZE, MOST = (1500, 1000), 200_000  # pixels, bytes
VIEWED, FIRST = 760, 1830  # pixels of height that are kept


def solve(folder: Path) -> list[Path]:
    """Two files of results."""
    labels = lsml.data.microstructures(1, (31, 31, 31), 7, seed=1)
    rules = {
        "cg": {"discretization": "hex8-bbar"},
        "rln-t": {"weights": "rln-t-c10"},
    }
    paths = []
    for rule, options in rules.items():
        solution = lsml.solve(labels, rule, record=True, **options)
        paths.append(solution.save(folder / f"{rule}.h5"))
    return paths


def shoot_viewer(driver, paths: list[Path], out: Path) -> None:
    """The strain after two steps of each rule, and what is missing to the solution."""
    from selenium.webdriver.common.keys import Keys

    command = [sys.executable, "-m", "lsml", "view", *map(str, paths), "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        driver.get(server.stdout.readline().split()[0])
        time.sleep(4)
        for slider in everywhere(driver, ".bk-input-group"):
            if slider.text.startswith("Iteration"):
                handle = slider.find_element("css selector", ".noUi-handle")
                handle.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 2)
        time.sleep(2)
        keep(driver, out, VIEWED)
    finally:
        server.terminate()
        server.wait()


def shoot_report(driver, path: Path, out: Path) -> None:
    """The beginning of the page."""
    driver.get(write_report(path, path.with_suffix(".html")).as_uri())
    driver.set_window_size(1100, FIRST + 200)
    time.sleep(1)
    keep(driver, out, FIRST)


def keep(driver, out: Path, height: int) -> None:
    """A screenshot cut to what matters."""
    driver.save_screenshot(str(out))
    with Image.open(out) as shot:
        cut = shot.convert("RGB").crop((0, 0, shot.width, min(height, shot.height)))
    cut.save(out, optimize=True)
    if out.stat().st_size > MOST:
        raise SystemExit(f"{out} has {out.stat().st_size} bytes, more than {MOST}")


def main() -> None:
    """Both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    out = parser.parse_args().out
    with TemporaryDirectory() as folder, chromium(Path(folder) / "profile") as driver:
        paths = solve(Path(folder))
        driver.set_window_size(*SIZE)
        shoot_viewer(driver, paths, out / "viewer.png")
        shoot_report(driver, paths[0], out / "report.png")


if __name__ == "__main__":
    main()
