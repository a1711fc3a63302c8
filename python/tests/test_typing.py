"""The package's types, as a user's checker sees them."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import child_environment

import deepcut_vision as dc
from deepcut_vision import _deepcut

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
    print(error.errno)
"""

MISUSE = {
    'dc.segment("cat.jpg", n_cluster=4)': "call-arg",
    'dc.segment("cat.jpg", n_clusters="four")': "typeddict-item|arg-type",
    "dc.DeepCut(taus=1)": "call-arg",
    'dc.segment_folder("photos", "out", resolution="high")': "arg-type",
    "dc.nothing()": "attr-defined",
}


def mypy(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), *arguments]
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


def arguments_of(function: ast.FunctionDef) -> list[tuple[str, bool, str]]:
    """Name, whether by keyword only, and default of each argument."""
    positional, defaults = function.args.args, function.args.defaults
    padded = [None] * (len(positional) - len(defaults)) + defaults
    pairs = [(argument.arg, False, default) for argument, default in zip(positional, padded, strict=True)]
    pairs += [(argument.arg, True, default) for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)]
    return [(name, only, "" if default is None else ast.unparse(default)) for name, only, default in pairs if name not in ("self", "cls")]


def arguments_in_extension(function: object) -> list[tuple[str, bool, str]]:
    parameters = inspect.signature(function).parameters.values()
    return [
        (parameter.name, parameter.kind is parameter.KEYWORD_ONLY, "" if parameter.default is parameter.empty else repr(parameter.default).replace("Ellipsis", "..."))
        for parameter in parameters
        if parameter.name != "self"
    ]


def test_the_stub_is_the_extension() -> None:
    stub = ast.parse((Path(dc.__file__).parent / "_deepcut.pyi").read_text())
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")}
    functions = {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef)}
    public = {name for name in vars(_deepcut) if not name.startswith("_")}
    assert {*classes, *functions} == public
    for name, function in functions.items():
        assert arguments_of(function) == arguments_in_extension(getattr(_deepcut, name)), name
    for name in public & set(classes) - {"ImageError", "WeightsNotFound"}:
        members = {node.name: node for node in classes[name].body if isinstance(node, ast.FunctionDef)}
        there = getattr(_deepcut, name)
        # `__new__` is the class's own signature.
        dunder = {"__new__"} & set(members)
        assert set(members) - dunder == {member for member in vars(there) if not member.startswith("_")}, name
        for member, node in members.items():
            if not any(isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in node.decorator_list):
                value = there if member == "__new__" else getattr(there, member)
                assert arguments_of(node) == arguments_in_extension(value), f"{name}.{member}"


def test_the_package_is_strictly_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    done = mypy(str(Path(dc.__file__).parent), folder=tmp_path)
    assert done.returncode == 0, done.stdout
