"""The output of a distributed job: a folder of Parquet files, each written whole or not at all.

A part holds the rows of some images; its name comes from theirs, so that a batch that runs twice, because its machine died or seemed to,
writes one part. What is done is read from the parts alone. Several machines write to one folder, which all of them see.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ._rows import row_schema

# Where parts lie below the output folder.
FOLDER = "parts"
_SETTINGS = b"deepcut"
_TEMPORARY = ".part"


class OtherSettings(ValueError):
    """The output holds parts that were made with other settings."""


def part_schema(*, labels_png: bool) -> pa.Schema:
    """Columns of a part: the image's name, its row, and the time of its file, in nanoseconds since 1970, by which a change is noticed."""
    return pa.schema([("name", pa.string()), *row_schema(labels_png=labels_png), ("modified", pa.int64())])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is."""

    part: str
    row: int
    error: str | None
    modified: int | None


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when it is complete and on the disk, or not at all."""
    temporary = path.with_name(f"{_TEMPORARY}-{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class Parts:
    """The parts of an output folder.

    Parameters
    ----------
    output : path
        The output folder; made if it is missing.
    settings : dict
        All that results depend on beside their images.
    labels_png : bool
        Whether rows have label images.
    """

    def __init__(self, output: str | os.PathLike[str], settings: Mapping[str, Any], *, labels_png: bool) -> None:
        self.output = Path(output)
        self.folder = self.output / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self._settings = json.dumps({**settings, "labels_png": labels_png}, sort_keys=True).encode()
        self.schema = part_schema(labels_png=labels_png).with_metadata({_SETTINGS: self._settings})

    def path(self, names: Sequence[str]) -> Path:
        """The part of these images."""
        digest = hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()
        return self.folder / f"part-{digest[:32]}.parquet"

    def write(self, path: Path, rows: list[dict[str, Any]]) -> None:
        """Write a part."""
        table = pa.Table.from_pylist(rows, schema=self.schema)
        with whole_file(path) as file:
            pq.write_table(table, file, compression="zstd")

    def clear(self) -> None:
        """Remove every part."""
        for path in self._paths():
            path.unlink()

    def sweep(self) -> None:
        """Remove what machines that died left half-written. Not while a job runs."""
        for folder in (self.output, self.folder):
            for path in folder.glob(f"{_TEMPORARY}-*"):
                path.unlink(missing_ok=True)

    def places(self) -> dict[str, Place]:
        """Where the row of each image is; the first one if parts overlap.

        Raises
        ------
        OtherSettings
            If a part was made with other settings.
        OSError
            If a part cannot be read.
        """
        found: dict[str, Place] = {}
        for path in self._paths():
            for at, row in enumerate(self.marks(path)):
                found.setdefault(row["name"], Place(path.name, at, row["error"], row["modified"]))
        return found

    def marks(self, path: Path) -> list[dict[str, Any]]:
        """Name, error and time of each row of a part.

        Raises
        ------
        OtherSettings
            If it was made with other settings.
        OSError
            If it cannot be read.
        """
        try:
            with pq.ParquetFile(path) as file:
                if (file.schema_arrow.metadata or {}).get(_SETTINGS) != self._settings:
                    raise OtherSettings(f"{path} was made with other settings; pass --overwrite, or another output folder")
                rows: list[dict[str, Any]] = file.read(columns=["name", "error", "modified"]).to_pylist()
                return rows
        except (pa.ArrowException, KeyError) as error:
            raise OSError(f"{path} is damaged: {error}; remove it to make its rows again") from error

    def keep(self, wanted: Mapping[str, Place]) -> None:
        """Drop every row but these, so that no image has two and those dropped can be made again."""
        rows: dict[str, set[int]] = {}
        for place in wanted.values():
            rows.setdefault(place.part, set()).add(place.row)
        for path in self._paths():
            keep = sorted(rows.get(path.name, ()))
            if not keep:
                path.unlink()
            elif len(keep) < pq.read_metadata(path).num_rows:
                table = pq.read_table(path)
                with whole_file(path) as file:
                    pq.write_table(table.take(keep), file, compression="zstd")

    def rows(self, names: Sequence[str], places: Mapping[str, Place], columns: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Rows in the order of the names, of a few parts at a time."""
        loaded: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        for name in names:
            place = places.get(name)
            if place is None:
                continue
            if place.part not in loaded:
                loaded[place.part] = pq.read_table(self.folder / place.part, columns=columns).to_pylist()
                if len(loaded) > 16:
                    loaded.popitem(last=False)
            loaded.move_to_end(place.part)
            yield name, loaded[place.part][place.row]

    def count(self) -> int:
        """How many parts there are."""
        return len(self._paths())

    def size(self) -> int:
        """Bytes of all parts."""
        return sum(path.stat().st_size for path in self._paths())

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))


def write_coco(
    parts: Parts,
    names: Sequence[str],
    places: Mapping[str, Place],
    *,
    model: str,
    version: str,
    label: str | None = None,
    labels: Sequence[str] = (),
) -> list[Path]:
    """Write `annotations.json` and `results.json`, as `deepcut segment --format coco --coco-masks rle` does.

    Images without a result are left out. Rows are streamed from the parts.
    """
    paths = [parts.output / "annotations.json", parts.output / "results.json"]
    columns = ["height", "width", "objects", "error"]
    kind, classes, image, number = "object", 1, 0, 0
    with whole_file(paths[0]) as annotations, whole_file(paths[1]) as results, _spool(parts.output) as spool:
        info = _line({"description": model, "version": version})
        annotations.write(f'{{"info": {info},\n"licenses": [],\n"images": ['.encode())
        results.write(b"[")
        for name, row in parts.rows(names, places, columns):
            if row["error"] is not None:
                continue
            image += 1
            item = {"file_name": name, "height": row["height"], "id": image, "width": row["width"]}
            annotations.write(_separator(image) + _line(item).encode())
            for found in row["objects"]:
                number += 1
                kind = found["kind"]
                category = 1 if kind == "object" else found["label"]
                classes = max(classes, category)
                score = _score(found["score"])
                mask = _line({"counts": found["rle"], "size": [row["height"], row["width"]]})
                owner = "" if found["part_of"] is None else f'"part_of":{found["part_of"]},'
                spool.write(
                    _separator(number)
                    + f'{{"area":{found["area"]},"bbox":{_line(found["bbox"])},"category_id":{category},"id":{number},"image_id":{image},'
                    f'"iscrowd":0,{owner}"score":{score},"segmentation":{mask}}}'.encode()
                )
                results.write(
                    _separator(number)
                    + f'{{"category_id":{category},"image_id":{image},"score":{score},"segmentation":{mask}}}'.encode()
                )
        annotations.write(b'\n],\n"annotations": [')
        spool.seek(0)
        while block := spool.read(1 << 20):
            annotations.write(block)
        # A list of names is of parts or clusters; there is one class of objects.
        classes = 1 if kind == "object" else max(classes, len(labels))
        named = [{"id": at, "name": _class_name(kind, at, label, labels), "supercategory": ""} for at in range(1, classes + 1)]
        annotations.write(f'\n],\n"categories": {_line(named)}}}\n'.encode())
        results.write(b"\n]\n")
    return paths


@contextmanager
def _spool(folder: Path) -> Iterator[IO[bytes]]:
    path = folder / f"{_TEMPORARY}-{uuid.uuid4().hex}"
    try:
        with open(path, "x+b") as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


def _separator(number: int) -> bytes:
    return b"\n" if number == 1 else b",\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _score(score: float) -> str:
    """Six digits, in the fewest characters that say so, as the command writes them."""
    scaled = score * 1e6
    millionths = math.floor(scaled)
    millionths += scaled - millionths >= 0.5
    if 0 < millionths < 10:
        return f"{millionths}e-6"
    whole, rest = divmod(millionths, 10**6)
    return f"{whole}.{f'{rest:06}'.rstrip('0') or '0'}"


def _class_name(kind: str, number: int, label: str | None, labels: Sequence[str]) -> str:
    listed = labels[number - 1] if number <= len(labels) else None
    if kind in ("part", "cluster"):
        return listed or f"{kind} {number}"
    return label or listed or "object"
