"""Many images, in order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from numpy.typing import NDArray

import deepcut_vision as dc


def test_results_come_in_order_with_names(pictures: Path) -> None:
    paths = sorted(pictures.glob("*.jpg"))
    for threads in (1, 3, None):
        found = list(dc.iter_segment(paths, threads=threads))
        assert [name for name, _ in found] == [str(path) for path in paths]
        assert all(result.name == name for name, result in found)
    for name, result in found[:2]:
        assert np.array_equal(result.labels, dc.segment(name).labels)


def test_images_have_numbers_or_the_names_they_are_given(image: NDArray[np.uint8], mug: Path) -> None:
    items = [image, ("second", image), mug, image]
    assert [name for name, _ in dc.iter_segment(items)] == ["0", "second", str(mug), "3"]
    batch = np.stack([image, image])
    assert [result.shape for _, result in dc.iter_segment(batch)] == [image.shape[:2]] * 2
    ((name, result),) = dc.iter_segment([("a.jpg", image)])
    assert name == result.name == "a.jpg"


def test_options_and_models_are_taken(mug: Path) -> None:
    expected = dc.segment(mug, mode="parts", n_clusters=3).labels
    ((_, a),) = dc.iter_segment([mug], mode="parts", n_clusters=3)
    ((_, b),) = dc.iter_segment([mug], model=dc.DeepCut(mode="parts"), n_clusters=3)
    assert np.array_equal(a.labels, expected) and np.array_equal(b.labels, expected)


def test_an_endless_iterable_is_taken_a_few_ahead() -> None:
    taken = 0

    def endless() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        for taken in itertools.count(1):
            yield draw(32, 32)

    results = dc.iter_segment(endless(), threads=2)
    assert taken == 0
    for number in range(10):
        assert next(results)[0] == str(number)
        assert taken <= number + 6
    results.close()
    assert taken < 17
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("deepcut")]


def test_what_goes_wrong_with_one_image(image: NDArray[np.uint8], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    items = [image, broken, image.astype(float), "missing.jpg", image]
    with pytest.warns(UserWarning) as caught:
        assert [name for name, _ in dc.iter_segment(items)] == ["0", "4"]
    assert [str(warning.message).split(" is left out")[0] for warning in caught] == [str(broken), "2", "missing.jpg"]
    assert {warning.filename for warning in caught} == {__file__}
    kinds = [type(result) for _, result in dc.iter_segment(items, on_error="return")]
    assert kinds == [dc.Result, dc.ImageError, ValueError, FileNotFoundError, dc.Result]
    results = dc.iter_segment(items, on_error="raise")
    next(results)
    with pytest.raises(dc.ImageError, match=r"broken\.jpg"):
        next(results)
    assert list(results) == []


def test_a_damaged_file_warns_in_the_callers_thread(tmp_path: Path, mug: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(mug.read_bytes()[:20_000])
    with pytest.warns(UserWarning, match="cut.jpg is damaged") as caught:
        assert len(list(dc.iter_segment([path], keep_damaged=True))) == 1
    assert caught[0].filename == __file__


def test_errors_of_the_iterable_are_the_callers(image: NDArray[np.uint8]) -> None:
    def breaks() -> Iterator[NDArray[np.uint8]]:
        yield image
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(dc.iter_segment(breaks()))


def test_wrong_arguments_are_told_at_the_call(image: NDArray[np.uint8]) -> None:
    for images, words in (
        ("photos", "segment_folder"),
        (b"", "iterable"),
        (Path("photos"), "segment_folder"),
        (image, r"\[image\]"),
    ):
        with pytest.raises(TypeError, match=words):
            dc.iter_segment(images)
    with pytest.raises(TypeError, match="not iterable"):
        dc.iter_segment(3)
    with pytest.raises(ValueError, match="threads is 0"):
        dc.iter_segment([], threads=0)
    with pytest.raises(ValueError, match="on_error is 'ignore'"):
        dc.iter_segment([], on_error="ignore")
    with pytest.raises(ValueError, match="n_clusters is 99"):
        dc.iter_segment([], n_clusters=99)
    with pytest.raises(TypeError, match="iter_segment.*Did you mean 'n_clusters'"):
        dc.iter_segment([], n_cluster=3)
    with pytest.raises(TypeError, match="expected a DeepCut"):
        dc.iter_segment([], model=dc.DeepCut)
