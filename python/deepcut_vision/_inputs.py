"""What a distributed job works on: a list of images by name, and batches of them that say where they are read from."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import _deepcut

_IMAGES = ("bytes", "image", "path")
_NAMES = ("name", "path", "file_name")


class InputError(ValueError):
    """The input names no images, or not clearly which."""


@dataclass(frozen=True, slots=True)
class Input:
    """An image. `source` is its file, or a Parquet file where it is in row `row` of row group `group`."""

    name: str
    source: str
    group: int | None = None
    row: int | None = None
    modified: int | None = None


def collect(argument: str, *, column: str | None = None, name_column: str | None = None) -> tuple[list[Input], list[tuple[str, str]], list[str]]:
    """The images of a folder, a glob pattern, or Parquet files.

    Pictures are those that the command takes, in its order and under its names. Rows of Parquet files have the name in their name column, or
    `FILE#ROW`.

    Returns
    -------
    inputs : list of Input
        In order; names are unique.
    missing : list of (name, message)
        What cannot be read.
    notes : list of str
        What was left out.

    Raises
    ------
    InputError
        If there is nothing, pictures and Parquet files are mixed, or two images have one name.
    """
    tables = _tables(argument)
    if tables:
        folder = argument if os.path.isdir(argument) else os.path.commonpath([os.path.dirname(path) for path in tables])
        inputs = [item for path in tables for item in _table(path, os.path.relpath(path, folder), column, name_column)]
        missing, notes = [], []
    else:
        if column is not None or name_column is not None:
            raise InputError(f"{argument}: columns are of Parquet files, and here are none")
        found = _deepcut.collect([argument])
        inputs = [Input(name, os.fspath(path), modified=_modified(path)) for path, name in found["images"]]
        missing = list(found["missing"])
        notes = [f"left out: {count} {what} ({remedy})" for what, remedy, count in found["left_out"]]
    if not inputs and not missing:
        raise InputError(f"{argument}: there are no images")
    seen: dict[str, Input] = {}
    for item in inputs:
        other = seen.setdefault(item.name, item)
        if other is not item:
            raise InputError(f"two images are named {item.name}: {_where(other)} and {_where(item)}")
    return inputs, missing, notes


def batches(inputs: Sequence[Input], size: int) -> Iterator[list[Input]]:
    """Inputs in order, at most `size` at a time, none of two row groups."""
    batch: list[Input] = []
    for item in inputs:
        together = batch and item.group == batch[0].group and (item.group is None or item.source == batch[0].source)
        if batch and (not together or len(batch) == size):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def read(batch: Sequence[Input], column: str | None) -> Iterator[Any]:
    """The images of a batch: paths, or the values of their column, a few rows in memory at a time."""
    if batch[0].group is None:
        yield from (item.source for item in batch)
        return
    wanted = {item.row for item in batch if item.row is not None}
    last = max(wanted)
    with pq.ParquetFile(batch[0].source, buffer_size=1 << 20, pre_buffer=False) as file:
        column = image_column(file.schema_arrow.names, column)
        at = 0
        for part in file.iter_batches(batch_size=16, row_groups=[batch[0].group], columns=[column]):
            values = part.column(0)
            for value in values:
                if at in wanted:
                    yield value.as_py()
                at += 1
            if at > last:
                return


def image_column(names: Sequence[str], column: str | None) -> str:
    """The column of images: the one named, or the first that is named as one.

    Raises
    ------
    InputError
        If there is no such column.
    """
    for name in (column,) if column is not None else _IMAGES:
        if name in names:
            return name
    expected = column if column is not None else "one of " + ", ".join(_IMAGES)
    raise InputError(f"there is no column {expected}; the columns are {', '.join(names)}")


def _tables(argument: str) -> list[str]:
    if os.path.isdir(argument):
        inside = (os.path.join(folder, name) for folder, _, names in os.walk(argument, followlinks=True) for name in names)
        return sorted(path for path in inside if path.lower().endswith(".parquet") and not os.path.basename(path).startswith((".", "_")))
    if argument.lower().endswith(".parquet"):
        found = [argument] if os.path.exists(argument) else sorted(glob.glob(argument, recursive=True))
        if not found:
            raise InputError(f"{argument}: there is no such file")
        return found
    return []


def _table(path: str, short: str, column: str | None, name_column: str | None) -> Iterator[Input]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            images = image_column(schema.names, column)
            if name_column is not None and name_column not in schema.names:
                raise InputError(f"there is no column {name_column}; the columns are {', '.join(schema.names)}")
            usual = (name for name in _NAMES if name in schema.names and _is_text(schema.field(name).type))
            names = name_column or next(usual, None)
            if names is None and pa.types.is_struct(schema.field(images).type):
                struct = schema.field(images).type
                names = f"{images}.path" if struct.get_field_index("path") >= 0 else None
            row_in_file = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                given = file.read_row_group(group, columns=[names]).column(0).to_pylist() if names else [None] * count
                for row, name in enumerate(given):
                    name = name["path"] if isinstance(name, dict) else name
                    text = f"{short}#{row_in_file}" if name is None else str(name)
                    yield Input(text, path, group, row)
                    row_in_file += 1
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _modified(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _where(item: Input) -> str:
    return item.source if item.row is None else f"row {item.row} of row group {item.group} of {item.source}"
