"""
The engine of deepcut_vision. Use that package, not this module: it may change in any version.
"""

from _typeshed import Incomplete, SupportsGetItem
from os import PathLike
from typing import Any, SupportsFloat, SupportsIndex, final

@final
class Codebook:
    """
    What tells the parts of a set apart.
    """
    @staticmethod
    def open(path: str | PathLike[str]) -> Codebook | None:
        """
        Reads a file; None if there is none.
        """
    def write(self, /, path: str | PathLike[str]) -> None:
        """
        Writes a file that is not there yet.
        """

@final
class Engine:
    """
    A network, loaded, and its threads. It serves the process that made it, and many threads of it at once.
    """
    def __new__(cls, /, backbone: str = "embedded", *, facet: str | None = None, layer: SupportsIndex | None = None, stride: SupportsIndex | None = None, family: str | None = None, heads: SupportsIndex | None = None, prefix: str | None = None, prior: str | PathLike[str] | None = None, precision: str = "auto", deterministic: bool = False, offline: bool = False, threads: SupportsIndex | None = None, spin: bool = False, max_memory: str | None = None, progress: bool = False) -> Engine: ...
    def cluster(self, /, features: Incomplete, objectness: Incomplete | None, colors: Incomplete | None, constant: bool, options: Options, image: Image | Incomplete | None = None, size: tuple[SupportsIndex, SupportsIndex] | None = None) -> Found:
        """
        Clusters features, of this network or any other. Labels are those of the image's pixels; without an image, of `size` = (height, width)
        pixels; without both, of the patches. Without an image the guided filter is left out.
        """
    def features(self, /, image: Image | Incomplete, options: Options) -> tuple[Incomplete, Incomplete | None, Incomplete | None, bool]:
        """
        Computes the features of an image's patches.
        """
    @property
    def identity(self, /) -> Any:
        """
        The network: name, checksum, features, stride, precision in use.
        """
    @property
    def instruction_set(self, /) -> str:
        """
        The instruction set in use.
        """
    def segment(self, /, image: Image | Incomplete, options: Options) -> Found:
        """
        Segments an image.
        """
    @property
    def threads(self, /) -> int:
        """
        Threads that work on one image.
        """

@final
class Found:
    """
    A segmentation: an array of labels, and what they mean.
    """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    def annotate(self, /, format: str, name: str, *, label: str | None = None, labels: SupportsGetItem[int, str] = ..., simplify: SupportsFloat | SupportsIndex = 0.0, paths: str = "relative", coco_masks: str = "auto", shapes: str = "auto") -> dict:
        """
        The files of an annotation format for this image alone, by name.
        """
    @property
    def confidence(self, /) -> float:
        """
        How clean the cut is, in [0, 1].
        """
    @property
    def grid(self, /) -> tuple[int, int]:
        """
        Rows and columns of patches.
        """
    @property
    def has_object(self, /) -> bool:
        """
        Whether any pixel is foreground.
        """
    @property
    def height(self, /) -> int:
        """
        Rows.
        """
    @property
    def labels(self, /) -> Incomplete:
        """
        The label of every pixel, (height, width): always the same array.
        """
    def main_box(self, /) -> tuple[int, int, int, int] | None:
        """
        The box of the main object, (left, top, width, height), or None.
        """
    def mask(self, /) -> Incomplete:
        """
        Whether each pixel is foreground, (height, width): a new array.
        """
    @property
    def mode(self, /) -> str:
        """
        What was looked for: object, parts, scene or objects.
        """
    def objects(self, /, *, label: str | None = None, labels: SupportsGetItem[int, str] = ..., simplify: SupportsFloat | SupportsIndex = 0.0, polygons: bool = True) -> list[dict]:
        """
        The regions of the foreground with their shapes.
        """
    def png(self, /, kind: str, image: Image | Incomplete | None = None) -> bytes:
        """
        A PNG file: mask, labels, overlay or cutout. The last two need the image.
        """
    def regions(self, /) -> list[dict]:
        """
        The labels that occur, in order, and what they are.
        """
    def report(self, /, name: str, image: Image | Incomplete | None = None) -> Any:
        """
        What the command says of an image as JSON.
        """
    @staticmethod
    def restore(labels: Incomplete, state: str) -> Found:
        """
        Makes it again from what `__reduce__` keeps.
        """
    @property
    def seconds(self, /) -> dict[str, float]:
        """
        Seconds by stage.
        """
    @property
    def width(self, /) -> int:
        """
        Columns.
        """

