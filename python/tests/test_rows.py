"""Rows, the images that a job lists, and the parts that it writes; without a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

import deepcut_vision as dc  # noqa: E402
from deepcut_vision import _inputs, _parts  # noqa: E402
from deepcut_vision._inputs import Input, InputError  # noqa: E402
from deepcut_vision._parts import OtherSettings, Parts, write_coco  # noqa: E402
from deepcut_vision._rows import Rows, row_schema  # noqa: E402

PICTURES = Path(__file__).parents[2] / "examples/pictures"
MUG = PICTURES / "mug.jpg"


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows()


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning:pycocotools")
def test_a_row_says_what_the_result_says(rows: Rows) -> None:
    result = dc.segment(MUG)
    row = rows.row(str(MUG))
    assert (row["height"], row["width"]) == result.shape
    assert (row["object"], row["confidence"], row["error"]) == (result.has_object, result.confidence, None)
    (found,) = row["objects"]
    (region,) = (region for region in result.regions if region.is_foreground)
    assert (found["label"], found["kind"], found["part_of"]) == (region.label, region.kind, region.part_of)
    assert (found["score"], found["area"], tuple(found["bbox"])) == (region.score, region.area, region.bbox)
    mask = pytest.importorskip("pycocotools.mask")
    decoded = mask.decode({"size": [row["height"], row["width"]], "counts": found["rle"].encode()})
    assert np.array_equal(decoded.astype(bool), result.mask)


def test_every_form_of_an_image_makes_the_same_row(rows: Rows) -> None:
    data = MUG.read_bytes()
    pixels = np.asarray(pytest.importorskip("PIL.Image").open(MUG))
    frozen = pixels.copy()
    frozen.setflags(write=False)
    expected = rows.row(data)
    assert expected["error"] is None
    forms = [str(MUG), f"file://{MUG}", np.str_(MUG), bytearray(data), {"bytes": data, "path": None}, {"bytes": None, "path": str(MUG)}]
    for form in forms:
        assert rows.row(form) == expected, type(form)
    of_pixels = rows.row(pixels)
    for form in (frozen, np.asfortranarray(pixels), pixels[:, ::-1][:, ::-1]):
        assert rows.row(form) == of_pixels


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "got null"),
        (b"", ""),
        (b"no picture", ""),
        ("/nowhere/at/all.jpg", "all.jpg"),
        ("caf\udce9.jpg", "caf"),
        ("s3://bucket/a.jpg", "no local path"),
        ({"bytes": None, "path": None}, "without bytes or path"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (7, "int"),
    ],
)
def test_what_is_no_image_is_a_row_with_its_message(rows: Rows, image: object, message: str) -> None:
    table = rows.table([image, str(MUG)])
    assert table.schema == row_schema(labels_png=False)
    bad, good = table.to_pylist()
    assert bad["error"] and message in bad["error"]
    assert {value for name, value in bad.items() if name != "error"} == {None}
    assert good["error"] is None and good["objects"]


def test_label_images_are_added_if_asked_for() -> None:
    table = Rows(labels_png=True, mode="parts").table([str(MUG), None])
    assert table.schema == row_schema(labels_png=True)
    data = table["labels_png"].to_pylist()
    assert data[1] is None
    image = pytest.importorskip("PIL.Image")
    import io

    labels = np.asarray(image.open(io.BytesIO(data[0])))
    assert np.array_equal(labels, dc.segment(MUG, mode="parts").labels)


def test_threads_do_not_change_rows_or_their_order(rows: Rows) -> None:
    images = [str(path) for path in sorted(PICTURES.glob("*.jpg"))] + [None]
    assert list(Rows(threads=3).rows(images)) == list(rows.rows(images))


def test_what_is_wrong_with_the_job_is_no_row() -> None:
    with pytest.raises(ValueError, match="mode"):
        Rows(mode="cats")
    with pytest.raises(ValueError, match="threads"):
        Rows(threads=0)
    with pytest.raises(OSError):
        Rows(backbone="/nowhere/net.safetensors")


# Inputs.


def table_file(path: Path, group: int = 2, **columns: object) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return str(path)


def test_pictures_are_those_of_the_command(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/c.PNG", ".hidden.jpg", "a/c.mask.png", "notes.txt", "x.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    inputs, missing, notes = _inputs.collect(str(tmp_path))
    assert [item.name for item in inputs] == ["a/c.PNG", "b.jpg"] and not missing
    assert any("HEIC" in note for note in notes)
    assert all(os.stat(item.source).st_mtime_ns == item.modified for item in inputs)
    inputs, _, _ = _inputs.collect(str(tmp_path / "*.{jpg,png}"))
    assert [item.name for item in inputs] == ["b.jpg"]
    with pytest.raises(InputError, match="columns"):
        _inputs.collect(str(tmp_path), column="bytes")


def test_rows_of_parquet_files_are_found_and_read(tmp_path: Path) -> None:
    data = [bytes([at]) * 3 for at in range(5)]
    table_file(tmp_path / "one.parquet", bytes=data, name=list("abcde"))
    inputs, _, _ = _inputs.collect(str(tmp_path / "one.parquet"))
    assert [(item.name, item.group, item.row) for item in inputs] == [("a", 0, 0), ("b", 0, 1), ("c", 1, 0), ("d", 1, 1), ("e", 2, 0)]
    # A batch is of one row group; rows that are done are left out.
    batches = list(_inputs.batches([inputs[0], inputs[1], inputs[3], inputs[4]], 2))
    assert [[item.name for item in batch] for batch in batches] == [["a", "b"], ["d"], ["e"]]
    assert [list(_inputs.read(batch, None)) for batch in batches] == [data[0:2], data[3:4], data[4:5]]
    assert [len(batch) for batch in _inputs.batches(inputs, 1)] == [1] * 5


def test_names_of_rows_come_from_a_column_or_their_place(tmp_path: Path) -> None:
    def names(path: Path | str, **options: str) -> list[str]:
        return [item.name for item in _inputs.collect(str(path), **options)[0]]

    (tmp_path / "in").mkdir()
    for file in ("in/a.parquet", "in/b.parquet"):
        table_file(tmp_path / file, image=[b"1", b"2", b"3"])
    assert names(tmp_path / "in") == [f"{file}.parquet#{row}" for file in "ab" for row in range(3)]
    assert names(tmp_path / "in/*.parquet") == names(tmp_path / "in")
    other = table_file(tmp_path / "c.parquet", picture=[b"1", b"2"], key=[7, None])
    assert names(other, column="picture", name_column="key") == ["7", "c.parquet#1"]
    structs = table_file(tmp_path / "d.parquet", image=[{"bytes": b"1", "path": "x.jpg"}, {"bytes": b"2", "path": None}])
    assert names(structs) == ["x.jpg", "d.parquet#1"]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"bytes": [b"1", b"2"], "name": ["a", "a"]}, {}, "two images are named a"),
        ({"pixels": [b"1"]}, {}, "no column one of bytes, image, path; the columns are pixels"),
        ({"bytes": [b"1"]}, {"column": "pixels"}, "no column pixels"),
        ({"bytes": [b"1"]}, {"name_column": "key"}, "no column key"),
        ({"bytes": pa.array([], pa.binary())}, {}, "no images"),
    ],
)
def test_inputs_that_are_not_clear_are_refused(tmp_path: Path, columns: dict[str, object], options: dict[str, str], message: str) -> None:
    path = table_file(tmp_path / "in.parquet", **columns)
    with pytest.raises(InputError, match=message):
        _inputs.collect(path, **options)


def test_inputs_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    for argument, message in (("broken.parquet", "broken.parquet"), ("none.parquet", "no such file"), ("*.parq.parquet", "no such file")):
        with pytest.raises(InputError, match=message):
            _inputs.collect(str(tmp_path / argument))
    # A folder without images is what the command would say of it.
    (tmp_path / "empty").mkdir()
    inputs, missing, _ = _inputs.collect(str(tmp_path / "empty"))
    assert not inputs and missing


# Parts.


def part_row(name: str, error: str | None = None, modified: int | None = None) -> dict[str, object]:
    if error is not None:
        return {"name": name, "error": error, "modified": modified}
    found = {"label": 1, "kind": "object", "part_of": None, "score": 0.5, "area": 2, "bbox": [0, 0, 1, 2], "rle": "02"}
    return {"name": name, "height": 2, "width": 2, "object": True, "confidence": 0.5, "objects": [found], "error": None, "modified": modified}


def parts_of(folder: Path, *batches: list[dict[str, object]], settings: str = "s") -> Parts:
    parts = Parts(folder, {"settings": settings}, labels_png=False)
    for batch in batches:
        parts.write(parts.path([str(row["name"]) for row in batch]), batch)
    return parts


def test_parts_say_what_is_done(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, [part_row("a"), part_row("b", error="broken")], [part_row("c", modified=7)])
    places = parts.places()
    assert {name: (place.error, place.modified) for name, place in places.items()} == {"a": (None, None), "b": ("broken", None), "c": (None, 7)}
    assert parts.path(["a", "b"]) != parts.path(["a"]) and parts.path(["a", "b"]).exists()
    whole = pq.read_table(tmp_path)
    assert sorted(whole["name"].to_pylist()) == ["a", "b", "c"] and whole.schema.field("objects").type == row_schema(labels_png=False).field("objects").type


def test_rows_are_dropped_and_none_is_there_twice(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, [part_row("a"), part_row("b", error="broken")], [part_row("c")], [part_row("c"), part_row("d")])
    parts.keep({name: place for name, place in parts.places().items() if place.error is None})
    assert sorted(pq.read_table(parts.folder)["name"].to_pylist()) == ["a", "c", "d"]
    parts.keep({})
    assert parts.count() == 0


def test_other_settings_are_not_mixed(tmp_path: Path) -> None:
    parts_of(tmp_path, [part_row("a")])
    with pytest.raises(OtherSettings, match="--overwrite"):
        parts_of(tmp_path, settings="other").places()
    pq.write_table(pa.table({"name": ["x"]}), tmp_path / "parts/part-of-another-program.parquet")
    with pytest.raises(OtherSettings, match="another-program"):
        parts_of(tmp_path).places()


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, [part_row("a")])
    path = parts.path(["a"])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(OSError, match=f"{path.name} is damaged.*remove it"):
        parts.places()


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("before")
    with pytest.raises(KeyError), _parts.whole_file(path) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["a.json"]
    # What a process that was killed left is hidden, and swept away by the next job.
    parts = parts_of(tmp_path / "out", [part_row("a")])
    for folder in (parts.output, parts.folder):
        (folder / ".part-0123").write_bytes(b"half")
    assert list(parts.places()) == ["a"] and pq.read_table(parts.folder).num_rows == 1
    parts.sweep()
    assert [path.name for path in parts.output.rglob(".part*")] == []


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.0, "0.0"), (1.0, "1.0"), (0.5, "0.5"), (3e-6, "3e-6"), (9.6e-6, "0.00001"), (1.2e-5, "0.000012"), (0.6746170520782471, "0.674617"), (0.9999996, "1.0")],
)
def test_scores_are_written_as_the_command_writes_them(score: float, text: str) -> None:
    assert _parts._score(score) == text
    assert json.loads(text) == round(score, 6)


def test_coco_has_what_has_a_result_in_the_order_of_the_images(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, [part_row("ü\n"), part_row("b", error="broken")], [part_row("a")])
    names = ["a", "b", "not done", "ü\n"]
    write_coco(parts, names, parts.places(), model="m", version="v", label="thing")
    coco = json.loads((tmp_path / "annotations.json").read_bytes())
    assert [(image["id"], image["file_name"]) for image in coco["images"]] == [(1, "a"), (2, "ü\n")]
    assert [(item["id"], item["image_id"], item["bbox"]) for item in coco["annotations"]] == [(1, 1, [0, 0, 1, 2]), (2, 2, [0, 0, 1, 2])]
    assert coco["categories"] == [{"id": 1, "name": "thing", "supercategory": ""}]
    assert [item["image_id"] for item in json.loads((tmp_path / "results.json").read_bytes())] == [1, 2]
    write_coco(parts, ["b"], parts.places(), model="m", version="v")
    assert json.loads((tmp_path / "annotations.json").read_bytes())["annotations"] == json.loads((tmp_path / "results.json").read_bytes()) == []


# Images that kill their process.

KILLER = """
import os, sys
from deepcut_vision import _ray_job
from deepcut_vision._inputs import Input
from deepcut_vision._parts import Parts

class Deadly:
    def rows(self, images):
        return map(self.row, images)
    def row(self, image):
        if image == "bad":
            os._exit(9)
        return {"error": None}

worker = object.__new__(_ray_job.Worker)
worker._job, worker._rows = _ray_job.Job("in", sys.argv[1]), Deadly()
worker._parts = Parts(sys.argv[1], {}, labels_png=False)
print(worker._part([Input("a", "good"), Input("b", "bad"), Input("c", "good")]))
"""


def test_an_image_that_kills_its_process_is_found_and_passed_over(tmp_path: Path) -> None:
    pytest.importorskip("ray")

    def attempt() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", KILLER, str(tmp_path)], capture_output=True, text=True, timeout=60)

    assert [attempt().returncode for _ in range(3)] == [9, 9, 9]
    last = attempt()
    assert last.returncode == 0, last.stderr
    assert "(3, [('b', 'the process that segmented it died" in last.stdout
    assert sorted(pq.read_table(tmp_path / "parts")["name"].to_pylist()) == ["a", "b", "c"]
    assert os.listdir(tmp_path / ".tries") == []
