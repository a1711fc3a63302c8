"""Parts that agree over several images."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _deepcut, _images
from ._parameters import build_options, checked_count, engine_of
from ._result import Result

if TYPE_CHECKING:
    from ._images import ImageLike

# What is wrong with one image, not with the set.
_ERRORS = (OSError, ValueError, TypeError, MemoryError, RuntimeError)


def cosegment(
    parameters: Mapping[str, Any],
    load: Callable[[ImageLike], _images.Picture],
    images: Iterable[ImageLike],
    *,
    k: int | str | None,
    method: str | None,
    codebook: str | os.PathLike[str] | None,
    common: float | None,
    min_part: float | None,
    on_error: str,
) -> list[Result | Exception]:
    """See `DeepCut.cosegment`; `parameters` are the model's, `load` is its way to take an image."""
    if isinstance(images, (str, bytes, os.PathLike)) or (isinstance(images, np.ndarray) and images.ndim < 4):
        raise TypeError("expected an iterable of images, not one; for a folder: sorted(pathlib.Path(folder).rglob('*.jpg'))")
    if on_error not in ("raise", "return"):
        raise ValueError(f"on_error is {on_error!r}; expected 'raise' or 'return'")
    asked: dict[str, Any] = {"method": _checked_word("method", method)}
    asked.update({name: _checked_share(name, share) for name, share in (("common", common), ("min_part", min_part))})
    if k is None:
        k = parameters["n_clusters"]
    if isinstance(k, str) and k != "auto":
        raise ValueError(f"k is {k!r}; expected a whole number from 2 to 32, or 'auto'")
    count = None if k == "auto" else checked_count("k", k, 2, 32)
    if k is not None:
        asked["n_parts"] = count
    options = build_options({**parameters, "mode": "parts", "n_clusters": count})
    parts = _deepcut.ImageSet(asked)
    engine = engine_of(parameters)
    path = None if codebook is None else os.fspath(codebook)
    known = None if path is None else _deepcut.Codebook.open(path)
    if known is not None:
        parts.check(known, engine, options)
    elif path is not None:
        # Better now than after all the work.
        folder = os.path.dirname(path) or os.curdir
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()

    found: list[Result | Exception | None] = []
    pictures: list[_images.Picture | None] = []
    for number, image in enumerate(images):
        try:
            picture = load(image)
            if known is None:
                parts.add(str(number), engine, picture.pixels, options)
        except _ERRORS as error:
            if on_error == "raise":
                raise
            found.append(error)
            pictures.append(None)
            continue
        found.append(None)
        pictures.append(picture)
    if not pictures:
        return []
    if known is None:
        known = parts.learn(engine, options)
        if path is not None:
            known.write(path)
    for number, kept in enumerate(pictures):
        if kept is None:
            continue
        try:
            found[number] = Result(parts.parts(str(number), known, engine, kept.pixels, options), kept, options)
        except _ERRORS as error:
            if on_error == "raise":
                raise
            found[number] = error
    return [item for item in found if item is not None]


def _checked_word(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; expected a str")
    return value


def _checked_share(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; expected a number")
    return float(value)
