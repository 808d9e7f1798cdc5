"""Build wheel and sdist, look into them, and use the wheel where nothing else is.

wheel.py FOLDER    the clean environment is made in FOLDER, which must not exist
"""

import os
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {".py", ".typed", ".safetensors", ".html", ".css", ".js", ".j2", ".json"}
UNWANTED = re.compile(r"(^|/)(tests|benchmarks|docs|examples|\.ci|__pycache__)(/|$)")
ELSEWHERE = re.compile(rb"/(?:home|root|tmp|work|Users)/\w")


def build(folder: Path) -> tuple[Path, Path]:
    """Wheel and sdist, the wheel made from the sdist."""
    command = [sys.executable, "-m", "build", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def look_into(wheel: Path, sdist: Path) -> list[str]:
    """What is missing from the packages, or should not be there."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        contents = {name: archive.read(name) for name in names}
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "lsml").rglob("*")
        if path.suffix in SHIPPED
    }
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    own = {f"{info}/{name}" for name in ("METADATA", "licenses/LICENSE", "RECORD")}
    extra = {"LICENSE", "README.md", "pyproject.toml", "CHANGELOG.md"}
    return [
        *(f"the wheel has no {name}" for name in sorted((wanted | own) - names)),
        *(f"the sdist has no {name}" for name in sorted((wanted | extra) - shipped)),
        *(f"the wheel has {name}" for name in sorted(names) if UNWANTED.search(name)),
        *(
            f"{name} names a folder of the machine that built it"
            for name, content in sorted(contents.items())
            if not name.endswith(".safetensors") and ELSEWHERE.search(content)
        ),
    ]


def install(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment that holds lsml[all], from the wheel."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    # What is imported is compiled then; to compile all of it takes half of the time.
    pip = [python, "-m", "pip", "install", "-q", "--no-compile"]
    wanted = f"lsml[all] @ {wheel.as_uri()}"
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", wanted], check=True)
    return python


def use(python: Path, folder: Path) -> None:
    """Run the smoke script, and the commands, in an empty folder."""
    folder.mkdir()
    alone = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PATH"}}
    alone |= {"PATH": f"{python.parent}:/usr/bin:/bin", "MPLBACKEND": "Agg"}
    for command in (
        [python, ROOT / ".ci" / "smoke.py"],
        ["lsml", "--version"],
        ["lsml", "demo"],
    ):
        subprocess.run(command, check=True, cwd=folder, env=alone)
    missing = [f for f in ("demo.png", "demo.h5") if not (folder / f).stat().st_size]
    assert not missing, missing


def main(folder: Path) -> None:
    """Build, look, install, use."""
    start = time.perf_counter()

    def done(what: str) -> None:
        print(f"{what} (after {time.perf_counter() - start:.0f} s)", flush=True)

    folder.mkdir(parents=True)
    wheel, sdist = build(folder / "dist")
    if wrong := look_into(wheel, sdist):
        raise SystemExit("\n".join(wrong))
    done(f"{wheel.name} and {sdist.name} hold what they should")
    python = install(wheel, folder / "env")
    done("lsml[all] is installed from the wheel")
    use(python, folder / "work")
    done("used from the wheel")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).resolve())
