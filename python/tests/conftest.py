"""Images that tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

# Lets scikit-learn's checks of array types run; read when scipy is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder of example pictures."""
    return REPOSITORY / "examples" / "pictures"


@pytest.fixture(scope="session")
def mug(pictures: Path) -> Path:
    return pictures / "mug.jpg"


def draw(height: int = 96, width: int = 128, *, color: tuple[int, int, int] = (230, 160, 40)) -> NDArray[np.uint8]:
    """A rectangle on an uneven ground."""
    image = np.empty((height, width, 3), np.uint8)
    image[...] = (40, 60, 50)
    image[..., 1] += (np.arange(width, dtype=np.uint8) % 7)[None]
    image[height // 4 : height * 3 // 4, width // 3 : width * 3 // 4] = color
    return image


class OnlyDlpack:
    """An array of another library, without numpy's protocols."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __dlpack__(self, **arguments: Any) -> Any:
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return draw()


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script in a process of its own, with warnings as errors."""

    def run(script: str, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "script.py"
        file.write_text(script)
        command = [sys.executable, "-W", "error", str(file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=tmp_path, env=child_environment())

    return run


def child_environment() -> dict[str, str]:
    """Where this process finds its modules, a child does too."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
