"""Parts that agree over several images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import child_environment
from numpy.typing import NDArray
from PIL import Image

import deepcut_vision as dc


def figure(left: int, grain: int) -> NDArray[np.uint8]:
    """A red head above a yellow body, on a lawn."""
    y, x = np.mgrid[0:160, 0:200]
    noise = ((x * 7 + y * 13 + grain) % 19).astype(np.uint8)
    image = np.stack([40 + noise, np.full_like(noise, 90), np.full_like(noise, 60)], 2)
    body, head = np.hypot(x - left, y - 104) < 38, np.hypot(x - left, y - 50) < 24
    image[body] = np.stack([230 - noise, np.full_like(noise, 200), np.full_like(noise, 40)], 2)[body]
    image[head] = np.stack([220 - noise, np.full_like(noise, 40), np.full_like(noise, 40)], 2)[head]
    return image


LEFTS = (60, 100, 140)


@pytest.fixture
def figures(tmp_path: Path) -> list[Path]:
    """Three files of figures."""
    folder = tmp_path / "figures"
    folder.mkdir()
    paths = [folder / f"{at}.png" for at in range(3)]
    for at, (path, left) in enumerate(zip(paths, LEFTS, strict=True)):
        Image.fromarray(figure(left, 31 * at)).save(path)
    return paths


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "deepcut_vision", "cosegment", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=child_environment(), check=False)


def labels(results: list[dc.Result]) -> list[NDArray[np.uint8]]:
    return [result.labels for result in results]


@pytest.mark.parametrize("method", ["kmeans", "spectral", "network", "both"])
def test_labels_are_the_commands(figures: list[Path], tmp_path: Path, method: str) -> None:
    book = tmp_path / "ours.safetensors"
    results = dc.DeepCut().cosegment(figures, 2, method=method, codebook=book)
    theirs = tmp_path / "theirs.safetensors"
    done = command(figures[0].parent, "-o", tmp_path / "out", "-k", 2, "--method", method, "--codebook", theirs, "--format", "labels")
    assert done.returncode == 0, done.stderr
    for path, result in zip(figures, results, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / f"{path.stem}.labels.png")), result.labels)
    assert book.read_bytes() == theirs.read_bytes()
    about = results[0].report()["options"]["cosegment"]
    assert (about["method"], about["n_parts"]) == (method, 2) and len(about["codebook"]) == 64


def test_parts_agree_and_a_codebook_repeats_them(figures: list[Path], tmp_path: Path) -> None:
    model, book = dc.DeepCut(n_clusters=2), tmp_path / "new" / "figures.safetensors"
    results = model.cosegment(figures, codebook=book)
    heads = {int(result.labels[46, left]) for result, left in zip(results, LEFTS, strict=True)}
    bodies = {int(result.labels[110, left]) for result, left in zip(results, LEFTS, strict=True)}
    assert len(heads) == len(bodies) == 1 and heads | bodies == {1, 2}
    assert all({region.kind for region in result.regions} == {"background", "part"} for result in results)
    before = book.read_bytes()
    # One image is enough with what is known; arrays are the files' images.
    [again] = model.cosegment([figure(LEFTS[1], 31)], codebook=book)
    assert np.array_equal(again.labels, results[1].labels)
    assert book.read_bytes() == before
    # Neither the order nor a copy decides anything.
    backward = model.cosegment([*reversed(figures), figures[0]])
    for ours, expected in zip(backward, [*reversed(results), results[0]], strict=True):
        assert np.array_equal(ours.labels, expected.labels)


def test_options_of_sets(figures: list[Path]) -> None:
    model = dc.DeepCut()
    parts = max(int(result.labels.max()) for result in model.cosegment(figures, "auto", common=0.5, min_part=0))
    assert 2 <= parts <= 10
    assert model.cosegment([]) == []


def test_a_bad_image(figures: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    images = [figures[0], bad, tmp_path / "missing.png", figures[1]]
    with pytest.raises(dc.ImageError, match=r"bad\.png"):
        dc.DeepCut().cosegment(images, 2)
    found = dc.DeepCut().cosegment(images, 2, on_error="return")
    assert isinstance(found[1], dc.ImageError) and isinstance(found[2], FileNotFoundError)
    assert isinstance(found[0], dc.Result) and isinstance(found[3], dc.Result)


def test_wrong_arguments(figures: list[Path], tmp_path: Path) -> None:
    model = dc.DeepCut()
    book = tmp_path / "two.safetensors"
    model.cosegment(figures, 2, codebook=book)
    text = tmp_path / "text"
    text.write_text("no codebook")
    short = tmp_path / "short.safetensors"
    short.write_bytes(book.read_bytes()[:-9])
    plain = np.full((64, 64, 3), 9, np.uint8)
    wrong = [
        (figures[0], {}, TypeError, "an iterable of images, not one"),
        (figures, {"k": 1}, ValueError, "k is 1; expected 2 to 32"),
        (figures, {"k": 2.5}, TypeError, "k is 2.5"),
        (figures, {"k": "many"}, ValueError, "k is 'many'"),
        (figures, {"method": "mean"}, ValueError, "method: expected kmeans, spectral, network, both"),
        (figures, {"method": 3}, TypeError, "method is 3"),
        (figures, {"common": 2}, ValueError, "common is 2; expected above 0, at most 1"),
        (figures, {"common": True}, TypeError, "common is True"),
        (figures, {"min_part": float("nan")}, ValueError, "min_part"),
        (figures, {"on_error": "warn"}, ValueError, "expected 'raise' or 'return'"),
        (figures, {"codebook": text}, ValueError, "text: "),
        (figures, {"codebook": short}, ValueError, "may be truncated"),
        (figures, {"codebook": book}, ValueError, "2 parts, not 4"),
        (figures, {"k": 2, "method": "both", "codebook": book}, ValueError, "by the method kmeans, not both"),
        (figures, {"codebook": tmp_path}, IsADirectoryError, "directory"),
        (figures, {"codebook": text / "book"}, OSError, "text"),
        ([plain], {}, ValueError, "no image of 1 has an object"),
    ]
    for images, arguments, error, words in wrong:
        arguments = {"k": None, **arguments} if "codebook" not in arguments else {"k": 4, **arguments}
        with pytest.raises(error, match=words):
            model.cosegment(images, **arguments)  # type: ignore[call-overload]
