"""Segments made-up pictures, reads the annotation files with the tools' own readers, and compares: check.py PROGRAM

The masks to compare with are those of `--format labels`, which the same run writes.
"""
import collections
import contextlib
import functools
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import traceback

import numpy as np
import yaml
from PIL import Image
from scipy import ndimage

import pictures
import readers

# Polygons that a tool fills with their edges grow by half a pixel around: objects below this many pixels are not judged.
SMALL = 200

MAIN, RLE, RLE_LIST, POLYGON, X, SIMPLE = "default", "rle", "rle-list", "polygon", "x-anylabeling", "simplify 2"
FORMATS = {
    MAIN: ["coco,yolo,voc,labelme,cvat,label-studio,geojson,npy,npz"],
    RLE: ["coco", "--coco-masks", "rle"],
    RLE_LIST: ["coco", "--coco-masks", "rle-list"],
    POLYGON: ["coco,labelme,cvat,label-studio", "--coco-masks", "polygon", "--shapes", "polygon"],
    X: ["x-anylabeling"],
    SIMPLE: ["geojson,cvat", "--shapes", "polygon", "--simplify", "2"],
}
# Package, format, files, reader, and the least IoU of any object of `SMALL` pixels or more, as measured and rounded down; None where every mask
# must be exact.
ROWS = [
    ("pycocotools", "coco", MAIN, readers.pycocotools, 0.9),
    ("pycocotools", "coco", RLE, readers.pycocotools, None),
    ("pycocotools", "coco", RLE_LIST, readers.pycocotools, None),
    ("pycocotools", "coco", POLYGON, readers.pycocotools, 0.9),
    ("pycocotools", "coco results", MAIN, functools.partial(readers.pycocotools, results=True), None),
    ("supervision", "coco", MAIN, readers.supervision_coco, 0.6),
    ("supervision", "coco", RLE_LIST, readers.supervision_coco, None),
    ("supervision", "yolo", MAIN, readers.supervision_yolo, 0.6),
    ("datumaro", "coco", MAIN, readers.datumaro_coco, None),
    ("datumaro", "coco", RLE, readers.datumaro_coco, None),
    ("datumaro", "cvat", MAIN, readers.datumaro_cvat, None),
    ("datumaro", "voc", MAIN, readers.datumaro_voc, None),
    ("cvat-sdk", "cvat", MAIN, readers.cvat, None),
    ("shapely", "cvat", POLYGON, readers.cvat, None),
    ("label-studio-sdk", "label-studio", MAIN, readers.label_studio, None),
    ("label-studio-sdk", "label-studio", POLYGON, readers.label_studio, None),
    ("labelme", "labelme", MAIN, readers.labelme, 0.6),
    ("shapely", "labelme", MAIN, functools.partial(readers.labelme, filled=False), None),
    ("x-anylabeling-cvhub", "x-anylabeling", X, readers.x_anylabeling, 0.5),
    ("ultralytics", "yolo", MAIN, readers.ultralytics, 0.8),
    ("geojson", "geojson", MAIN, readers.geojson, None),
    ("shapely", "geojson", SIMPLE, readers.geojson, 0.75),
    ("shapely", "cvat", SIMPLE, readers.cvat, 0.75),
    ("pillow", "voc", MAIN, readers.pillow_voc, None),
    ("numpy", "npy", MAIN, readers.numpy_npy, None),
    ("numpy", "npz", MAIN, readers.numpy_npz, None),
]


