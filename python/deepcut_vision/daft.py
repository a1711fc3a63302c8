"""Segmentation in Daft: a class whose instances are functions of a column of images.

>>> import daft
>>> from deepcut_vision.daft import Segment
>>> segment = Segment(mode="objects")
>>> images = daft.from_glob_path("examples/pictures/*.jpg")
>>> found = images.select("path", segment(images["path"]).unnest())
>>> found.column_names
['path', 'height', 'width', 'object', 'confidence', 'objects', 'labels_png', 'error']
"""

from __future__ import annotations

from typing import Any

try:
    import daft
    import pyarrow as pa
except ImportError as error:
    raise ImportError('deepcut_vision.daft needs Daft: pip install "deepcut-vision[daft]"') from error

from ._rows import Rows, row_schema

__all__ = ["Segment"]

_RETURNED = pa.struct(list(row_schema(labels_png=True)))


@daft.cls
class Segment:
    """Segments a column of images; the network is loaded once in each process.

    Parameters
    ----------
    labels_png : bool
        Fill the field `labels_png`, the label image.
    threads : int
        Images of a batch segmented at a time. Daft gives batches to as many threads as there are CPUs, so that 1 uses them all.
    **options
        Parameters of `deepcut_vision.DeepCut`.

    Raises
    ------
    ValueError, TypeError
        When the query runs, if an option is not valid.
    OSError
        When the query runs, if the network cannot be loaded.

    Notes
    -----
    Called with a column of bytes, paths or images, it is a struct of `height`, `width`, `object`, `confidence`, `objects`, `labels_png` and
    `error`; ``.unnest()`` makes columns of them. An image that cannot be segmented has an `error`, and null in the other fields.
    """

    def __init__(self, *, labels_png: bool = False, threads: int = 1, **options: Any) -> None:
        self._rows = Rows(threads=threads, labels_png=labels_png, **options)

    @daft.method.batch(return_dtype=daft.DataType.from_arrow_type(_RETURNED), batch_size=16)
    def __call__(self, images: daft.Series) -> pa.Array[Any]:
        """Segment a batch."""
        return pa.array(self._rows.rows(images), type=_RETURNED)
