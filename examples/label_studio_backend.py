"""DeepCut as a machine-learning backend of Label Studio: it proposes a shape for each object of an image.

    pip install deepcut-vision
    pip install --no-deps -r python/tests/requirements.txt    # label-studio-ml of PyPI asks for a Flask of 2020
    python examples/label_studio_backend.py

Then connect http://localhost:9090 in the project's settings, under Model. Proposals are brush masks, polygons or boxes: whichever of BrushLabels,
PolygonLabels and RectangleLabels the labeling configuration has first. Polygons have no holes in Label Studio, so holes are filled.

Run with label-studio-ml 1.0.9, the one on PyPI; written for version 2 from its repository as well, which keeps its files in $MODEL_DIR.
"""
import argparse
import inspect
import json
import logging
import os

import deepcut_vision as dc
from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase

# With mode="parts", part 1 gets the first name of the labeling configuration, part 2 the second, and so on.
MODEL = dc.DeepCut(mode="objects")
SHAPES = {"BrushLabels": "brushlabels", "PolygonLabels": "polygonlabels", "RectangleLabels": "rectanglelabels"}


def values(result, control):
    """The value of each object's region, as Label Studio stores it."""
    height, width = result.shape
    if control == "BrushLabels":
        task = json.loads(result.to_files("label-studio", shapes="mask")["tasks.json"])[0]
        return [[region["value"]] for region in task["predictions"][0]["result"]]
    if control == "PolygonLabels":
        percent = (100 / width, 100 / height)
        return [[{"points": (rings[0] * percent).tolist(), "closed": True} for rings in found["polygons"]] for found in result.objects()]
    boxes = [found["bbox"] for found in result.objects()]
    return [[{"x": 100 * x / width, "y": 100 * y / height, "width": 100 * w / width, "height": 100 * h / height}] for x, y, w, h in boxes]


class DeepCut(LabelStudioMLBase):
    """Segments the image of each task."""

    def predict(self, tasks, **kwargs):
        controls = self.parsed_label_config.items()
        name, control = next(((name, control) for name, control in controls if control["type"] in SHAPES), (None, None))
        if control is None:
            raise ValueError(f"the labeling configuration has none of {', '.join(SHAPES)}")
        return [self.prediction(task, name, control) for task in tasks]

    def prediction(self, task, name, control):
        try:
            result = MODEL.segment(self.get_local_path(task["data"][control["inputs"][0]["value"]]))
        except Exception as error:  # One image that cannot be had does not cost the others their proposals.
            logging.error("task %s: %s", task.get("id"), error)
            return {"model_version": dc.__version__, "score": 0.0, "result": []}
        height, width = result.shape
        kind, regions = SHAPES[control["type"]], []
        for found, shapes in zip(result.objects(), values(result, control["type"])):
            label = control["labels"][min(found["class"], len(control["labels"])) - 1]
            regions += [
                {"id": f"{found['label']}-{piece}", "type": kind, "from_name": name, "to_name": control["to_name"][0], "score": found["score"],
                 "original_width": width, "original_height": height, "image_rotation": 0, "value": {**shape, kind: [label]}}
                for piece, shape in enumerate(shapes)
            ]
        return {"model_version": dc.__version__, "score": result.confidence, "result": regions}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--model-dir", default=os.path.expanduser("~/.cache/deepcut-label-studio"), help="where the SDK keeps its files")
    arguments = parser.parse_args()
    options = {"model_dir": arguments.model_dir} if "kwargs" in inspect.signature(init_app).parameters else {}
    init_app(DeepCut, **options).run(arguments.host, arguments.port)
