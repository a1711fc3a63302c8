"""Features of an image's patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._images import to_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._images import Picture

    _Array = np.ndarray[Any, np.dtype[np.float32]]
else:
    _Array = np.ndarray

# What a map knows beside its values.
_EXTRAS = ("objectness", "patch_colors", "constant", "image")


class FeatureMap(_Array):
    """Features of an image's patches, and what else `DeepCut.cluster` needs.

    An array like any other: it can be saved, compared, and given to scikit-learn. Arrays derived from it, such as slices and sums, are
    features only: their attributes are None. Pickles keep everything.

    Parameters
    ----------
    values : array_like
        Shape (h, w, d): a vector of d numbers for each patch of a grid of h rows and w columns. They become float32.
    objectness : array_like, optional
        Shape (h, w): log-odds that a patch belongs to an object, if the network says so. Or on a grid a whole number of times finer, as the network
        gives them: the edges of the foreground are drawn there.
    patch_colors : array_like, optional
        Shape (h, w, 3): mean color of each patch, 0 to 1; needed by `color` of the method deep-spectral.
    constant : bool, default=False
        Whether the image has one color only; it has no object then.

    Attributes
    ----------
    objectness : ndarray of shape (h, w) or a multiple of it, float32, or None
    patch_colors : ndarray of shape (h, w, 3), float32, or None
    constant : bool
    image : Picture or None
        The image that the features are of, which `DeepCut.cluster` gives its labels the size of.

    Examples
    --------
    >>> import numpy as np
    >>> import deepcut_vision as dc
    >>> image = np.zeros((64, 96, 3), np.uint8)
    >>> image[16:48, 32:64] = 200
    >>> features = dc.DeepCut().features(image)
    >>> features.ndim, features.dtype, features.image is not None
    (3, dtype('float32'), True)
    >>> (features - features.mean(axis=(0, 1))).image is None
    True
    """

    objectness: NDArray[np.float32] | None
    patch_colors: NDArray[np.float32] | None
    constant: bool
    image: Picture | None

    def __new__(
        cls,
        values: ArrayLike,
        *,
        objectness: ArrayLike | None = None,
        patch_colors: ArrayLike | None = None,
        constant: bool = False,
    ) -> FeatureMap:
        is_array = hasattr(values, "__array__") or hasattr(values, "__dlpack__")
        array = np.asarray(to_array(values) if is_array else values, dtype=np.float32)
        if array.ndim != 3 or 0 in array.shape:
            raise ValueError(f"features have shape {array.shape}; expected (h, w, d), a vector for each patch of a grid")
        made = array.view(cls)
        made.objectness = _of_grid("objectness", objectness, array.shape[:2], finer=True)
        made.patch_colors = _of_grid("patch_colors", patch_colors, (*array.shape[:2], 3))
        made.constant = bool(constant)
        return made

    def __array_finalize__(self, parent: object) -> None:
        self.objectness = self.patch_colors = self.image = None
        self.constant = False

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        # A sum over all is a number, not a map without axes.
        return array.view(type(self)) if array.ndim else array[()]

    def __reduce__(self) -> Any:
        reduced: Any = super().__reduce__()
        rebuild, arguments, state = reduced
        return rebuild, arguments, (state, {name: getattr(self, name) for name in _EXTRAS})

    def __setstate__(self, state: Any) -> None:
        array, extras = state
        super().__setstate__(array)
        for name in _EXTRAS:
            setattr(self, name, extras[name])


def _of_grid(name: str, values: ArrayLike | None, shape: tuple[int, ...], *, finer: bool = False) -> NDArray[np.float32] | None:
    if values is None:
        return None
    array = np.ascontiguousarray(values, dtype=np.float32)
    scale = max(array.shape[0] // shape[0], 1) if finer and array.ndim == len(shape) else 1
    if array.shape != tuple(side * scale for side in shape):
        raise ValueError(f"{name} has shape {array.shape}; expected {shape}, that of the features' grid")
    return array
