"""The package's types, as a user's checker sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, child_environment

import deepcut_vision as dc

USE = """
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import deepcut_vision as dc

result = dc.segment(Path("cat.jpg"), mode="parts", n_clusters=4)
assert_type(result, dc.Result)
assert_type(result.mask, NDArray[np.bool_])
assert_type(result.labels, NDArray[np.uint8])
assert_type(result.regions[0].bbox, tuple[int, int, int, int])
assert_type(result.to_coco(), dict[str, Any])
model = dc.DeepCut(mode="objects", random_state=np.random.default_rng(0))
assert_type(model.fit("cat.jpg"), dc.DeepCut)
assert_type(model.fit_predict(np.zeros((4, 4, 3), np.uint8)), NDArray[np.uint8])
assert_type(model.cluster(model.features("cat.jpg"), n_clusters=5), dc.Result)
assert_type(model.cosegment(["a.jpg", "b.jpg"], 3, method="spectral", codebook=Path("c.safetensors")), list[dc.Result])
assert_type(model.cosegment(["a.jpg"], "auto", on_error="return"), list[dc.Result | Exception])
for name, found in dc.iter_segment(["a.jpg"], threads=2):
    assert_type(name, str)
    assert_type(found, dc.Result)
for name, either in dc.iter_segment(["a.jpg"], on_error="return"):
    assert_type(either, dc.Result | Exception)
summary = dc.segment_folder("photos", "out", formats=["coco"], progress=lambda step: print(step.done), n_clusters=3)
assert_type(summary.failures, tuple[tuple[str, str], ...])
try:
    pass
except (dc.ImageError, dc.WeightsNotFound) as error:
    assert_type(error.errno, int | None)
assert_type(dc.__version__, str)
"""

MISUSE = {
    'dc.segment("cat.jpg", n_cluster=4)': "call-arg",
    'dc.segment("cat.jpg", n_clusters="four")': "typeddict-item|arg-type",
    "dc.DeepCut(taus=1)": "call-arg",
    'dc.DeepCut().cosegment(["a.jpg"], k="many")': "call-overload",
    'dc.segment_folder("photos", "out", resolution="high")': "arg-type",
    "dc.nothing()": "attr-defined",
}


CONFIGURATION = """
[mypy]
strict = True

# Generated types: they say dict where they could say of what.
[mypy-deepcut_vision._deepcut]
disable_error_code = type-arg

# Whether these are installed, and typed, makes no difference.
[mypy-daft.*,matplotlib.*,pandas.*,pyarrow.*,ray.*,sklearn.*,tqdm.*]
follow_imports = skip
ignore_missing_imports = True

[mypy-deepcut_vision.daft]
disallow_untyped_decorators = False
"""


def mypy(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "mypy.ini").write_text(CONFIGURATION)
    line = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", str(folder / "cache"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=folder, env={**child_environment(), "MYPYPATH": ""})


def test_uses_pass_and_misuses_are_found(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "use.py"
    script.write_text(USE)
    done = mypy(str(script), folder=tmp_path)
    assert done.returncode == 0, done.stdout
    lines = ["import deepcut_vision as dc", *MISUSE]
    script.write_text("\n".join(lines))
    done = mypy(str(script), folder=tmp_path)
    for number, codes in enumerate(MISUSE.values(), 2):
        found = [line for line in done.stdout.splitlines() if f"use.py:{number}:" in line]
        assert any(code in line for line in found for code in codes.split("|")), (lines[number - 1], done.stdout)


def test_the_package_is_strictly_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    done = mypy(str(REPOSITORY / "python" / "deepcut_vision"), folder=tmp_path)
    assert done.returncode == 0, done.stdout