class Run:
    """A folder of results, and what must be in them."""

    def __init__(self, pictures_folder, folder, masks):
        self.pictures, self.folder, self.truth = pictures_folder, folder, masks
        self.stems = {name: os.path.splitext(name)[0] for name in masks}

    def path(self, name):
        return os.path.join(self.folder, name)

    def picture(self, name):
        return os.path.join(self.pictures, name)

    def files(self, extension, below=""):
        """The file of each image."""
        for name, stem in self.stems.items():
            yield name, os.path.join(self.folder, below, f"{stem}.{extension}")

    def by_stem(self, stem):
        return next(name for name, other in self.stems.items() if other == stem)

    def yaml(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return yaml.safe_load(file)

    @contextlib.contextmanager
    def flat(self):
        """The pictures that are in no folder, for a reader that looks into none."""
        with tempfile.TemporaryDirectory() as folder:
            for name in self.truth:
                if "/" not in name:
                    os.symlink(self.picture(name), os.path.join(folder, name))
            yield folder

    def objects(self, name):
        labels = self.truth[name]
        return [labels == label for label in np.unique(labels[labels > 0])]

    def nearest(self, name, mask):
        return max(self.objects(name), key=lambda other: iou(mask, other))


def iou(a, b):
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def traps(masks):
    """How many of the objects have a hole, touch at a corner, are in pieces, have a stray pixel."""
    found = collections.Counter()
    for labels in masks.values():
        for label in np.unique(labels[labels > 0]):
            mask = labels == label
            pieces, count = ndimage.label(mask)
            outside = ndimage.label(np.pad(~mask, 1, constant_values=True), np.ones((3, 3)))[1]
            a, b, c, d = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
            corners = (a & d & ~b & ~c) | (b & c & ~a & ~d)
            stray = (np.bincount(pieces.ravel())[1:] == 1).any()
            found.update({"holes": outside > 1, "corners": corners.any(), "pieces": count > 1, "stray pixels": stray, "objects": 1})
    return found


def segment(program, folder, out, mode, formats):
    command = [program, "segment", folder, "-o", out, *mode, "--format", formats[0], *formats[1:], "--quiet", "--no-progress"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"round-trips: {' '.join(command)}: {done.stderr}")


def masks_of(folder, out, names):
    """The label map of each image, by its name."""
    masks = {}
    for name in names:
        with Image.open(os.path.join(out, os.path.splitext(name)[0] + ".labels.png")) as image:
            masks[name] = np.array(image)
    return masks


def judge(run, reader):
    """How well the masks of a reader fit: IoU of each object, whether all are exact, and how many images."""
    fits, exact, images = [], True, 0
    for name, masks in reader(run):
        images += 1
        objects = run.objects(name)
        assert len(masks) == len(objects), f"{name}: {len(masks)} objects, not {len(objects)}"
        for mask in objects:
            best = max((iou(mask, other) for other in masks), default=0.0)
            exact &= any(np.array_equal(mask, other) for other in masks)
            fits.append((np.count_nonzero(mask), best))
    assert images and fits, "nothing was read"
    return fits, exact, images


def report(runs):
    """A line for each tool; what went wrong."""
    lines, faults = [], []
    for package, form, files, reader, least in ROWS:
        version, fits, exact, images = importlib.metadata.version(package), [], True, 0
        for mode, run in runs[files].items():
            try:
                found = judge(run, reader)
            except Exception:
                faults.append(f"{package}, {form} ({files}), {mode}:\n{traceback.format_exc()}")
                continue
            fits, exact, images = fits + found[0], exact and found[1], images + found[2]
        large = [fit for area, fit in fits if area >= SMALL]
        if not fits:
            result = "cannot be read"
        elif exact:
            result = "exact"
        else:
            result = f"IoU {np.mean([fit for _, fit in fits]):.3f}, of objects from {SMALL} pixels at least {min(large, default=1):.3f}"
            if least is None or min(large, default=1) < least:
                faults.append(f"{package}, {form} ({files}): {result}; expected {'exact masks' if least is None else f'at least {least}'}")
        lines.append(f"| {package} {version} | {form} | {files} | {images} | {len(fits)} | {result} |")
    print("| reader | format | files | images | objects | masks |\n|---|---|---|---|---|---|", *lines, sep="\n")
    return faults


def main(program):
    with tempfile.TemporaryDirectory() as work:
        folder = os.path.join(work, "pictures")
        os.mkdir(folder)
        pictures.make(folder)
        names = sorted(os.path.relpath(os.path.join(where, name), folder) for where, _, files in os.walk(folder) for name in files)
        with open(os.path.join(work, "names.txt"), "w", encoding="utf-8") as file:
            file.write("head & <neck>\nKörper\n")
        modes = {
            "parts": ["--mode", "parts", "-k", "3", "--set", "upsampling=nearest", "--labels", os.path.join(work, "names.txt")],
            "objects": ["--mode", "objects", "--label", 'a "thing" & more'],
        }
        runs, found = collections.defaultdict(dict), collections.Counter()
        for mode, options in modes.items():
            for files, formats in FORMATS.items():
                out = os.path.join(work, mode, files)
                segment(program, folder, out, options, [f"labels,{formats[0]}", *formats[1:]])
                masks = masks_of(folder, out, names)
                found += traps(masks) if files == MAIN else collections.Counter()
                runs[files][mode] = Run(folder, out, masks)
        print(", ".join(f"{count} {name}" for name, count in found.items()))
        faults = report(runs) + [f"no mask has {name}" for name in ("holes", "corners", "pieces", "stray pixels") if not found[name]]
    for fault in faults:
        print(f"\n{fault}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main(sys.argv[1])
