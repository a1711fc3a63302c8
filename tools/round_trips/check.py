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

MAIN, RLE, RLE_LIST, POLYGON, X, SIMPLE = "default", "rle", "rle-list", "polygon", "x-anylabeling", "simplify 2"
FORMATS = {
    MAIN: ["coco,yolo,voc,labelme,cvat,label-studio,geojson,npy,npz"],
    RLE: ["coco", "--coco-masks", "rle"],
    RLE_LIST: ["coco", "--coco-masks", "rle-list"],
    POLYGON: ["coco,labelme,cvat,label-studio", "--coco-masks", "polygon", "--shapes", "polygon"],
    X: ["x-anylabeling"],
    SIMPLE: ["geojson,cvat", "--shapes", "polygon", "--simplify", "2"],
}
# How far from an object's boundary, in pixels, a reader's mask may differ from it: not at all; by the line of a polygon, which some tools color; by
# what simplifying may move.
EXACT, LINE, MOVED = 0, 1, 2
# One ring joins pieces and holes of an object by thin ways; one ring has no holes.
WAYS, FILLED = "ways", "filled"
# Package, format, files, reader, how far its masks may be off, and what is known of its format.
ROWS = [
    ("pycocotools", "coco", MAIN, readers.pycocotools, EXACT),
    ("pycocotools", "coco", RLE, readers.pycocotools, EXACT),
    ("pycocotools", "coco", RLE_LIST, readers.pycocotools, EXACT),
    ("pycocotools", "coco", POLYGON, readers.pycocotools, EXACT),
    ("pycocotools", "coco results", MAIN, functools.partial(readers.pycocotools, results=True), EXACT),
    ("supervision", "coco", MAIN, readers.supervision_coco, LINE),
    ("supervision", "coco", RLE_LIST, readers.supervision_coco, EXACT),
    ("supervision", "yolo", MAIN, readers.supervision_yolo, LINE, WAYS),
    ("datumaro", "coco", MAIN, readers.datumaro_coco, EXACT),
    ("datumaro", "coco", RLE, readers.datumaro_coco, EXACT),
    ("datumaro", "cvat", MAIN, readers.datumaro_cvat, EXACT),
    ("datumaro", "voc", MAIN, readers.datumaro_voc, EXACT),
    ("cvat-sdk", "cvat", MAIN, readers.cvat, EXACT),
    ("shapely", "cvat", POLYGON, readers.cvat, EXACT),
    ("label-studio-sdk", "label-studio", MAIN, readers.label_studio, EXACT),
    ("label-studio-sdk", "label-studio", POLYGON, readers.label_studio, EXACT),
    ("labelme", "labelme", MAIN, readers.labelme, LINE),
    ("shapely", "labelme", MAIN, functools.partial(readers.labelme, filled=False), EXACT),
    ("x-anylabeling-cvhub", "x-anylabeling", X, readers.x_anylabeling, EXACT, FILLED),
    ("ultralytics", "yolo", MAIN, readers.ultralytics, LINE, WAYS),
    ("geojson", "geojson", MAIN, readers.geojson, EXACT),
    ("shapely", "geojson", SIMPLE, readers.geojson, MOVED),
    ("shapely", "cvat", SIMPLE, readers.cvat, MOVED),
    ("pillow", "voc", MAIN, readers.pillow_voc, EXACT),
    ("numpy", "npy", MAIN, readers.numpy_npy, EXACT),
    ("numpy", "npz", MAIN, readers.numpy_npz, EXACT),
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


def reach(mask, read, known):
    """How far from the boundary of a mask, in pixels, what a reader makes of it differs; what is known of the format is left out."""
    if known == FILLED:
        mask = ndimage.binary_fill_holes(mask)
    differ = mask ^ read
    if not differ.any():
        return 0
    outer = ndimage.distance_transform_cdt(~mask)
    inner = ndimage.distance_transform_cdt(np.pad(mask, 1))[1:-1, 1:-1]
    distance = np.where(differ, np.maximum(outer, inner), 0)
    if known == WAYS:
        # No way is three pixels wide.
        wide = ndimage.binary_opening(distance > LINE, np.ones((3, 3)))
        distance[(distance > LINE) & ~wide] = 0
    return int(distance.max())


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


def judge(run, reader, known):
    """How well the masks of a reader fit: IoU of each object and how far it is off; and how many images."""
    fits, images = [], 0
    for name, masks in reader(run):
        images += 1
        objects = run.objects(name)
        assert len(masks) == len(objects), f"{name}: {len(masks)} objects, not {len(objects)}"
        for mask in objects:
            best = max(masks, key=lambda other: iou(mask, other))
            fits.append((iou(mask, best), reach(mask, best, known)))
    assert images and fits, "nothing was read"
    return fits, images


def report(runs):
    """A line for each tool; what went wrong."""
    lines, faults = [], []
    for package, form, files, reader, allowed, *known in ROWS:
        version, fits, images = importlib.metadata.version(package), [], 0
        for mode, run in runs[files].items():
            try:
                found = judge(run, reader, *(known or [None]))
            except Exception:
                faults.append(f"{package}, {form} ({files}), {mode}:\n{traceback.format_exc()}")
                continue
            fits, images = fits + found[0], images + found[1]
        far = max((far for _, far in fits), default=0)
        if not fits:
            result = "cannot be read"
        elif all(fit == 1 for fit, _ in fits):
            result = "exact"
        else:
            but = {WAYS: " but for ways between pieces", FILLED: " but for holes"}
            result = f"within {far} pixels of the boundary{''.join(but[what] for what in known)}, IoU {np.mean([fit for fit, _ in fits]):.3f}"
        if far > allowed:
            faults.append(f"{package}, {form} ({files}): {result}; expected {'exact masks' if allowed == EXACT else f'no more than {allowed}'}")
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
