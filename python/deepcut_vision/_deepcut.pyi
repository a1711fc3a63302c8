"""The extension's types. `tests/test_typing.py` compares names and arguments with the extension itself."""

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

__version__: str

class WeightsNotFound(OSError): ...
class ImageError(OSError): ...

class Image:
    @staticmethod
    def open(path: str, *, max_pixels: int | None = None, keep_damaged: bool = False) -> Image: ...
    @staticmethod
    def decode(data: bytes, *, max_pixels: int | None = None, keep_damaged: bool = False) -> Image: ...
    @staticmethod
    def from_rgba(rgba: NDArray[np.uint8]) -> Image: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def damage(self) -> str | None: ...
    def rgb(self) -> NDArray[np.uint8]: ...
    def rgba(self) -> NDArray[np.uint8]: ...

class Options:
    def __new__(cls, profile: str, values: dict[str, Any]) -> Options: ...
    @staticmethod
    def names() -> list[str]: ...
    def flat(self) -> dict[str, Any]: ...
    def without_effect(self) -> list[tuple[str, str]]: ...
    def usual_formats(self) -> list[str]: ...

class Engine:
    def __new__(
        cls,
        backbone: str = "embedded",
        *,
        facet: str | None = None,
        layer: int | None = None,
        stride: int | None = None,
        family: str | None = None,
        heads: int | None = None,
        prefix: str | None = None,
        precision: str = "auto",
        deterministic: bool = False,
        offline: bool = False,
        threads: int | None = None,
        spin: bool = False,
        max_memory: str | None = None,
        progress: bool = False,
    ) -> Engine: ...
    @property
    def identity(self) -> dict[str, Any]: ...
    @property
    def threads(self) -> int: ...
    @property
    def instruction_set(self) -> str: ...
    def segment(self, image: NDArray[np.uint8] | Image, options: Options) -> Found: ...
    def features(
        self, image: NDArray[np.uint8] | Image, options: Options
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None, bool]: ...
    def cluster(
        self,
        features: NDArray[np.float32],
        objectness: NDArray[np.float32] | None,
        colors: NDArray[np.float32] | None,
        constant: bool,
        options: Options,
        image: NDArray[np.uint8] | Image | None = None,
        size: tuple[int, int] | None = None,
    ) -> Found: ...

class _Region(TypedDict):
    label: int
    kind: str
    part_of: int | None
    score: float
    area: int
    bounds: tuple[int, int, int, int]

class Found:
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def confidence(self) -> float: ...
    @property
    def grid(self) -> tuple[int, int]: ...
    @property
    def has_object(self) -> bool: ...
    @property
    def mode(self) -> str: ...
    @property
    def seconds(self) -> dict[str, float]: ...
    @property
    def labels(self) -> NDArray[np.uint8]: ...
    def mask(self) -> NDArray[np.bool_]: ...
    def regions(self) -> list[_Region]: ...
    def objects(
        self, *, label: str | None = None, labels: Sequence[str] = ..., simplify: float = 0.0, polygons: bool = True
    ) -> list[dict[str, Any]]: ...
    def png(self, kind: str, image: NDArray[np.uint8] | Image | None = None) -> bytes: ...
    def annotate(
        self,
        format: str,
        name: str,
        *,
        label: str | None = None,
        labels: Sequence[str] = ...,
        simplify: float = 0.0,
        paths: str = "relative",
        coco_masks: str = "auto",
        shapes: str = "auto",
    ) -> dict[str, bytes]: ...
    def report(self, name: str, image: NDArray[np.uint8] | Image | None = None) -> dict[str, Any]: ...
    @staticmethod
    def restore(labels: NDArray[np.uint8], state: str) -> Found: ...

def segment_folder(
    engine: Engine,
    options: Options,
    inputs: Sequence[str],
    output: str,
    *,
    formats: Sequence[str],
    overwrite: bool = False,
    checksum: bool = False,
    threads: int | None = None,
    max_pixels: int | None = None,
    keep_damaged: bool = False,
    label: str | None = None,
    labels: Sequence[str] = ...,
    simplify: float = 0.0,
    paths: str = "relative",
    coco_masks: str = "auto",
    shapes: str = "auto",
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]: ...
def evaluate(arguments: Sequence[str]) -> dict[str, Any]: ...
def command(arguments: Sequence[str]) -> int: ...
def models() -> list[dict[str, Any]]: ...
