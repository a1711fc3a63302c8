"""Folders of images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from conftest import child_environment

import deepcut_vision as dc


@pytest.fixture
def photos(tmp_path: Path, pictures: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(pictures / "mug.jpg", folder)
    shutil.copy(pictures / "ducks1.jpg", folder / "sub")
    return folder


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "deepcut_vision", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=child_environment())


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_are_the_commands_byte_for_byte(photos: Path, tmp_path: Path) -> None:
    formats = ["labels", "mask", "overlay", "coco", "yolo", "npz"]
    summary = dc.segment_folder(photos, tmp_path / "ours", formats=formats, mode="objects", label="thing", simplify=1)
    assert (summary.images, summary.done, summary.failed) == (2, 2, 0) and summary.is_complete
    summary.raise_for_failures()
    done = command(
        "segment",
        photos,
        "-o",
        tmp_path / "theirs",
        "--format",
        ",".join(formats),
        "--mode",
        "objects",
        "--label",
        "thing",
        "--simplify",
        1,
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = files(tmp_path / "ours"), files(tmp_path / "theirs")
    assert list(ours) == list(theirs) and "sub/ducks1.mask.png" in ours
    assert ours == theirs
    # And what the command did, the package goes on with.
    again = dc.segment_folder(photos, tmp_path / "theirs", formats=formats, mode="objects", label="thing", simplify=1)
    assert (again.skipped, again.done) == (2, 0)


def test_files_are_the_same_as_results_in_memory(photos: Path, tmp_path: Path) -> None:
    dc.segment_folder(photos, tmp_path / "out", formats=["labels", "overlay"], mode="parts", n_clusters=3)
    for path in (photos / "mug.jpg", photos / "sub" / "ducks1.jpg"):
        result = dc.segment(path, mode="parts", n_clusters=3)
        stem = (tmp_path / "out" / path.relative_to(photos)).with_suffix("")
        with PIL.Image.open(f"{stem}.labels.png") as labels, PIL.Image.open(f"{stem}.overlay.png") as overlay:
            assert np.array_equal(np.asarray(labels), result.labels)
            assert np.array_equal(np.asarray(overlay), result.overlay())


def test_default_formats_are_the_commands(photos: Path, tmp_path: Path) -> None:
    dc.segment_folder(photos / "mug.jpg", tmp_path / "object")
    dc.segment_folder(photos / "mug.jpg", tmp_path / "parts", mode="parts")
    assert list(files(tmp_path / "object")) == ["mug.mask.png", "mug.overlay.png"]
    assert list(files(tmp_path / "parts")) == ["mug.labels.png", "mug.overlay.png"]


def test_progress_is_told_in_order(photos: Path, tmp_path: Path) -> None:
    told: list[dc.Progress] = []
    for _ in range(2):
        dc.segment_folder([photos / "sub", photos / "mug.jpg"], tmp_path / "out", formats="mask", progress=told.append, threads=2)
    assert [(step.done, step.total, step.outcome) for step in told] == [
        (1, 2, "done"),
        (2, 2, "done"),
        (1, 2, "skipped"),
        (2, 2, "skipped"),
    ]
    assert [Path(step.name).name for step in told[:2]] == ["ducks1.jpg", "mug.jpg"]


def test_a_bar_is_drawn_if_tqdm_is_there(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dc.segment_folder(photos, tmp_path / "out", formats="mask", progress=True)
    assert "2/2" in capfd.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert dc.segment_folder(photos, tmp_path / "out", formats="mask", progress=True).skipped == 2
    assert capfd.readouterr() == ("", "")


def test_failures_do_not_stop_the_others(photos: Path, tmp_path: Path) -> None:
    (photos / "a.jpg").write_bytes(b"\xff\xd8\xff")
    told: list[dc.Progress] = []
    summary = dc.segment_folder([photos, "missing/*.jpg"], tmp_path / "out", formats="mask", progress=told.append)
    assert summary.done == 2 and not summary.is_complete
    names = [Path(name).name for name, _ in summary.failures]
    assert sorted(names) == ["*.jpg", "a.jpg"] and all(error for _, error in summary.failures)
    assert [step.outcome for step in told].count("failed") == 1
    with pytest.raises(OSError, match=r"a\.jpg"):
        summary.raise_for_failures()


def test_files_of_unknown_formats_are_told(photos: Path, tmp_path: Path) -> None:
    (photos / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.warns(UserWarning, match="1 file left out: HEIC.*convert") as caught:
        assert dc.segment_folder(photos, tmp_path / "out", formats="mask").done == 2
    assert caught[0].filename == __file__


def test_a_damaged_file_is_told(photos: Path, tmp_path: Path) -> None:
    whole = (photos / "mug.jpg").read_bytes()
    (photos / "mug.jpg").write_bytes(whole[:20_000])
    with pytest.warns(UserWarning, match="mug.jpg is damaged") as caught:
        summary = dc.segment_folder(photos, tmp_path / "out", formats="mask", keep_damaged=True)
    assert caught[0].filename == __file__ and summary.details["damaged"] == 1 and summary.is_complete


def test_results_of_other_options_are_kept(photos: Path, tmp_path: Path) -> None:
    dc.segment_folder(photos, tmp_path / "out", formats="labels", mode="parts")
    before = files(tmp_path / "out")
    summary = dc.segment_folder(photos, tmp_path / "out", formats="labels", mode="parts", n_clusters=2)
    assert (summary.differs, summary.done) == (2, 0) and not summary.is_complete
    assert files(tmp_path / "out") == before
    assert dc.segment_folder(photos, tmp_path / "out", formats="labels", mode="parts", n_clusters=2, overwrite=True).done == 2
    assert files(tmp_path / "out") != before


def test_annotations_are_one_file_of_all_images(photos: Path, tmp_path: Path) -> None:
    dc.segment_folder(photos, tmp_path / "out", formats=["coco"], label="thing")
    coco = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["mug.jpg", "sub/ducks1.jpg"]
    one = dc.segment(photos / "mug.jpg").to_coco(label="thing")
    of_mug = [annotation for annotation in coco["annotations"] if annotation["image_id"] == 1]
    assert one["annotations"] == of_mug and one["categories"] == coco["categories"] and one["images"] == coco["images"][:1]


def test_wrong_arguments(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for error, words, options in (
        (ValueError, "jpeg", {"formats": ["jpeg"]}),
        (ValueError, "n_clusters is 99", {"n_clusters": 99}),
        (ValueError, "simplify", {"simplify": -1}),
        (ValueError, "threads", {"threads": 0}),
        (TypeError, "progress is 'bar'", {"progress": "bar"}),
        (TypeError, "overwrite is 1", {"overwrite": 1}),
        (ValueError, "pixels", {"coco_masks": "pixels", "formats": "coco"}),
        (TypeError, "segment_folder.*'overwrites'", {"overwrites": True}),
    ):
        with pytest.raises(error, match=words):
            dc.segment_folder(photos, out, **options)
    assert not out.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        dc.segment_folder(photos, tmp_path / "file")


def test_an_exception_of_the_callback_ends_the_run(photos: Path, tmp_path: Path) -> None:
    def fails(_: dc.Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dc.segment_folder(photos, tmp_path / "out", formats="mask", progress=fails)
    # What is there is whole, and the run goes on.
    assert dc.segment_folder(photos, tmp_path / "out", formats="mask").is_complete