@final
class Image:
    """
    A decoded image, or an array's with alpha.
    """
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    @property
    def damage(self, /) -> str | None:
        """
        What is missing or wrong in a damaged file.
        """
    @staticmethod
    def decode(data: bytes, *, max_pixels: SupportsIndex | None = None, keep_damaged: bool = False) -> Image:
        """
        Decodes a file's bytes.
        """
    @staticmethod
    def from_rgba(rgba: Incomplete) -> Image:
        """
        Takes an array of colors and alpha, (height, width, 4).
        """
    @property
    def height(self, /) -> int:
        """
        Rows.
        """
    @property
    def notes(self, /) -> list[str]:
        """
        What was assumed where the file does not say it.
        """
    @staticmethod
    def open(path: str | PathLike[str], *, max_pixels: SupportsIndex | None = None, keep_damaged: bool = False) -> Image:
        """
        Reads a file.
        """
    def rgb(self, /) -> Incomplete:
        """
        The colors that a network sees, (height, width, 3): a new array.
        """
    def rgba(self, /) -> Incomplete:
        """
        The image's own colors and its opacity, (height, width, 4): a new array.
        """
    @property
    def width(self, /) -> int:
        """
        Columns.
        """

@final
class ImageSet:
    """
    A set of images: how its parts are found, and what is kept of each image between the two passes.
    """
    def __new__(cls, /, values: dict) -> ImageSet:
        """
        With options by name, which are checked.
        """
    def add(self, /, name: str, engine: Engine, image: Image | Incomplete, options: Options) -> None:
        """
        Cuts the object of an image and keeps it under a name.
        """
    def check(self, /, codebook: Codebook, engine: Engine, options: Options) -> None:
        """
        Checks that a codebook is of this kind, and of the engine's network.
        """
    def learn(self, /, engine: Engine, options: Options) -> Codebook:
        """
        Learns what tells the parts of its images apart.
        """
    def parts(self, /, name: str, codebook: Codebook, engine: Engine, image: Image | Incomplete, options: Options) -> Found:
        """
        The parts of an image: of one that was added, by its name, what is kept is not computed again.
        """

@final
class Options:
    """
    Options of a profile with values by name, validated.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __new__(cls, /, profile: str, values: dict) -> Options: ...
    def __reduce__(self, /) -> tuple[Any, tuple]: ...
    def flat(self, /) -> Any:
        """
        Every option by its name.
        """
    @staticmethod
    def names() -> list[str]:
        """
        The names of all options.
        """
    def usual_formats(self, /) -> list[str]:
        """
        The files that are written for an image if no formats are named.
        """
    def without_effect(self, /) -> list[tuple[str, str]]:
        """
        Options that have no effect with the others, and why.
        """

def collect(inputs: SupportsGetItem[int, str | PathLike[str]]) -> dict:
    """
    The images that inputs name, in the order of a batch: their paths, and their names in a file about many images. Also what names none, and what was
    left out.
    """

def command(arguments: SupportsGetItem[int, str]) -> int:
    """
    Runs the command with these arguments, the first of which is its name, and returns its exit status. It prints, and listens to signals, as a
    program of its own.
    """

def evaluate(arguments: SupportsGetItem[int, str]) -> Any:
    """
    Does `deepcut eval` with these arguments, and returns the object of `--json`.
    """

def models() -> Any:
    """
    The networks that have a name: a dict for each.
    """

def segment_folder(engine: Engine, options: Options, inputs: SupportsGetItem[int, str | PathLike[str]], output: str | PathLike[str], *, formats: SupportsGetItem[int, str], overwrite: bool = False, checksum: bool = False, threads: SupportsIndex | None = None, max_pixels: SupportsIndex | None = None, keep_damaged: bool = False, label: str | None = None, labels: SupportsGetItem[int, str] = ..., simplify: SupportsFloat | SupportsIndex = 0.0, paths: str = "relative", coco_masks: str = "auto", shapes: str = "auto", on_event: Any | None = None) -> Any:
    """
    Segments what the inputs name into a folder, and returns what was done. `on_event` is called with a dict for the beginning, each image and
    each failure, in the order of the inputs.
    """

def __getattr__(name: str) -> Incomplete: ...
