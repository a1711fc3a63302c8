"""What was found in an image."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from . import _deepcut, _images, _png
from ._parameters import check_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ._images import ImageLike, Picture

# Formats of one picture, and the ends of their files' names.
_PICTURES = {"mask": "mask.png", "labels": "labels.png", "overlay": "overlay.png", "cutout": "cutout.png"}
# Formats that the extension of a file's name stands for; that of `.png` depends on the mode.
_BY_EXTENSION = {".json": "json", ".geojson": "geojson", ".npz": "npz", ".npy": "npy"}
# What formats of annotation tools depend on.
_ANNOTATION_OPTIONS = ("label", "labels", "paths", "simplify", "coco_masks", "shapes")
# Pixels of the longer side of a picture in a notebook.
_NOTEBOOK_SIDE = 640
# Rows of the table in a notebook.
_NOTEBOOK_ROWS = 12


@dataclass(frozen=True)
class Region:
    """The pixels of one label.

    Attributes
    ----------
    label : int
        The label, as in `Result.labels`.
    kind : {'background', 'object', 'part', 'cluster'}
        What it is; a cluster is one of several, without a claim that it is an object.
    part_of : int or None
        Number of the object that a part belongs to.
    score : float
        0 to 1: how sure it is that the region is what `kind` says.
    area : int
        Pixels.
    top, left, height, width : int
        The smallest box around the pixels.

    Examples
    --------
    >>> import deepcut_vision as dc
    >>> region = dc.Region(label=1, kind="object", part_of=None, score=0.9, area=12, top=2, left=5, height=3, width=4)
    >>> region.bbox, region.xyxy
    ((5, 2, 4, 3), (5, 2, 9, 5))
    """

    label: int
    kind: str
    part_of: int | None
    score: float
    area: int
    top: int
    left: int
    height: int
    width: int

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """Box as in COCO: x, y, width, height."""
        return self.left, self.top, self.width, self.height

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        """Box as x and y of its first pixel, and x and y behind its last."""
        return self.left, self.top, self.left + self.width, self.top + self.height

    @property
    def is_foreground(self) -> bool:
        """Whether it is anything but background."""
        return self.kind != "background"


# A region of the foreground with its shape; see `Result.objects`.
Object = TypedDict(
    "Object",
    {
        "label": int,
        "kind": str,
        "class": int,
        "name": str,
        "part_of": "int | None",
        "score": float,
        "area": int,
        "bbox": "list[int]",
        "rle": str,
        "polygons": "list[list[NDArray[np.float64]]]",
    },
)


class Result:
    """What was found in an image.

    Shown in a notebook, it is the image under the colors of its labels, and a table. A result, and its pickle, hold the image too: of
    thousands of images, keep what you need instead, such as ``result.mask``.

    Attributes
    ----------
    name : str or None
        The path of the image, if it was read from one.

    Examples
    --------
    >>> import deepcut_vision as dc
    >>> result = dc.segment("examples/pictures/ducks1.jpg", mode="parts", n_clusters=2)
    >>> result.labels.shape, result.mask.dtype
    ((360, 480), dtype('bool'))
    >>> [region.kind for region in result.regions]
    ['background', 'part', 'part']
    >>> sum(region.area for region in result.regions) == result.labels.size
    True
    """

    def __init__(self, found: _deepcut.Found, picture: Picture | None, options: _deepcut.Options) -> None:
        self._found = found
        self._options = options
        self._pixels = None if picture is None else picture.pixels
        self._mask: NDArray[np.bool_] | None = None
        self._regions: tuple[Region, ...] | None = None
        self.name = None if picture is None else picture.name

    @property
    def labels(self) -> NDArray[np.uint8]:
        """A label for each pixel, (H, W) uint8; 0 is background. The result's own memory, not a copy."""
        labels: NDArray[np.uint8] = self._found.labels
        return labels

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The foreground, (H, W) bool."""
        mask = self._mask
        if mask is None:
            self._mask = mask = self._found.mask()
        return mask

    @property
    def regions(self) -> tuple[Region, ...]:
        """The labels that occur, in order."""
        if self._regions is None:
            self._regions = tuple(_region(fields) for fields in self._found.regions())
        return self._regions

    @property
    def confidence(self) -> float:
        """0 to 1: one minus the soft normalized cut between object and background."""
        return self._found.confidence

    @property
    def bbox(self) -> tuple[int, int, int, int] | None:
        """x, y, width and height of the main object's box, or None: `box` of the JSON report."""
        return self._found.main_box()

    @property
    def has_object(self) -> bool:
        """Whether any pixel belongs to the foreground."""
        return self._found.has_object

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._found.height, self._found.width

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self._found.grid

    @property
    def mode(self) -> str:
        """What was looked for: 'object', 'parts', 'scene' or 'objects'."""
        return self._found.mode

    @property
    def seconds(self) -> dict[str, float]:
        """Time of each stage in seconds."""
        return self._found.seconds

    @property
    def image(self) -> NDArray[np.uint8] | None:
        """The image, (H, W, 3) uint8, or None if there is none. The caller's own array if that was borrowed."""
        return None if self._pixels is None else _images.rgb_of(self._pixels)

    def objects(self, *, label: str | None = None, labels: Sequence[str] = (), simplify: float = 0.0) -> list[Object]:
        """The regions of the foreground with their shapes.

        Parameters
        ----------
        label : str, optional
            Name of the objects.
        labels : sequence of str
            Names of the parts or clusters: the first is that of part 1.
        simplify : float
            Take out corners of polygons that lie within this many pixels of a straighter line. 0 keeps polygons exactly the masks.

        Returns
        -------
        list of dict
            ``label``, ``kind``, ``part_of``, ``score`` and ``area`` as in `Region`; ``class`` (a number from 1) and ``name``; ``bbox``
            [x, y, width, height]; ``rle``, the mask as COCO's compressed run lengths; ``polygons``, each a list of rings, an outer one and
            its holes, of shape (n, 2): x and y of corners of pixels.

        Raises
        ------
        ValueError
            If `simplify` is negative or not finite.
        """
        return self._found.objects(label=label, labels=list(labels), simplify=float(simplify))  # type: ignore[return-value]

    def polygons(self, label: int | None = None, *, simplify: float = 0.0) -> list[list[NDArray[np.float64]]]:
        """The outlines of the foreground.

        Parameters
        ----------
        label : int, optional
            Only those of this label.
        simplify : float
            See `objects`.

        Returns
        -------
        list of list of ndarray
            Polygons: each an outer ring and its holes, of shape (n, 2), x and y of corners of pixels. The first point is not repeated.

        Raises
        ------
        ValueError
            If no region of the foreground has this label.

        Examples
        --------
        >>> import numpy as np
        >>> import deepcut_vision as dc
        >>> features = np.zeros((6, 8, 2), np.float32)
        >>> features[...] = (1, 0)
        >>> features[2:4, 3:6] = (0, 1)
        >>> result = dc.DeepCut().cluster(features)
        >>> [[ring.tolist() for ring in polygon] for polygon in result.polygons()]
        [[[[3.0, 2.0], [6.0, 2.0], [6.0, 4.0], [3.0, 4.0]]]]
        """
        objects = self.objects(simplify=simplify)
        known = [item["label"] for item in objects]
        if label is not None and label not in known:
            raise ValueError(f"no region of the foreground has label {label!r}; there are {known}")
        return [polygon for item in objects if label in (None, item["label"]) for polygon in item["polygons"]]

    def to_coco(
        self,
        *,
        name: str | None = None,
        image_id: int = 1,
        annotation_id: int = 1,
        label: str | None = None,
        labels: Sequence[str] = (),
        simplify: float = 0.0,
        coco_masks: str = "auto",
    ) -> dict[str, Any]:
        """The regions of the foreground as a data set of COCO with one image.

        Parameters
        ----------
        name : str, optional
            File name of the image. Default: the path it was read from.
        image_id, annotation_id : int
            Number of the image, and of its first annotation.
        label, labels, simplify
            See `objects`.
        coco_masks : {'auto', 'polygon', 'rle', 'rle-list'}
            How masks are written; 'auto' writes polygons, and run lengths for masks with holes.

        Returns
        -------
        dict
            ``info``, ``licenses``, ``images``, ``annotations`` (with ``score``), ``categories``, ready for `json.dump` and pycocotools.

        Examples
        --------
        >>> import deepcut_vision as dc
        >>> coco = dc.segment("examples/pictures/mug.jpg").to_coco(label="mug", image_id=7)
        >>> coco["images"][0]["file_name"], coco["categories"][0]["name"], coco["annotations"][0]["image_id"]
        ('mug.jpg', 'mug', 7)
        """
        files = self.to_files("coco", name=name, label=label, labels=labels, simplify=simplify, coco_masks=coco_masks)
        coco: dict[str, Any] = json.loads(files["annotations.json"])
        for image in coco["images"]:
            image["id"] = image_id
        for number, annotation in enumerate(coco["annotations"], annotation_id):
            annotation["id"], annotation["image_id"] = number, image_id
        return coco

    def overlay(self, image: ImageLike | None = None) -> NDArray[np.uint8]:
        """The image under the colors of its labels, as the command draws it.

        Parameters
        ----------
        image : path, bytes, array or PIL image, optional
            The image, if the result has none, as that of features from elsewhere.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8

        Raises
        ------
        ValueError
            If there is no image, or it has another size.
        """
        return _rgb(self._found.png("overlay", self._source(image)))

    def cutout(self, image: ImageLike | None = None) -> NDArray[np.uint8]:
        """The image in its own colors, transparent outside the foreground.

        Parameters
        ----------
        image : path, bytes, array or PIL image, optional
            See `overlay`.

        Returns
        -------
        ndarray of shape (height, width, 4), uint8

        Raises
        ------
        ValueError
            If there is no image, or it has another size.
        """
        pixels: NDArray[np.uint8] = _deepcut.Image.decode(self._found.png("cutout", self._source(image))).rgba()
        return pixels

    def _source(self, image: ImageLike | None = None) -> _images.Pixels:
        pixels = self._pixels if image is None else _images.load(image).pixels
        if pixels is None:
            raise ValueError("the result has no image, as its features came without one; pass it: image=...")
        if _images.size_of(pixels) != self.shape:
            raise ValueError(f"the image has {_images.size_of(pixels)} pixels, the result {self.shape}")
        return pixels

    def report(self) -> dict[str, Any]:
        """All that the command's ``--json`` says of an image: boxes, areas, confidence, options, network, times.

        Returns
        -------
        dict
            Ready for `json.dump`; the command's guide explains every field.
        """
        report: dict[str, Any] = self._found.report(self.name or "image", self._pixels)
        return report

    def to_files(self, format: str, *, name: str | None = None, **options: Any) -> dict[str, bytes]:
        """The files of a format, in memory.

        Parameters
        ----------
        format : str
            'mask', 'labels', 'overlay', 'cutout' (PNG), 'json', or a format of annotation tools: 'coco', 'yolo', 'voc', 'labelme',
            'x-anylabeling', 'cvat', 'label-studio', 'geojson', 'npz', 'npy'.
        name : str, optional
            File name of the image. Default: the path it was read from, or 'image.png'.
        **options
            For annotation tools: ``label``, ``labels``, ``paths`` ('relative', 'absolute' or 'name'), ``simplify``, ``coco_masks``,
            ``shapes`` ('auto', 'polygon' or 'mask'); see `objects` and `segment_folder`.

        Returns
        -------
        dict
            File names, as the command would give them in its output folder, and the files' bytes.

        Raises
        ------
        ValueError
            If there is no such format, or it needs an image and there is none.

        Examples
        --------
        >>> import deepcut_vision as dc
        >>> result = dc.segment("examples/pictures/mug.jpg")
        >>> list(result.to_files("yolo", label="mug"))
        ['data.yaml', 'labels/mug.txt']
        """
        name = self._file_name(name)
        stem = os.path.splitext(os.path.basename(name))[0]
        if format in _PICTURES or format == "json":
            if options:
                raise TypeError(f"the format {format!r} has no option {next(iter(options))!r}")
            if format == "json":
                return {f"{stem}.json": (json.dumps(self.report(), indent=2, ensure_ascii=False) + "\n").encode()}
            image = self._source() if format in ("overlay", "cutout") else None
            return {f"{stem}.{_PICTURES[format]}": self._found.png(format, image)}
        check_names("to_files", options, _ANNOTATION_OPTIONS)
        given = {key: value for key, value in options.items() if value is not None}
        if "labels" in given:
            given["labels"] = list(given["labels"])
        return dict(sorted(self._found.annotate(format, name, **given).items()))

    def _file_name(self, name: str | None) -> str:
        if name is None:
            # Relative to the image's folder, as the command names it.
            return os.path.basename(self.name) if self.name else "image.png"
        return name

    def save(
        self, path: str | os.PathLike[str], formats: str | Iterable[str] | None = None, *, name: str | None = None, **options: Any
    ) -> list[str]:
        """Write result files; existing ones are replaced.

        Parameters
        ----------
        path : str or os.PathLike
            A folder, created if missing; or the name of one file, which ends in .png, .json, .geojson, .npz or .npy.
        formats : str or iterable of str, optional
            See `to_files`. Default: what the file's name says, where .png is the mask of one object and else the labels; for a folder
            'mask' and 'overlay' of one object, else 'labels' and 'overlay'.
        name : str, optional
            See `to_files`.
        **options
            See `to_files`.

        Returns
        -------
        list of str
            The files written. Each is written whole or not at all.

        Raises
        ------
        ValueError
            If there is no such format, or it makes several files and `path` is one.
        OSError
            If a file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> import deepcut_vision as dc
        >>> result = dc.segment("examples/pictures/mug.jpg")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [os.path.basename(path) for path in result.save(folder, ["cutout", "json"])]
        ['mug.cutout.png', 'mug.json']
        """
        path = os.fspath(path)
        extension = os.path.splitext(path)[1].lower()
        chosen = [formats] if isinstance(formats, str) else None if formats is None else list(formats)
        single = not os.path.isdir(path) and extension in (".png", *_BY_EXTENSION)
        if not single and not os.path.isdir(path) and extension in (".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"):
            raise ValueError(f"{path}: results are PNG files, since others would change labels; end the name in .png")
        if chosen is None:
            usual = [format for format in self._options.usual_formats() if format != "overlay" or self._pixels is not None]
            chosen = [_BY_EXTENSION.get(extension, usual[0])] if single else usual
        files: dict[str, bytes] = {}
        for format in chosen:
            takes = options if format not in _PICTURES and format != "json" else {}
            files.update(self.to_files(format, name=name, **takes))
        if single:
            if len(files) != 1:
                raise ValueError(f"{' and '.join(chosen)} are {len(files)} files; give a folder instead of {path}")
            targets = {path: next(iter(files.values()))}
        else:
            targets = {os.path.join(path, file): data for file, data in files.items()}
        for target, content in targets.items():
            _write(target, content)
        return list(targets)

    def plot(self, ax: Axes | None = None, *, image: ImageLike | None = None) -> Axes:
        """Draw the overlay with matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw. Default: the current axes.
        image : path, bytes, array or PIL image, optional
            See `overlay`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.gca()
        ax.imshow(self._picture(image))
        ax.set_axis_off()
        title = f"confidence {self.confidence:.2f}" if self.has_object else "no object"
        # A $ would begin a formula.
        name = os.path.basename(self.name).replace("$", r"\$") if self.name else None
        ax.set_title(f"{name}: {title}" if name else title)
        return ax

    def _picture(self, image: ImageLike | None = None) -> NDArray[np.uint8]:
        """The overlay, or without an image the colors of the labels."""
        if image is None and self._pixels is None:
            return _rgb(self._found.png("labels"))
        return self.overlay(image)

    def _repr_png_(self) -> bytes:
        """The overlay for notebooks, at most 640 pixels wide and high."""
        if max(self.shape) <= _NOTEBOOK_SIDE:
            return self._found.png("labels" if self._pixels is None else "overlay", self._pixels)
        return _png.encode(_png.shrink(self._picture(), _NOTEBOOK_SIDE))

    def _repr_html_(self) -> str:
        """The overlay and a table for notebooks."""
        height, width = self.shape
        head = (
            "<tr>"
            + "".join(f"<th>{title}</th>" for title in ("", "label", "kind", "score", "area", "box (x, y, w, h)"))
            + "</tr>"
        )
        palette = _palette(self._found.png("labels"))
        rows = [_row(region, height * width, palette[region.label]) for region in self.regions[:_NOTEBOOK_ROWS]]
        more = len(self.regions) - len(rows)
        rows += [f'<tr><td colspan="6">and {more} more</td></tr>'] if more > 0 else []
        name = f"<b>{html.escape(self.name)}</b>, " if self.name else ""
        found = f"confidence {self.confidence:.2f}" if self.has_object else "no object"
        picture = base64.b64encode(self._repr_png_()).decode()
        return (
            f"<div><div>{name}{height} × {width} pixels, {found}</div>"
            f'<img alt="the image under the colors of its labels" style="max-width: 100%" src="data:image/png;base64,{picture}">'
            f"<table>{head}{''.join(rows)}</table></div>"
        )

    def __getstate__(self) -> dict[str, Any]:
        # What the labels say already.
        return {**self.__dict__, "_mask": None, "_regions": None}

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        foreground = sum(region.is_foreground for region in self.regions)
        return (
            f"<Result {name}{self.shape[0]} × {self.shape[1]}, {self.mode}: {foreground} found, confidence {self.confidence:.2f}>"
        )


def _rgb(png: bytes) -> NDArray[np.uint8]:
    """The colors of a PNG file."""
    pixels: NDArray[np.uint8] = _deepcut.Image.decode(png).rgb()
    return pixels


def _region(fields: Mapping[str, Any]) -> Region:
    top, left, height, width = fields["bounds"]
    known = {name: fields[name] for name in ("label", "kind", "part_of", "score", "area")}
    return Region(**known, top=top, left=left, height=height, width=width)


def _palette(png: bytes) -> list[tuple[int, int, int]]:
    """The colors of a palette PNG, by label."""
    at = png.index(b"PLTE")
    colors = png[at + 4 : at + 4 + int.from_bytes(png[at - 4 : at], "big")]
    return list(zip(colors[::3], colors[1::3], colors[2::3], strict=True))


def _row(region: Region, pixels: int, color: tuple[int, int, int]) -> str:
    """A region as a row of the table in a notebook. Overlays leave label 0 in its own colors."""
    swatch = (
        f'<span style="display: inline-block; width: 1em; height: 1em; background: rgb{color}"></span>' if region.label else ""
    )
    box = ", ".join(map(str, region.bbox))
    cells = (swatch, region.label, html.escape(region.kind), f"{region.score:.2f}", f"{region.area / pixels:.1%}", box)
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _write(path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
