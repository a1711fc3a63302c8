"""What a result says, and the files it makes, read back by others."""

from __future__ import annotations

import contextlib
import html.parser
import io
import json
import pickle
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from conftest import draw
from numpy.typing import NDArray

import deepcut_vision as dc


@pytest.fixture(scope="module")
def parts(pictures: Path) -> dc.Result:
    return dc.segment(pictures / "ducks1.jpg", mode="parts", n_clusters=3)


@pytest.fixture(scope="module")
def objects() -> dc.Result:
    """Three objects, one of which has a hole."""
    features = np.zeros((14, 30, 2), np.float32)
    features[...] = (1, 0)
    for left in (3, 12, 21):
        features[4:10, left : left + 6] = (-0.2, 1)
    features[6:8, 5:7] = (1, 0)
    return dc.DeepCut(mode="objects").cluster(features, image=draw(140, 300))


def opened(data: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(data))


def test_labels_are_the_results_own_memory(parts: dc.Result) -> None:
    assert parts.labels is parts.labels and parts.labels.dtype == np.uint8 and parts.labels.flags.writeable
    assert parts.labels.flags.c_contiguous and parts.labels.shape == parts.shape
    assert parts.mask.dtype == np.bool_ and np.array_equal(parts.mask, parts.labels > 0)


def test_regions_describe_the_labels(parts: dc.Result) -> None:
    assert [region.label for region in parts.regions] == np.unique(parts.labels).tolist()
    for region in parts.regions:
        rows, columns = np.nonzero(parts.labels == region.label)
        assert region.area == rows.size
        assert region.xyxy == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert region.bbox == (region.left, region.top, region.width, region.height)
        assert region.is_foreground == (region.kind == "part") == (region.part_of == 1)
        assert 0 < region.score <= 1
    assert 0 < parts.confidence <= 1 and parts.mode == "parts"
    assert set(parts.seconds) >= {"backbone", "train"}


def test_polygons_enclose_exactly_the_mask(objects: dc.Result) -> None:
    from matplotlib.path import Path as Outline

    found = objects.objects(label="thing")
    assert len(found) == len(objects.regions) - 1 == 3
    assert all(item["name"] == "thing" and item["class"] == 1 for item in found)
    height, width = objects.shape
    centers = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).reshape(-1, 2)
    rings = []
    for region in objects.regions[1:]:
        inside = np.zeros(height * width, bool)
        for polygon in objects.polygons(region.label):
            rings.append(len(polygon))
            for ring in polygon:
                assert ring.ndim == 2 and ring.shape[1] == 2 and ring.dtype == np.float64
                inside ^= Outline(ring).contains_points(centers)
        assert np.array_equal(inside.reshape(height, width), objects.labels == region.label)
    assert sorted(rings) == [1, 1, 2]
    assert len(objects.polygons()) == 3
    corners = [sum(len(ring) for polygon in objects.polygons(simplify=simplify) for ring in polygon) for simplify in (0, 3)]
    assert corners[1] < corners[0]
    with pytest.raises(ValueError, match="label 9"):
        objects.polygons(9)
    with pytest.raises(ValueError, match="simplify"):
        objects.polygons(simplify=-1)


# pycocotools has not caught up with numpy.
PYCOCOTOOLS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


@PYCOCOTOOLS
def test_run_lengths_are_pycocotools(parts: dc.Result) -> None:
    from pycocotools import mask as coco

    height, width = parts.shape
    for item in parts.objects():
        decoded = coco.decode({"size": [height, width], "counts": item["rle"].encode()})
        assert np.array_equal(decoded, parts.labels == item["label"])
        assert item["area"] == decoded.sum()


@PYCOCOTOOLS
@pytest.mark.parametrize("masks", ["auto", "polygon", "rle", "rle-list"])
def test_coco_is_what_pycocotools_reads(parts: dc.Result, tmp_path: Path, masks: str) -> None:
    from pycocotools.coco import COCO

    coco = parts.to_coco(image_id=7, annotation_id=100, labels=["head", "body"], coco_masks=masks)
    path = tmp_path / "set.json"
    path.write_text(json.dumps(coco))
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(str(path))
    assert read.getImgIds() == [7] and read.loadImgs(7)[0]["file_name"] == "ducks1.jpg"
    annotations = read.loadAnns(read.getAnnIds(imgIds=[7], iscrowd=None))
    assert [annotation["id"] for annotation in annotations] == [100, 101, 102]
    assert [category["name"] for category in read.loadCats(read.getCatIds())][:2] == ["head", "body"]
    for annotation, region in zip(annotations, parts.regions[1:], strict=True):
        assert np.array_equal(read.annToMask(annotation), parts.labels == region.label)
        assert tuple(annotation["bbox"]) == region.bbox and annotation["area"] == region.area


