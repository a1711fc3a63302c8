"""Importing the package, and the names it has."""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import Callable

import deepcut_vision as dc


def test_every_name_is_there_and_documented() -> None:
    for name in dc.__all__:
        assert name in dir(dc)
        value = getattr(dc, name)
        assert name == "__version__" or value.__doc__, name


def test_help_shows_every_option() -> None:
    options = dc.DeepCut().get_params()
    for function in (dc.segment, dc.iter_segment, dc.segment_folder, dc.evaluate):
        shown = inspect.signature(function).parameters
        assert set(options) < set(shown) and "options" in shown
        assert all(shown[name].default == value for name, value in options.items())


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(dc, "deepcut")


def test_importing_loads_neither_numpy_nor_what_is_optional(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    script = """
import sys
import deepcut_vision
optional = ["numpy", "PIL", "torch", "matplotlib", "sklearn", "tqdm", "ray", "daft"]
loaded = [name for name in optional if name in sys.modules]
assert not loaded, loaded
import numpy as np
deepcut_vision.segment(np.zeros((32, 32, 3), np.uint8))
loaded = [name for name in optional[1:] if name in sys.modules]
assert not loaded, loaded
"""
    done = run_python(script)
    assert done.returncode == 0, done.stderr
