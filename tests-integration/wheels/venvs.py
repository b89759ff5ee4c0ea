"""A virtual environment to install built wheels in, and to ask what works there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def name_of(wheel: Path) -> str:
    """The distribution's name, as it is written in a requirement."""
    return wheel.name.partition("-")[0].replace("_", "-")


class Venv:
    """A virtual environment that installs our packages from the wheelhouse, and the rest from the index."""

    def __init__(self, folder: Path, wheelhouse: Path, python: str) -> None:
        self.folder = folder
        self.wheelhouse = wheelhouse
        self._uv("venv", "--python", python, str(folder))
        self.site = Path(self.run("import sysconfig; print(sysconfig.get_path('purelib'))"))

    def _uv(self, *arguments: str) -> str:
        done = subprocess.run(
            ["uv", "--quiet", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"VIRTUAL_ENV": str(self.folder)},
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, *requirements: str) -> None:
        """Install; whatever the index holds under our names, the built wheels are what is taken for them."""
        ours = self.folder / "ours.txt"
        wheels = sorted(self.wheelhouse.glob("*.whl"))
        ours.write_text("".join(f"{name_of(wheel)} @ {wheel.as_uri()}\n" for wheel in wheels))
        self._uv("pip", "install", "--constraints", str(ours), *requirements)

    def install_editable(self, *folders: Path) -> None:
        self._uv("pip", "install", *(f"--editable={folder}" for folder in folders))

    def uninstall(self, *names: str) -> None:
        self._uv("pip", "uninstall", *names)

    def run(self, code: str) -> str:
        """What the environment's interpreter prints, run away from the checkout."""
        python = self.folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        done = subprocess.run(
            # No bytecode: what is left in the environment after uninstalling is then what an installer forgot.
            [str(python), "-I", "-B", "-c", code],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def files(self) -> set[str]:
        """Everything in site-packages, folders too, so that an empty one left behind is seen."""
        return {path.relative_to(self.site).as_posix() for path in self.site.rglob("*")}
