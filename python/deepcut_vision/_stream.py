"""Results of a stream of images, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from . import _deepcut, _images
from ._estimator import DeepCut
from ._parameters import (
    PARAMETERS,
    Parameters,
    build_options,
    check_names,
    checked_limits,
    checked_threads,
    engine_of,
    spelled_out,
)
from ._result import Result
from ._warn import warn

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._images import ImageLike

# Images loaded or segmented ahead of the one that the caller waits for, for each thread.
_AHEAD = 2
# What is wrong with one image, not with the run.
_ERRORS = (OSError, ValueError, TypeError, MemoryError, RuntimeError)


@overload
def iter_segment(
    images: Iterable[ImageLike],
    *,
    on_error: Literal["warn", "raise"] = ...,
    model: DeepCut | None = ...,
    **options: Unpack[Parameters],
) -> Iterator[tuple[str, Result]]: ...


@overload
def iter_segment(
    images: Iterable[ImageLike],
    *,
    on_error: Literal["return"],
    model: DeepCut | None = ...,
    **options: Unpack[Parameters],
) -> Iterator[tuple[str, Result | Exception]]: ...


@spelled_out
def iter_segment(
    images: Iterable[ImageLike],
    *,
    on_error: str = "warn",
    model: DeepCut | None = None,
    **options: Unpack[Parameters],
) -> Iterator[tuple[str, Result | Exception]]:
    """Segment many images, several at a time, and yield the results in the order of the images.

    Images are taken from the iterable a few ahead of the result that is asked for, so that it may be endless. Closing the generator, or
    leaving its loop, stops the work.

    Parameters
    ----------
    images : iterable
        Images as `segment` takes them, or pairs of a name and an image.
    on_error : {'warn', 'raise', 'return'}, default='warn'
        What becomes of an image that cannot be segmented: left out with a warning, an exception that ends the run, or the exception in the
        place of the result.
    model : DeepCut, optional
        Where parameters come from; `options` override it.
    **options
        Parameters of `DeepCut`; ``threads`` is the number of images at a time, each on one thread.

    Yields
    ------
    name : str
        The name of the pair, the path that the image is read from, or its number, counted from 0.
    result : Result or Exception

    Raises
    ------
    ValueError, TypeError, OSError
        At the call if an option is wrong or there is no network; at the image if `on_error` is 'raise'.

    Examples
    --------
    >>> import numpy as np
    >>> import deepcut_vision as dc
    >>> pictures = (np.full((48, 64, 3), 40 * n, np.uint8) for n in range(3))
    >>> for name, result in dc.iter_segment(pictures, threads=2):
    ...     print(name, result.shape, result.has_object)
    0 (48, 64) False
    1 (48, 64) False
    2 (48, 64) False
    """
    if isinstance(images, (str, bytes, os.PathLike)):
        raise TypeError(
            "expected an iterable of images, not one; for a folder: sorted(pathlib.Path(folder).rglob('*.jpg')), or segment_folder"
        )
    if isinstance(images, np.ndarray) and images.ndim < 4:
        raise TypeError(f"expected an iterable of images, not one of shape {images.shape}; pass [image]")
    if on_error not in ("warn", "raise", "return"):
        raise ValueError(f"on_error is {on_error!r}; expected 'warn', 'raise' or 'return'")
    parameters = merged("iter_segment", model, options)
    count = checked_threads(parameters["threads"])
    limits = checked_limits(parameters)
    # Drawn once, so that labels correspond over the run.
    built = build_options(parameters)
    engine = engine_of(parameters, threads=1)
    return _results(iter(images), engine, built, limits, count, on_error)


def merged(caller: str, model: DeepCut | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a model, those in `options` changed.

    Raises
    ------
    TypeError
        If there is no such parameter, or `model` is none.
    """
    check_names(caller, options, PARAMETERS)
    if model is None:
        model = DeepCut()
    elif not isinstance(model, DeepCut):
        raise TypeError(f"model is {model!r}; expected a DeepCut")
    return {**model._parameters(), **options}


def _results(
    images: Iterator[ImageLike],
    engine: _deepcut.Engine,
    options: _deepcut.Options,
    limits: dict[str, Any],
    threads: int,
    on_error: str,
) -> Iterator[tuple[str, Result | Exception]]:

    def work(image: ImageLike, name: str | None) -> tuple[Result, _images.Picture]:
        picture = _images.load(image, **limits)
        picture = _images.Picture(picture.pixels, name or picture.name)
        return Result(engine.segment(picture.pixels, options), picture, options), picture

    pool = ThreadPoolExecutor(threads, thread_name_prefix="deepcut")
    waiting: deque[tuple[str, Future[tuple[Result, _images.Picture]]]] = deque()
    try:
        for number, item in enumerate(images):
            is_pair = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
            name, image = item if is_pair else (_images.name_of(item), item)
            waiting.append((name or str(number), pool.submit(work, image, name)))
            del item, image
            if len(waiting) > _AHEAD * threads:
                yield from _next(waiting, on_error)
        while waiting:
            yield from _next(waiting, on_error)
    finally:
        # What runs ends by itself; what waits does not begin.
        pool.shutdown(wait=True, cancel_futures=True)


def _next(
    waiting: deque[tuple[str, Future[tuple[Result, _images.Picture]]]], on_error: str
) -> Iterator[tuple[str, Result | Exception]]:
    """The first result, or what `on_error` makes of it."""
    name, future = waiting.popleft()
    try:
        result, picture = future.result()
    except _ERRORS as error:
        if on_error == "raise":
            raise
        if on_error == "return":
            yield name, error
        else:
            warn(f"{name} is left out: {error}")
        return
    picture.warn_of_damage()
    yield name, result