def test_pictures_are_what_pil_reads(parts: dc.Result) -> None:
    with opened(parts.to_files("labels")["ducks1.labels.png"]) as labels:
        assert labels.mode == "P" and np.array_equal(np.asarray(labels), parts.labels)
    with opened(parts.to_files("mask")["ducks1.mask.png"]) as mask:
        assert mask.mode == "L" and np.array_equal(np.asarray(mask) == 255, parts.mask)
    with opened(parts.to_files("overlay")["ducks1.overlay.png"]) as overlay:
        assert np.array_equal(np.asarray(overlay), parts.overlay())
    with opened(parts.to_files("cutout")["ducks1.cutout.png"]) as cutout:
        assert cutout.mode == "RGBA" and np.array_equal(np.asarray(cutout), parts.cutout())
    assert np.array_equal(parts.cutout()[..., 3] > 0, parts.mask)
    image = parts.image
    assert image is not None and np.array_equal(parts.cutout()[parts.mask][:, :3], image[parts.mask])
    assert np.array_equal(parts.overlay()[~parts.mask], image[~parts.mask])


@pytest.mark.parametrize(
    "format", ["json", "coco", "yolo", "voc", "geojson", "npz", "npy", "labelme", "x-anylabeling", "cvat", "label-studio"]
)
def test_every_format_makes_files_without_a_file_system(parts: dc.Result, format: str) -> None:
    files = parts.to_files(format, name="photos/a b.jpg")
    assert files and all(isinstance(data, bytes) and data for data in files.values())
    assert any("a b" in name for name in files) or any(b"a b.jpg" in data or b"a%20b.jpg" in data for data in files.values())
    for name, data in files.items():
        if name.endswith("json"):
            json.loads(data)


def test_numpy_reads_its_files(parts: dc.Result) -> None:
    (array,) = parts.to_files("npy").values()
    assert np.array_equal(np.load(io.BytesIO(array)), parts.labels)
    (archive,) = parts.to_files("npz").values()
    with np.load(io.BytesIO(archive)) as read:
        assert np.array_equal(read["labels"], parts.labels)


def test_wrong_formats_are_refused(parts: dc.Result) -> None:
    with pytest.raises(ValueError, match="jpeg"):
        parts.to_files("jpeg")
    with pytest.raises(TypeError, match="to_files.*'colour'"):
        parts.to_files("yolo", colour=3)
    with pytest.raises(TypeError, match="label"):
        parts.to_files("mask", label="a")
    with pytest.raises(ValueError, match="pixels"):
        parts.to_files("coco", coco_masks="pixels")


def test_saving_to_one_file_and_to_a_folder(
    parts: dc.Result, objects: dc.Result, tmp_path: Path, image: NDArray[np.uint8]
) -> None:
    assert parts.save(tmp_path / "a.png") == [str(tmp_path / "a.png")]
    with PIL.Image.open(tmp_path / "a.png") as labels:
        assert labels.mode == "P" and np.array_equal(np.asarray(labels), parts.labels)
    dc.segment(image).save(tmp_path / "new" / "b.PNG")
    with PIL.Image.open(tmp_path / "new" / "b.PNG") as mask:
        assert mask.mode == "L"
    dc.segment(np.zeros((8, 8, 3), np.uint8), mode="parts").save(tmp_path / "new" / "empty.png")
    with PIL.Image.open(tmp_path / "new" / "empty.png") as labels:
        assert labels.mode == "P"
    parts.save(tmp_path / "a.png", "overlay")
    with PIL.Image.open(tmp_path / "a.png") as overlay:
        assert overlay.mode == "RGB"
    parts.save(tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), parts.labels)
    parts.save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["height"] == 360
    names = {Path(path).relative_to(tmp_path).as_posix() for path in parts.save(tmp_path / "out")}
    assert names == {"out/ducks1.labels.png", "out/ducks1.overlay.png"}
    written = parts.save(tmp_path / "set", ["yolo", "mask"], label="duck", name="x.jpg")
    assert {Path(path).name for path in written} == {"data.yaml", "x.txt", "x.mask.png"}
    assert all(Path(path).is_file() for path in written)
    with pytest.raises(ValueError, match="2 files"):
        parts.save(tmp_path / "c.json", "coco")
    with pytest.raises(ValueError, match=r"end the name in \.png"):
        parts.save(tmp_path / "c.jpg")
    with pytest.raises(OSError):
        parts.save(tmp_path / "a.png" / "b.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npy", "a.png", "new", "out", "set"]


