"""examples/cvat_function.py with the driver and the types of CVAT's SDK; no server is needed."""
import importlib.util
import logging
import types
from pathlib import Path

import numpy as np
import pytest

aa = pytest.importorskip("cvat_sdk.auto_annotation", reason="cvat_sdk is not installed: pip install --no-deps -r python/tests/requirements.txt")
PIL_Image = pytest.importorskip("PIL.Image")
from cvat_sdk import models
from cvat_sdk.auto_annotation import driver
from cvat_sdk.masks import decode_mask

import deepcut_vision as dc

ROOT = Path(__file__).resolve().parents[2]
PICTURES = [ROOT / "examples/pictures/duck.jpg", ROOT / "examples/pictures/ducks1.jpg"]
spec = importlib.util.spec_from_file_location("cvat_function", ROOT / "examples/cvat_function.py")
cvat_function = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cvat_function)


class Media:
    """An image of a task, as the driver loads it."""

    def __init__(self, path):
        self.path = path

    def load_image(self):
        return PIL_Image.open(self.path)


class Server:
    """Takes what the driver uploads."""

    def __init__(self):
        self.logger = logging.getLogger("cvat")
        self.tasks = types.SimpleNamespace(api=self)
        self.shapes = None

    def partial_update_annotations(self, action, task, *, patched_labeled_data_request):
        assert action == "create"
        self.shapes = patched_labeled_data_request.shapes


@pytest.fixture
def annotate(monkeypatch):
    """Runs the SDK's driver over a task of the pictures that has labels of these names, numbered from 71."""

    def run(function, names, **options):
        # Frames of a task need not be numbered from 0.
        samples = [types.SimpleNamespace(frame_index=5 + at, frame_name=path.name, media=Media(path)) for at, path in enumerate(PICTURES)]
        labels = [models.Label(id=at, name=name, type="any", attributes=[], sublabels=[]) for at, name in enumerate(names, start=71)]
        monkeypatch.setattr(driver, "TaskDataset", lambda client, task, load_annotations: types.SimpleNamespace(samples=samples, labels=labels))
        server = Server()
        aa.annotate_task(server, 1, function, **options)
        return server.shapes

    return run


@pytest.fixture(scope="module")
def function():
    return cvat_function.create(labels="duck")


@pytest.fixture(scope="module")
def found():
    model = dc.DeepCut(mode="objects")
    return [model.segment(path) for path in PICTURES]


def test_masks_are_those_of_the_package(annotate, function, found):
    shapes = annotate(function, ["mug", "duck"])
    assert {shape.type.value for shape in shapes} == {"mask"}
    assert {shape.label_id for shape in shapes} == {72}
    for frame, result in enumerate(found, start=5):
        ours = [shape for shape in shapes if shape.frame == frame]
        objects = result.objects()
        assert len(ours) == len(objects) > 0
        height, width = result.shape
        for shape, object in zip(ours, objects):
            mask = decode_mask(shape.points, image_width=width, image_height=height)
            np.testing.assert_array_equal(mask, result.labels == object["label"])
            assert shape.score == pytest.approx(object["score"], abs=1e-6)


def signed_area(points):
    x, y = np.reshape(points, (-1, 2)).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_polygons_on_request(annotate, function, found):
    shapes = annotate(function, ["duck"], conv_mask_to_poly=True)
    assert {shape.type.value for shape in shapes} == {"polygon"}
    for frame, result in enumerate(found, start=5):
        # Corners of polygons are corners of pixels, so areas are equal but for filled holes.
        holes = sum(abs(signed_area(ring.ravel())) for object in result.objects() for rings in object["polygons"] for ring in rings[1:])
        area = sum(abs(signed_area(shape.points)) for shape in shapes if shape.frame == frame)
        assert area == pytest.approx(result.mask.sum() + holes)


def test_threshold(annotate, function, found):
    scores = [object["score"] for result in found for object in result.objects()]
    assert len(annotate(function, ["duck"], conf_threshold=max(scores) - 1e-4)) == 1
    assert len(annotate(function, ["duck"], conf_threshold=0.0)) == len(scores)


def test_each_part_has_its_label(annotate):
    function = cvat_function.create(mode="parts", n_clusters=3, labels="head, body,leg")
    shapes = annotate(function, ["leg", "body", "head"])
    assert {shape.label_id for shape in shapes} == {71, 72, 73}
    for frame, path in enumerate(PICTURES, start=5):
        labels = dc.DeepCut(mode="parts", n_clusters=3).segment(path).labels
        height, width = labels.shape
        for part, label in [(1, 73), (2, 72), (3, 71)]:
            shape = next(shape for shape in shapes if (shape.frame, shape.label_id) == (frame, label))
            np.testing.assert_array_equal(decode_mask(shape.points, image_width=width, image_height=height), labels == part)


def test_labels_that_the_task_lacks_are_told(annotate, function):
    with pytest.raises(aa.BadFunctionError, match="'duck' is not in dataset"):
        annotate(function, ["mug"])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_modes_of_images(function, mode):
    with PIL_Image.open(PICTURES[0]) as opened:
        image = opened.convert("L").convert("I;16") if mode == "I;16" else opened.convert(mode)
    context = types.SimpleNamespace(frame_name="a", conf_threshold=None, conv_mask_to_poly=False)
    for shape in function.detect(context, image):
        assert decode_mask(shape.points, image_width=image.width, image_height=image.height).any()
