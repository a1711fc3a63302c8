"""The command of the package, and what it shares with the functions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from conftest import REPOSITORY, draw
from test_folder import command

import deepcut_vision as dc


def test_the_command_is_the_package() -> None:
    done = command("--version")
    assert done.returncode == 0 and done.stdout.split() == ["deepcut", dc.__version__]
    assert command("segment").returncode == 2
    assert command("segment", "missing.jpg").returncode == 1


def test_an_entry_point_runs_it() -> None:
    path = Path(sys.executable).with_name("deepcut")
    if not path.exists():
        pytest.skip("the package is not installed, so that it has no script")
    import subprocess

    assert subprocess.run([path, "--version"], capture_output=True, text=True).stdout.split() == ["deepcut", dc.__version__]


def rounded(value: Any) -> Any:
    """Numbers as the 32-bit floats that they are written from."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return np.float32(value) if isinstance(value, float) else value


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ([], {}),
        (["--mode", "parts", "-k", "3", "--seed", "5"], {"mode": "parts", "n_clusters": 3, "random_state": 5}),
        (["--profile", "paper"], {"profile": "paper"}),
        (["--profile", "paper", "--refine", "bilateral"], {"profile": "paper", "refine": "bilateral"}),
        (["--refine", "none"], {"refine": "none"}),
        (["--method", "tokencut", "--profile", "paper"], {"method": "tokencut", "profile": "paper"}),
        (["--objective", "correlation", "--alpha", "2"], {"objective": "correlation", "alpha": 2}),
        (["--largest-component", "-r", "224", "--log-bin"], {"largest_component": True, "resolution": 224, "log_bin": True}),
        (["--deterministic", "-r", "96"], {"deterministic": True, "resolution": 96}),
        (["--precision", "bf16", "--tau", "none"], {"precision": "bf16", "tau": "none"}),
        (["--set", "upsampling=nearest", "--lr", "0.01"], {"options": {"upsampling": "nearest"}, "learning_rate": 0.01}),
    ],
    ids=str,
)
def test_labels_and_options_are_the_commands(mug: Path, tmp_path: Path, flags: list[str], options: dict) -> None:
    done = command("segment", mug, "-o", tmp_path, "-f", "labels,json", *flags)
    assert done.returncode == 0, done.stderr
    result = dc.segment(mug, **options)
    with PIL.Image.open(tmp_path / "mug.labels.png") as labels:
        assert np.array_equal(np.asarray(labels), result.labels)
    theirs, ours = rounded(json.loads((tmp_path / "mug.json").read_text())), rounded(result.report())
    for name in (
        "options",
        "seed",
        "backbone",
        "kernels",
        "confidence",
        "labels",
        "components",
        "grid",
        "version",
        "object",
        "area",
        "box",
    ):
        assert ours[name] == theirs[name], name


def test_a_fitted_prior_is_the_commands(pictures: Path, mug: Path, tmp_path: Path) -> None:
    vit = REPOSITORY / "crates/deepcut/tests/fixtures/vit_tiny_random.safetensors"
    plane = tmp_path / "plane.safetensors"
    network = ["--backbone", vit, "--heads", "2", "--precision", "f32"]
    done = command("fit", pictures, "-r", "160", *network, "--facet", "token@1", "-o", plane)
    assert done.returncode == 0, done.stderr
    done = command("segment", mug, "-o", tmp_path, "-f", "labels,json", *network, "--prior", plane)
    assert done.returncode == 0, done.stderr
    parameters = {"backbone": vit, "heads": 2, "precision": "f32"}
    result = dc.segment(mug, prior=plane, **parameters)
    with PIL.Image.open(tmp_path / "mug.labels.png") as labels:
        assert np.array_equal(np.asarray(labels), result.labels)
    ours, theirs = result.report(), json.loads((tmp_path / "mug.json").read_text())
    assert ours["backbone"] == theirs["backbone"] and ours["backbone"]["prior"]
    # Its facets and resolution are the plane's.
    assert ours["backbone"]["features"] == "token@1" and ours["options"]["view"] == theirs["options"]["view"]
    assert not np.array_equal(result.labels, dc.segment(mug, facet="token@1", resolution=160, **parameters).labels)
    with pytest.raises(ValueError, match=r"cannot use the prior .*plane\.safetensors"):
        dc.segment(mug, prior=plane)
    with pytest.raises(OSError, match=r"missing\.safetensors"):
        dc.segment(mug, prior=tmp_path / "missing.safetensors", **parameters)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three images and their masks."""
    for folder in ("images", "masks"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for number, color in enumerate([(230, 160, 40), (200, 40, 40), (90, 200, 230)]):
        PIL.Image.fromarray(draw(color=color)).save(tmp_path / "set" / "images" / f"{number}.png")
        mask = np.zeros((96, 128), np.uint8)
        mask[24:72, 42:96] = 255
        PIL.Image.fromarray(mask).save(tmp_path / "set" / "masks" / f"{number}.png")
    return tmp_path / "set"


def test_evaluation_is_the_commands(dataset: Path) -> None:
    def untimed(value: object) -> object:
        if isinstance(value, dict):
            return {name: untimed(item) for name, item in value.items() if "second" not in name and "time" not in name}
        return [untimed(item) for item in value] if isinstance(value, list) else value

    options = {"epochs": (5, 6, 7), "random_state": 3, "options": {"dropout": 0.25}, "tau": -0.1, "largest_component": True}
    ours = dc.evaluate("masks", dataset, limit=2, seeds=2, **options)
    flags = [
        "--epochs",
        "5,6,7",
        "--seed",
        "3",
        "--set",
        "dropout=0.25",
        "--tau=-0.1",
        "--largest-component",
        "--limit",
        "2",
        "--seeds",
        "2",
    ]
    done = command("eval", "masks", "--root", dataset, "--json", *flags)
    assert done.returncode == 0, done.stderr
    assert untimed(ours) == untimed(json.loads(done.stdout))
    assert dc.evaluate("masks", dataset, compare=("paper", "default"))


def test_evaluation_refuses_what_the_command_does(dataset: Path) -> None:
    with pytest.raises(ValueError, match="^invalid value 'nowhere'.*ecssd.*cub[^.]*$"):
        dc.evaluate("nowhere", dataset)
    with pytest.raises(FileNotFoundError, match="missing"):
        dc.evaluate("masks", dataset / "missing")
    with pytest.raises(TypeError, match="evaluate.*'limits'"):
        dc.evaluate("masks", dataset, limits=3)
    with pytest.raises(TypeError, match="max_pixels"):
        dc.evaluate("masks", dataset, max_pixels=3)
    with pytest.raises(ValueError, match="n_clusters is 99"):
        dc.evaluate("masks", dataset, n_clusters=99)


def test_models_say_what_is_here() -> None:
    models = dc.models()
    assert models[0]["name"] == "embedded" and models[0]["here"] is True
    assert len({model["name"] for model in models}) == len(models) > 1
