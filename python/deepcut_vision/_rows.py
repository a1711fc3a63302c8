"""Rows of tables: an image in, its objects out. What the modules `ray` and `daft` share.

One row in is an image in any form that `deepcut_vision.segment` takes: the bytes of a file, a path, an array. One row out is `row_schema`:

=============  ==========================================================================================
column         content
=============  ==========================================================================================
`height`       height of the upright image, in pixels
`width`        its width
`object`       whether there is an object
`confidence`   0 to 1
`objects`      the foreground's regions, the surest first; see `OBJECT`
`labels_png`   if asked for: palette PNG whose indices are the labels, 0 is background
`error`        why there is no result, or null. A row has either an error or all the others
=============  ==========================================================================================
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# An object, a part or a cluster.
OBJECT = pa.struct(
    [
        ("label", pa.uint8()),  # its value in the label image
        ("kind", pa.string()),  # "object", "part" or "cluster"
        ("part_of", pa.uint8()),  # for parts: the number of their object
        ("score", pa.float32()),  # 0 to 1
        ("area", pa.int64()),  # in pixels
        ("bbox", pa.list_(pa.int32())),  # [x, y, width, height] in pixels, as in COCO
        ("rle", pa.string()),  # the mask: COCO's compressed run lengths, of an image of `height` and `width`
    ]
)


def row_schema(*, labels_png: bool) -> pa.Schema:
    """The columns of a result."""
    fields: list[tuple[str, pa.DataType]] = [
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("object", pa.bool_()),
        ("confidence", pa.float32()),
        ("objects", pa.list_(OBJECT)),
        ("labels_png", pa.binary()),
        ("error", pa.string()),
    ]
    return pa.schema([field for field in fields if labels_png or field[0] != "labels_png"])


class Rows:
    """A loaded model that makes rows, several images at a time.

    Parameters
    ----------
    threads : int
        Images segmented at a time, each on one thread.
    labels_png : bool
        Add the column `labels_png`.
    **options
        Parameters of `deepcut_vision.DeepCut`.

    Raises
    ------
    ValueError, TypeError
        If an option is not valid.
    OSError
        If the network cannot be loaded.
    """

    def __init__(self, *, threads: int = 1, labels_png: bool = False, **options: Any) -> None:
        import numpy as np

        import deepcut_vision

        if threads < 1:
            raise ValueError(f"threads is {threads}; expected at least 1")
        self.schema = row_schema(labels_png=labels_png)
        self._labels_png = labels_png
        self._model = deepcut_vision.DeepCut(**options, threads=1)
        self._threads = threads
        # What is wrong with the options or the network is an error of the job, found here, and not one of every row.
        self.probe = self._model.segment(np.zeros((16, 16, 3), np.uint8))

    def table(self, images: Iterable[Any]) -> pa.Table:
        """Segment images; an image that fails is a row with its error."""
        return pa.Table.from_pylist(list(self.rows(images)), schema=self.schema)

    def rows(self, images: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Rows in the order of the images."""
        if self._threads == 1:
            yield from map(self.row, images)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(self.row, images)

    def row(self, image: Any) -> dict[str, Any]:
        """Segment one image."""
        try:
            result = self._model.segment(_readable(image))
            row = {
                "height": result.shape[0],
                "width": result.shape[1],
                "object": result.has_object,
                "confidence": result.confidence,
                "objects": [_object(found) for found in result._found.objects(polygons=False)],
                "error": None,
            }
            if self._labels_png:
                row["labels_png"] = result._found.png("labels")
        except Exception as error:
            message = str(error) or type(error).__name__
            # Names of files may hold what no UTF-8 can.
            return {"error": message.encode("utf-8", "backslashreplace").decode()}
        return row


def _object(found: dict[str, Any]) -> dict[str, Any]:
    row = {name: found[name] for name in ("label", "kind", "part_of", "score", "area", "rle")}
    return {**row, "bbox": list(found["bbox"])}


def _readable(image: Any) -> Any:
    """An image as `DeepCut.segment` takes it: from the forms that only tables have."""
    if isinstance(image, dict):
        # Hugging Face's `Image` columns: bytes, or a path to them.
        given = [image[name] for name in ("bytes", "path") if image.get(name) is not None]
        if not given:
            raise TypeError("expected an image, got a struct without bytes or path")
        image = given[0]
    if image is None:
        raise TypeError("expected an image, got null")
    if isinstance(image, str) and "://" in image:
        if not image.startswith("file://"):
            raise ValueError(f"{image} is no local path: load its bytes into a column and pass that")
        return image.removeprefix("file://")
    return image
