"""Folders of images: result files on disk, and runs that continue where they were stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

from . import _deepcut
from ._parameters import Parameters, build_options, checked_flag, checked_limits, checked_threads, engine_of, spelled_out
from ._stream import merged
from ._warn import warn

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._estimator import DeepCut


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    done, total : int
        Images finished, in whatever way, and images of the run.
    name : str
        The image that was finished.
    outcome : str
        'done', 'skipped' (its results are there), 'annotated' (only annotation files were made), 'differs' (there are results of other
        options, which are kept) or 'failed'.
    error : str or None
        What went wrong.
    """

    done: int
    total: int
    name: str
    outcome: str
    error: str | None = None


@dataclass(frozen=True)
class Summary:
    """What became of a folder.

    Attributes
    ----------
    images : int
        Images found.
    done, skipped, differs, failed : int
        Images segmented; with all their results there already; with results of other options, which are kept; failed.
    failures : tuple of (str, str)
        Images, and inputs that are missing, that failed, and why.
    details : dict
        All that the command's summary says.
    """

    images: int
    done: int
    skipped: int
    differs: int
    failed: int
    failures: tuple[tuple[str, str], ...] = ()
    details: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_complete(self) -> bool:
        """Whether everything asked for is there."""
        return not self.failures and not self.differs and bool(self.details.get("complete", True))

    def raise_for_failures(self) -> None:
        """Raise an error if anything failed.

        Raises
        ------
        OSError
            Naming the first three failures.
        """
        if self.failures:
            named = "; ".join(f"{name}: {error}" for name, error in self.failures[:3])
            more = len(self.failures) - 3
            raise OSError(f"{len(self.failures)} of {self.images} failed: {named}" + (f"; and {more} more" if more > 0 else ""))


_Inputs = Union[str, "os.PathLike[str]", Iterable[Union[str, "os.PathLike[str]"]]]


@spelled_out
def segment_folder(
    inputs: _Inputs,
    output: str | os.PathLike[str],
    *,
    formats: str | Iterable[str] | None = None,
    progress: bool | Callable[[Progress], object] = False,
    overwrite: bool = False,
    checksum: bool = False,
    label: str | None = None,
    labels: Sequence[str] = (),
    paths: str = "relative",
    simplify: float = 0.0,
    coco_masks: str = "auto",
    shapes: str = "auto",
    model: DeepCut | None = None,
    **options: Unpack[Parameters],
) -> Summary:
    """Segment a folder of images and write result files, as the command ``deepcut segment`` does.

    One image works on each thread, and memory does not grow with the number of images. The same call again continues a run that was stopped:
    images that have their results are skipped. Ctrl-C finishes the files at hand.

    Parameters
    ----------
    inputs : path, or iterable of paths
        Images, folders (with their sub-folders), or patterns such as ``'photos/**/*.jpg'``.
    output : path
        Folder for the results; created if missing.
    formats : str or iterable of str, optional
        See `Result.to_files`. Default: 'mask' and 'overlay' for one object, else 'labels' and 'overlay'.
    progress : bool or callable, default=False
        True draws a bar if tqdm is installed. A callable gets a `Progress` after each image, in the order of the inputs.
    overwrite : bool, default=False
        Replace results that exist.
    checksum : bool, default=False
        Compare an image's content, not its size and time, to see whether it changed since its results were written.
    label : str, optional
        Class of the objects in annotation files.
    labels : sequence of str
        Names of the parts or clusters in annotation files.
    paths : {'relative', 'absolute', 'name'}, default='relative'
        How annotation files name an image.
    simplify : float, default=0
        Take out corners of polygons that lie within this many pixels of a straighter line.
    coco_masks : {'auto', 'polygon', 'rle', 'rle-list'}, default='auto'
        How COCO files write masks.
    shapes : {'auto', 'polygon', 'mask'}, default='auto'
        What files of LabelMe, CVAT and Label Studio have.
    model : DeepCut, optional
        Where parameters come from; `options` override it.
    **options
        Parameters of `DeepCut`; ``threads`` is the number of images at a time.

    Returns
    -------
    Summary
        Counts, and the images that failed: one that fails does not stop the others.

    Raises
    ------
    ValueError, TypeError
        If an option is wrong.
    OSError
        If nothing can be written to `output`, or there is no network.
    KeyboardInterrupt
        After Ctrl-C.

    Warns
    -----
    UserWarning
        If files are left out because of their format, such as HEIC, with the way to convert them; if a damaged file was segmented.

    Examples
    --------
    >>> import tempfile
    >>> import deepcut_vision as dc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dc.segment_folder("examples/pictures/ducks?.jpg", folder, formats=["mask", "coco"], label="duck")
    ...     dc.segment_folder("examples/pictures/ducks?.jpg", folder, formats=["mask", "coco"], label="duck")
    Summary(images=3, done=3, skipped=0, differs=0, failed=0, failures=())
    Summary(images=3, done=0, skipped=3, differs=0, failed=0, failures=())
    """
    parameters = merged("segment_folder", model, options)
    limits = checked_limits(parameters)
    built = build_options(parameters)
    engine = engine_of(parameters, threads=0)
    names = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    follow = _Follower(progress)
    try:
        counts = _deepcut.segment_folder(
            engine,
            built,
            [os.fspath(name) for name in names],
            os.fspath(output),
            formats=built.usual_formats() if formats is None else [formats] if isinstance(formats, str) else list(formats),
            overwrite=checked_flag("overwrite", overwrite),
            checksum=checked_flag("checksum", checksum),
            threads=checked_threads(parameters["threads"]),
            **limits,
            label=label,
            labels=list(labels),
            paths=paths,
            simplify=float(simplify),
            coco_masks=coco_masks,
            shapes=shapes,
            on_event=follow,
        )
    finally:
        follow.close()
    for kind in counts["left_out"]:
        files, what, remedy = kind["files"], kind["what"], kind["remedy"]
        warn(f"{files} file{'s' * (files != 1)} left out: {what} ({remedy})")
    return Summary(
        images=counts["images"],
        done=counts["done"],
        skipped=counts["skipped"],
        differs=counts["differing"],
        failed=counts["failed"],
        failures=tuple(follow.failures),
        details=counts,
    )


class _Follower:
    """Turns the extension's events into progress, warnings and a list of failures."""

    def __init__(self, progress: bool | Callable[[Progress], object]) -> None:
        self.failures: list[tuple[str, str]] = []
        self._callback = progress if callable(progress) else None
        self._draw = not callable(progress) and checked_flag("progress", progress)
        self._bar: Any = None
        self._total = self._done = 0

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "begin":
            self._total = event["images"]
            self._bar = _bar(self._total) if self._draw else None
        elif kind == "image":
            self._done += 1
            error = event["error"]
            if event["outcome"] == "failed":
                self.failures.append((event["input"], error))
            elif (report := event["report"]) and report.get("damage"):
                warn(f"{event['input']} is damaged: {report['damage']}; what can be read of it is segmented")
            if self._bar is not None:
                self._bar.update()
            if self._callback is not None:
                self._callback(Progress(self._done, self._total, event["input"], event["outcome"], error))
        elif kind == "failed":
            self.failures.append((event["name"], event["error"]))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _bar(total: int) -> Any:
    """A progress bar, if tqdm is installed."""
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    return tqdm(total=total, unit="image")
