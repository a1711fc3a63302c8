"""The tools' own readers, each from a run's files to the masks of every image.

A reader takes a `Run` and yields, for each image that it knows, its name and the masks of its objects, `[height, width]` of bool, in any order.
"""
import collections
import contextlib
import importlib
import io
import json
import os
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree

import numpy as np
import shapely
import shapely.geometry

import stand_ins


def inside(polygons, shape):
    """The pixels whose centers lie in one of some polygons."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.logical_or.reduce([shapely.contains_xy(polygon, x, y) for polygon in polygons] or [np.zeros(shape, bool)])


def valid(polygon, what):
    """The polygon; an error if another program may refuse it."""
    if not polygon.is_valid or polygon.geom_type != "Polygon" or polygon.is_empty:
        raise ValueError(f"{what}: {shapely.is_valid_reason(polygon)}")
    return polygon


def quiet(call, *arguments, **options):
    """What a call returns, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments, **options)


def pycocotools(run, results=False):
    from pycocotools.coco import COCO
    coco = quiet(COCO, run.path("annotations.json"))
    found = quiet(coco.loadRes, run.path("results.json")) if results else coco
    for image in coco.dataset["images"]:
        annotations = found.loadAnns(found.getAnnIds(image["id"]))
        masks = [found.annToMask(annotation) > 0 for annotation in annotations]
        for annotation, mask in zip(annotations, masks):
            rows, columns = np.nonzero(run.nearest(image["file_name"], mask))
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert list(annotation["bbox"]) == box and annotation["area"] == len(rows) and annotation["id"] > 0, annotation
        yield image["file_name"], masks


def supervision_masks(run, dataset, prefix):
    for path, found in dataset.annotations.items():
        masks = np.zeros((0, 1, 1), bool) if found.mask is None else found.mask
        yield os.path.relpath(path, prefix), list(masks)


def supervision_coco(run):
    import supervision
    options = {"annotations_path": run.path("annotations.json"), "force_masks": True}
    dataset = quiet(supervision.DetectionDataset.from_coco, images_directory_path=run.pictures, **options)
    return supervision_masks(run, dataset, run.pictures)


def supervision_yolo(run):
    import supervision
    with run.flat() as folder:
        options = {"annotations_directory_path": run.path("labels"), "data_yaml_path": run.path("data.yaml"), "force_masks": True}
        dataset = quiet(supervision.DetectionDataset.from_yolo, images_directory_path=folder, **options)
        yield from supervision_masks(run, dataset, folder)


def datumaro(run, kind, places):
    """Datumaro's dataset of some format; `places` has what it wants where."""
    Dataset = quiet(importlib.import_module, "datumaro").Dataset
    from datumaro.components.annotation import AnnotationType, Polygon
    with tempfile.TemporaryDirectory() as folder:
        for place, target in places.items():
            os.makedirs(os.path.join(folder, os.path.dirname(place)), exist_ok=True)
            os.symlink(os.path.realpath(target), os.path.join(folder, place))
        dataset = quiet(Dataset.import_from, folder, kind)
        for item in dataset:
            grouped = collections.defaultdict(list)
            for at, annotation in enumerate(item.annotations):
                if annotation.type in (AnnotationType.mask, AnnotationType.polygon):
                    grouped[annotation.label, annotation.group or -at - 1].append(annotation)
            name = run.by_stem(item.id)
            shape = run.truth[name].shape
            masks = []
            for annotations in grouped.values():
                pieces = []
                for annotation in annotations:
                    if isinstance(annotation, Polygon):
                        points = np.array(annotation.points).reshape(-1, 2)
                        pieces.append(inside([shapely.Polygon(points)], shape))
                    else:
                        pieces.append(np.asarray(annotation.image) > 0)
                masks.append(np.logical_or.reduce(pieces))
            yield name, masks


def datumaro_coco(run):
    return datumaro(run, "coco_instances", {"annotations/instances_all.json": run.path("annotations.json"), "images/all": run.pictures})


def datumaro_cvat(run):
    return datumaro(run, "cvat", {"annotations.xml": run.path("annotations.xml"), "images": run.pictures})


def datumaro_voc(run):
    folders = ["Annotations", "SegmentationClass", "SegmentationObject", "ImageSets"]
    places = {name: run.path(name) for name in folders} | {"JPEGImages": run.pictures}
    if os.path.exists(run.path("labelmap.txt")):
        places["labelmap.txt"] = run.path("labelmap.txt")
    return datumaro(run, "voc_segmentation", places)


def cvat(run):
    from cvat_sdk.masks import decode_mask
    for image in ElementTree.parse(run.path("annotations.xml")).getroot().iter("image"):
        height, width = int(image.get("height")), int(image.get("width"))
        masks, grouped = [], collections.defaultdict(list)
        for mask in image.iter("mask"):
            left, top, columns, rows = [int(mask.get(key)) for key in ("left", "top", "width", "height")]
            # As CVAT's importer makes its points of the attributes.
            points = [int(count) for count in mask.get("rle").split(",")] + [left, top, left + columns - 1, top + rows - 1]
            masks.append(decode_mask(points, image_width=width, image_height=height))
        for at, shape in enumerate(image.iter("polygon")):
            points = [tuple(map(float, pair.split(","))) for pair in shape.get("points").split(";")]
            grouped[shape.get("label"), shape.get("group_id", -at)].append(valid(shapely.Polygon(points), image.get("name")))
        yield image.get("name"), masks + [inside(polygons, (height, width)) for polygons in grouped.values()]


