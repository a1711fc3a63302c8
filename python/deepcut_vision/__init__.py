"""Unsupervised image segmentation: the main object of an image, its parts, or several objects, without labels or a download.

>>> import deepcut_vision as dc
>>> result = dc.segment("examples/pictures/mug.jpg")
>>> result.mask.shape, result.mask.dtype
((360, 480), dtype('bool'))

`segment` cuts one image. `DeepCut` keeps options, gives features once and cuts them many times, in the manner of scikit-learn.
`segment_folder` writes result files of a folder, `iter_segment` yields results of a stream of images, and `evaluate` measures a data set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._estimator import DeepCut, segment
    from ._evaluate import evaluate, models
    from ._features import FeatureMap
    from ._folder import Progress, Summary, segment_folder
    from ._result import Region, Result
    from ._stream import iter_segment

    __version__: str

    # The types of the extension are generated, without its exceptions.
    class ImageError(OSError):
        """A file that is damaged, or no image in a known format."""

    class WeightsNotFound(OSError):
        """A network that is not here, and cannot be downloaded."""

else:
    from ._deepcut import ImageError, WeightsNotFound, __version__

__all__ = [
    "DeepCut",
    "FeatureMap",
    "ImageError",
    "Progress",
    "Region",
    "Result",
    "Summary",
    "WeightsNotFound",
    "__version__",
    "evaluate",
    "iter_segment",
    "models",
    "segment",
    "segment_folder",
]

# Modules are loaded at first use, so that the command starts without numpy.
_HOMES = {
    "DeepCut": "_estimator",
    "segment": "_estimator",
    "evaluate": "_evaluate",
    "models": "_evaluate",
    "FeatureMap": "_features",
    "Progress": "_folder",
    "Summary": "_folder",
    "segment_folder": "_folder",
    "Region": "_result",
    "Result": "_result",
    "iter_segment": "_stream",
}


# Type checkers would take it as a promise of every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