def test_nothing_half_written_stays(parts: dc.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("disk full")

    (tmp_path / "a.png").write_text("before")
    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="disk full"):
        parts.save(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and (tmp_path / "a.png").read_text() == "before"


def test_the_report_is_the_commands(parts: dc.Result, pictures: Path) -> None:
    report = parts.report()
    assert json.loads(json.dumps(report)) == report
    assert report["input"] == str(pictures / "ducks1.jpg") and (report["height"], report["width"]) == parts.shape
    assert report["confidence"] == parts.confidence and report["options"]["recipe"]["n_clusters"] == 3
    assert [label["area"] for label in report["labels"]] == [region.area for region in parts.regions]
    assert parts.bbox is not None and report["box"] == list(parts.bbox)


def test_pickles_hold_everything(parts: dc.Result, image: NDArray[np.uint8]) -> None:
    with_alpha = np.dstack([image, np.full(image.shape[:2], 200, np.uint8)])
    for result in (parts, dc.segment(image), dc.segment(with_alpha), dc.segment(image[..., 0])):
        again = pickle.loads(pickle.dumps(result))
        assert np.array_equal(again.labels, result.labels) and np.array_equal(again.mask, result.mask)
        assert again.regions == result.regions and again.confidence == result.confidence and again.name == result.name
        assert np.array_equal(again.overlay(), result.overlay()) and np.array_equal(again.cutout(), result.cutout())
        assert again.to_files("coco") == result.to_files("coco") and again.report() == result.report()


def test_without_an_image_it_must_be_given_to_draw(image: NDArray[np.uint8]) -> None:
    features = np.ones((6, 8, 2), np.float32)
    features[2:4, 3:6] = (1, -1)
    result = dc.DeepCut().cluster(features, size=image.shape[:2])
    with pytest.raises(ValueError, match="image="):
        result.overlay()
    assert result.image is None
    assert result.overlay(image).shape == image.shape and result.cutout(image).shape == (96, 128, 4)
    with pytest.raises(ValueError, match="pixels"):
        result.overlay(image[1:])
    assert opened(result._repr_png_()).size == (128, 96)


class Reader(html.parser.HTMLParser):
    """Counts tags, and fails on one that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.rows += tag == "tr"
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_notebooks_show_the_overlay_and_a_table(parts: dc.Result, objects: dc.Result) -> None:
    with opened(parts._repr_png_()) as picture:
        assert picture.mode == "RGB" and np.array_equal(np.asarray(picture), parts.overlay())
    for result in (parts, objects):
        page = Reader()
        page.feed(result._repr_html_())
        assert not page.open and page.rows == 1 + len(result.regions)
        assert f"{result.shape[0]} × {result.shape[1]}" in page.text and f"{result.confidence:.2f}" in page.text
    shown = parts._repr_html_()
    assert "rgb(230, 159, 0)" in shown and "rgb(0, 0, 0)" not in shown


def test_large_pictures_are_shown_small() -> None:
    result = dc.segment(draw(1500, 2100))
    with opened(result._repr_png_()) as picture:
        assert picture.size == (525, 375)
        small = np.asarray(picture.resize((105, 75), PIL.Image.Resampling.BOX)).astype(float)
    reference = np.asarray(PIL.Image.fromarray(result.overlay()).resize((105, 75), PIL.Image.Resampling.BOX)).astype(float)
    assert np.abs(small - reference).max() < 2
    assert len(result._repr_html_()) < 1_000_000


def test_names_of_files_cannot_break_the_page(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    path = tmp_path / '<script>alert("$x$")<b>&.png'
    PIL.Image.fromarray(image).save(path)
    result = dc.segment(path)
    page = result._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert re.fullmatch(r"<Result '.*', 96 × 128, object: 1 found, confidence [01]\.\d\d>".replace("'.*', ", ".*"), repr(result))


def test_plots_go_where_they_are_told(parts: dc.Result) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2)
    try:
        assert parts.plot(left) is left
        assert np.array_equal(left.images[0].get_array(), parts.overlay())
        assert left.get_title().startswith("ducks1.jpg: confidence 0.")
        plt.sca(right)
        assert dc.segment(np.zeros((30, 40, 3), np.uint8)).plot() is right
        assert right.get_title() == "no object"
        figure.savefig(io.BytesIO())
    finally:
        plt.close(figure)
