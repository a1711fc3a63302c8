"""Segmentation on Ray Data: a class for `map_batches`, and a whole job.

>>> import ray
>>> from deepcut_vision.ray import Segment
>>> images = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)               # doctest: +SKIP
>>> rows = images.map_batches(Segment, fn_constructor_kwargs={"mode": "objects"}, batch_size=16, num_cpus=1,
...                           compute=ray.data.ActorPoolStrategy(size=8))                        # doctest: +SKIP
>>> rows.write_parquet("s3://bucket/objects")                                                   # doctest: +SKIP

``python -m deepcut_vision.ray INPUT OUTPUT`` runs a folder, a glob pattern or Parquet files through such actors, and can be stopped and
continued: see ``--help``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

try:
    import pyarrow as pa
    import ray
    import ray.data
except ImportError as error:
    raise ImportError('deepcut_vision.ray needs Ray Data: pip install "deepcut-vision[ray]"') from error

from ._inputs import image_column
from ._rows import Rows

if TYPE_CHECKING:
    import numpy as np
    import pandas

    Batch = Union[Mapping[str, np.ndarray[Any, Any]], pa.Table, pandas.DataFrame]

__all__ = ["Segment"]


class Segment:
    """Segments the batches of `ray.data.Dataset.map_batches`; the network is loaded once in each actor.

    Parameters
    ----------
    column : str, optional
        The column of images: bytes of files, paths, arrays (H, W, 3), (H, W, 4), (H, W, 1) or (H, W) uint8, or structs of Hugging Face's
        datasets. Default: the first of `bytes`, `image`, `path` that there is.
    threads : int, optional
        Images segmented at a time. Default: the CPUs of the actor (`num_cpus` of `map_batches`).
    labels_png : bool
        Add the column `labels_png`, the label image.
    **options
        Parameters of `deepcut_vision.DeepCut`.

    Raises
    ------
    ValueError, TypeError
        If an option is not valid.
    OSError
        If the network cannot be loaded.

    Notes
    -----
    Batches of every `batch_format` are taken, read-only ones too. The result is a `pyarrow.Table`: the columns of the batch except the images
    (paths stay) and those of the result's names, then `height`, `width`, `object`, `confidence`, `objects`, `labels_png` if asked for, and
    `error`. An image that cannot be segmented is a row with its `error`; the other columns of its result are null.
    """

    def __init__(self, column: str | None = None, *, threads: int | None = None, labels_png: bool = False, **options: Any) -> None:
        self._column = column
        threads = assigned_threads() if threads is None else threads
        self._rows = Rows(threads=threads, labels_png=labels_png, **with_memory(options, threads))

    def __call__(self, batch: Batch) -> pa.Table:
        """Segment a batch.

        Raises
        ------
        ValueError
            If it has no column of images.
        """
        names = list(batch.column_names if isinstance(batch, pa.Table) else batch.keys())
        column = image_column(names, self._column)
        images = batch[column]
        found = self._rows.table(map(_plain, images))
        first = next((value for value in map(_plain, images) if value is not None), None)
        kept = [name for name in names if name not in found.column_names and (name != column or isinstance(first, str))]
        if not kept:
            return found
        rest = _table(batch, kept)
        return pa.table([*rest.columns, *found.columns], schema=pa.schema([*rest.schema, *found.schema]))


def assigned_threads() -> int:
    """The whole CPUs that Ray assigned to this actor, at least one."""
    if not ray.is_initialized() or ray.get_runtime_context().get_actor_id() is None:
        return 1
    resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()
    return max(1, int(resources.get("CPU", 1)))


def with_memory(options: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """Options with a limit of memory: this actor's share of its node's, as every actor would take what is free for its own."""
    if options.get("max_memory") is None and ray.is_initialized():
        here = ray.get_runtime_context().get_node_id()
        resources: dict[str, float] = next((node["Resources"] for node in ray.nodes() if node["NodeID"] == here), {})
        if resources.get("memory") and resources.get("CPU"):
            share = resources["memory"] * min(1.0, threads / resources["CPU"])
            return {**options, "max_memory": int(share)}
    return dict(options)


def _plain(value: Any) -> Any:
    return value.as_py() if isinstance(value, pa.Scalar) else value


def _table(batch: Batch, names: list[str]) -> pa.Table:
    """Columns of a batch of any format."""
    table: pa.Table
    if isinstance(batch, pa.Table):
        table = batch.select(names)
        return table
    block = ray.data.block.BlockAccessor.batch_to_block({name: batch[name] for name in names} if isinstance(batch, Mapping) else batch[names])
    table = ray.data.block.BlockAccessor.for_block(block).to_arrow()
    return table


if __name__ == "__main__":
    # Actors import their class from the module by its own name.
    from deepcut_vision._ray_command import main

    sys.exit(main())
