"""Daft: a column of images becomes columns of results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
daft = pytest.importorskip("daft")

from deepcut_vision._rows import Rows  # noqa: E402
from deepcut_vision.daft import Segment  # noqa: E402

PICTURES = Path(__file__).parents[2] / "examples/pictures"
SMALL = {"resolution": 160}


def check(rows: list[dict[str, Any]], **options: Any) -> None:
    assert len(rows) == len(list(PICTURES.glob("*.jpg")))
    for row in rows:
        expected = Rows(**SMALL, **options).table([row["path"]]).to_pylist()[0]
        assert {name: row[name] for name in expected} == expected


def test_paths_become_columns() -> None:
    segment = Segment(mode="objects", **SMALL)
    images = daft.from_glob_path(str(PICTURES / "*.jpg"))
    check(images.select("path", segment(images["path"]).unnest()).to_pylist(), mode="objects")


def test_bytes_and_images_become_columns() -> None:
    segment = Segment(labels_png=True, **SMALL)
    images = daft.from_glob_path(str(PICTURES / "*.jpg"))
    images = images.with_column("bytes", images["path"].download())
    check(images.select("path", segment(images["bytes"]).unnest()).to_pylist(), labels_png=True)
    rows = images.with_column("found", segment(images["bytes"].decode_image())).to_pylist()
    image = pytest.importorskip("PIL.Image")
    for row in rows:
        found = row["found"]
        pixels = np.asarray(image.open(row["path"].removeprefix("file://")))
        # Decoders differ by a rounding, so masks may by some pixels.
        assert found["error"] is None and (found["height"], found["width"]) == pixels.shape[:2]


def test_a_bad_image_is_a_row_with_its_error() -> None:
    frame = daft.from_pydict({"key": [1, 2, 3], "bytes": [b"broken", None, (PICTURES / "mug.jpg").read_bytes()]})
    rows = frame.select("key", Segment(**SMALL)(frame["bytes"]).unnest()).sort("key").to_pylist()
    assert [bool(row["error"]) for row in rows] == [True, True, False]
    assert rows[0]["objects"] is None and rows[2]["objects"]


def test_results_go_to_parquet_and_back(tmp_path: Path) -> None:
    images = daft.from_glob_path(str(PICTURES / "*.jpg"))
    found = images.select("path", Segment(**SMALL)(images["path"]).unnest())
    found.write_parquet(str(tmp_path / "out"))
    check(daft.read_parquet(str(tmp_path / "out/*.parquet")).to_pylist())


def test_wrong_options_are_an_error_of_the_query() -> None:
    frame = daft.from_pydict({"path": ["x"]})
    with pytest.raises(Exception, match="mode"):
        frame.select(Segment(mode="cats")(frame["path"])).collect()