def label_studio(run):
    brush = quiet(importlib.import_module, "label_studio_sdk.converter.brush")
    LabelInterface = quiet(importlib.import_module, "label_studio_sdk.label_interface").LabelInterface
    from urllib.parse import parse_qs, urlsplit
    with open(run.path("label-studio.xml"), encoding="utf-8") as file:
        interface = LabelInterface(file.read())
    with open(run.path("tasks.json"), encoding="utf-8") as file:
        tasks = json.load(file)
    for task in tasks:
        prediction, = task["predictions"]
        errors = interface.validate_prediction(prediction, return_errors=True)
        assert not errors, errors
        grouped = collections.defaultdict(list)
        for region in prediction["result"]:
            height, width, value = region["original_height"], region["original_width"], region["value"]
            if region["type"] == "brushlabels":
                values = brush.decode_rle(value["rle"]).reshape(height, width, 4)
                assert set(np.unique(values)) <= {0, 255} and (values == values[:, :, :1]).all()
                mask = values[:, :, 3] > 0
            else:
                points = np.array(value["points"]) * [width / 100, height / 100]
                mask = inside([valid(shapely.Polygon(points), region["id"])], (height, width))
            grouped[region["id"].rsplit("-", 1)[0]].append(mask)
        address = urlsplit(task["data"]["image"])
        yield parse_qs(address.query)["d"][0], [np.logical_or.reduce(masks) for masks in grouped.values()]


def labelme(run, filled=True):
    """Masks as LabelMe makes them: it fills polygons with their edges. If not `filled`, polygons have the pixels that lie in them."""
    reader, utils = stand_ins.labelme()
    for name, path in run.files("json"):
        file, shape = reader(path), run.truth[name].shape
        assert os.path.samefile(os.path.join(os.path.dirname(path), file.image_path), run.picture(name))
        grouped = collections.defaultdict(list)
        for at, item in enumerate(file.shapes):
            if item["shape_type"] == "polygon" and not filled:
                mask = inside([valid(shapely.Polygon(item["points"]), name)], shape)
            else:
                mask = utils.shapes_to_label(shape, [item], {item["label"]: 1})[0] > 0
            grouped[item["label"], -at if item["group_id"] is None else item["group_id"]].append(mask)
        yield name, [np.logical_or.reduce(masks) for masks in grouped.values()]


def x_anylabeling(run):
    reader = stand_ins.x_anylabeling()
    for name, path in run.files("json"):
        grouped = collections.defaultdict(list)
        for at, shape in enumerate(reader(path).shapes):
            points = [(point.x(), point.y()) for point in shape.points]
            assert len(points) == len(set(points)) >= 3 and shape.shape_type == "polygon" and 0 <= shape.score <= 1
            group = -at if shape.group_id is None else shape.group_id
            grouped[shape.label, group].append(valid(shapely.Polygon(points), name))
        yield name, [inside(polygons, run.truth[name].shape) for polygons in grouped.values()]


def ultralytics(run):
    with tempfile.TemporaryDirectory() as folder:
        verify, polygon_to_mask = stand_ins.ultralytics(folder)
        classes = len(run.yaml("data.yaml")["names"])
        for name, path in run.files("txt", "labels"):
            answer = verify((run.picture(name), path, "", False, classes, 0, 0, False))
            _, rows, _, segments, _, _, found, _, corrupt, message = answer
            if corrupt and "<10 pixels" in message:
                continue
            assert found and not corrupt and len(rows) == len(segments) and not message, (name, message)
            height, width = run.truth[name].shape
            yield name, [polygon_to_mask((height, width), [segment.ravel() * np.tile([width, height], len(segment))]) > 0 for segment in segments]


def geojson(run):
    import geojson as package
    for name, path in run.files("geojson"):
        with open(path, encoding="utf-8") as file:
            collection = package.load(file)
        assert collection.is_valid, collection.errors()
        grouped = collections.defaultdict(list)
        for feature in collection["features"]:
            assert feature["properties"]["objectType"] == "annotation" and feature["properties"]["classification"]["name"]
            polygon = valid(shapely.geometry.shape(feature["geometry"]), name)
            grouped[feature["properties"]["label"]].append(polygon)
        yield name, [inside(polygons, run.truth[name].shape) for polygons in grouped.values()]


def of_labels(name, labels):
    return name, [labels == label for label in np.unique(labels[labels > 0])]


def numpy_npy(run):
    for name, path in run.files("npy"):
        yield of_labels(name, np.load(path))


def numpy_npz(run):
    for name, path in run.files("npz"):
        with np.load(path) as arrays:
            yield of_labels(name, arrays["labels"])


def pillow_voc(run):
    from PIL import Image
    for name, path in run.files("png", "SegmentationObject"):
        with Image.open(path) as image, Image.open(path.replace("SegmentationObject", "SegmentationClass")) as classes:
            # VOC's colors of 1 and 2.
            assert image.mode == classes.mode == "P" and image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
            labels = np.array(image)
            assert ((np.array(classes) > 0) == (labels > 0)).all()
        yield of_labels(name, labels)
