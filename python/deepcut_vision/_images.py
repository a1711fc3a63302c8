"""What a caller hands over as an image becomes what the extension takes: RGB bytes, borrowed where possible, or a decoded file."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from . import _deepcut
from ._warn import warn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = Union["NDArray[np.uint8]", _deepcut.Image]

# What `segment` and the others take: a path, the bytes of a file, an array or whatever becomes one, a PIL image, an open file.
ImageLike = Any

_LAYOUTS = "(height, width, 3) RGB, (height, width, 4) RGBA, or (height, width) or (height, width, 1) gray"


@dataclass(frozen=True)
class Picture:
    """An image as the extension takes it, and the name of where it is from."""

    pixels: Pixels
    name: str | None = None

    def warn_of_damage(self) -> None:
        """Say what is missing of a damaged file; in the caller's thread, where its filters of warnings are."""
        damage = self.pixels.damage if isinstance(self.pixels, _deepcut.Image) else None
        if damage is not None:
            warn(f"{self.name or 'the image'} is damaged: {damage}; what can be read of it is segmented")


def size_of(pixels: Pixels) -> tuple[int, int]:
    """Height and width."""
    if isinstance(pixels, _deepcut.Image):
        return pixels.height, pixels.width
    height, width = pixels.shape[:2]
    return height, width


def rgb_of(pixels: Pixels) -> NDArray[np.uint8]:
    """Colors, (H, W, 3); borrowed if `pixels` has no others."""
    return pixels.rgb() if isinstance(pixels, _deepcut.Image) else pixels


def name_of(image: ImageLike) -> str | None:
    """The path that an image is read from, if it has one."""
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image)
    # PIL images call it `filename`, open files `name`, which is a number for some.
    name = (
        getattr(image, "filename", None) if _is_pil(image) else getattr(image, "name", None) if hasattr(image, "read") else None
    )
    return os.fsdecode(name) if isinstance(name, (str, bytes)) and name else None


def load(image: ImageLike, *, max_pixels: int | None = None, keep_damaged: bool = False) -> Picture:
    """Take an image in any form that users have it in.

    Parameters
    ----------
    image : str, os.PathLike, bytes, file, PIL.Image.Image, or array
        See `deepcut_vision.segment`.
    max_pixels : int, optional
        Files with more pixels are refused.
    keep_damaged : bool
        Take what can be read of a damaged file; `Picture.warn_of_damage` says what is missing.

    Raises
    ------
    TypeError
        If it is no image: None, a list of images, an array of objects.
    ValueError
        If it is an array of another layout or type; the message says how to convert it.
    OSError
        If a file cannot be read; `ImageError` if it is damaged or of an unknown format.
    """
    name = name_of(image)
    if isinstance(image, (str, os.PathLike)):
        assert name is not None
        if name.startswith(("http://", "https://")):
            raise ValueError(f"{name} is a web address; download it and pass its bytes")
        if os.path.isdir(name):
            raise IsADirectoryError(errno.EISDIR, "this is a folder, which segment_folder takes; expected a file", name)
        return Picture(_deepcut.Image.open(name, max_pixels=max_pixels, keep_damaged=keep_damaged), name)
    data = _file_bytes(image)
    if data is not None:
        return Picture(_deepcut.Image.decode(data, max_pixels=max_pixels, keep_damaged=keep_damaged), name)
    if _is_pil(image):
        return Picture(_from_array(_from_pil(image)), name)
    return Picture(_from_array(to_array(image), tensor=hasattr(image, "permute")), name)


def _file_bytes(image: ImageLike) -> bytes | None:
    """The bytes of a file that is in memory or open."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, bytearray):
        return bytes(image)
    if isinstance(image, memoryview):
        return bytes(image) if image.ndim == 1 else None
    if callable(getattr(image, "read", None)) and not hasattr(image, "__array__"):
        data = image.read()
        if isinstance(data, bytes):
            return data
        raise TypeError("the file is open as text; open it in binary mode: open(path, 'rb')")
    return None


def _is_pil(image: ImageLike) -> bool:
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(image, pil.Image)


def _from_pil(image: Any) -> NDArray[Any]:
    """Pixels of a PIL image, as wide and high as it is: its orientation is the caller's choice (`PIL.ImageOps.exif_transpose`)."""
    mode = image.mode
    if mode.startswith("I"):
        values = np.asarray(image)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise ValueError(
                f"the PIL image has mode {mode} and values outside 0 to 65535; scale them to 0 to 255 and convert it to mode L"
            )
        # 16 bits to 8, rounded as the decoder does.
        return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if mode == "F":
        raise ValueError("the PIL image has mode F (floats); scale it to 0 to 255 and convert it to mode L")
    transparent = mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if transparent:
        return np.asarray(image if mode == "RGBA" else _through_straight_alpha(image))
    return np.asarray(image if mode in ("RGB", "L") else image.convert("L" if mode == "1" else "RGB"))


def _through_straight_alpha(image: Any) -> Any:
    # PIL converts premultiplied gray only to gray with alpha.
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def to_array(image: ImageLike) -> NDArray[Any]:
    """An array of whatever becomes one; shares memory where that is possible.

    Raises
    ------
    TypeError
        If it becomes none, or is on a GPU.
    """
    if isinstance(image, np.ndarray):
        return np.asarray(image)
    if image is None:
        raise TypeError("expected an image, got None; cv2.imread returns None for a file that it cannot read")
    if isinstance(image, (list, tuple)):
        what = "an image as nested lists: make it an array with numpy.asarray(image, dtype=numpy.uint8)"
        is_many = not (image and isinstance(image[0], (list, tuple)))
        raise TypeError(f"expected one image, got a {type(image).__name__}; {'pass many to iter_segment' if is_many else what}")
    if hasattr(image, "tocoo"):
        raise TypeError(f"expected an image, got a sparse {type(image).__name__}; make it an array with image.toarray()")
    try:
        if hasattr(image, "__array__") or hasattr(image, "__array_interface__") or isinstance(image, memoryview):
            return np.asarray(image)
        if hasattr(image, "__dlpack__"):
            return np.from_dlpack(image)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        gives_remedy = " use " in str(error).lower()
        remedy = "" if gives_remedy else "; from a GPU, copy it to the CPU first: .cpu() in PyTorch, .get() in CuPy"
        raise TypeError(f"cannot read the {_kind(image)} as an array: {error}{remedy}") from error
    raise TypeError(f"expected a path, bytes, an array or a PIL image, got {_kind(image)}")


def _kind(image: object) -> str:
    kind = type(image)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _from_array(array: NDArray[Any], *, tensor: bool = False) -> Pixels:
    """RGB bytes of an array of any layout that is one of an image. A contiguous (H, W, 3) array is passed on as it is.

    `tensor` says whether remedies are to be in PyTorch's words.
    """
    _check_layout(array, "image.permute(1, 2, 0)" if tensor else "image.transpose(1, 2, 0)")
    _check_dtype(array, ".to(torch.uint8)" if tensor else ".astype(numpy.uint8)")
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels == 4:
        return _deepcut.Image.from_rgba(np.ascontiguousarray(array))
    if channels == 1:
        return np.repeat(array.reshape(height, width, 1), 3, axis=2)
    return np.ascontiguousarray(array)


def _check_layout(array: NDArray[Any], channels_last: str) -> None:
    shape = array.shape
    if array.size == 0:
        raise ValueError(f"the image has no pixels: its shape is {shape}")
    if array.ndim == 2 or (array.ndim == 3 and shape[2] in (1, 3, 4)):
        return
    if array.ndim == 1:
        remedy = "; if these are the bytes of a file, pass image.tobytes()"
    elif array.ndim == 3 and shape[0] in (1, 3, 4):
        remedy = f"; channels come last: {channels_last}"
    elif array.ndim == 3:
        remedy = f"; choose channels, such as image[..., {'0' if shape[2] == 2 else ':3'}]"
    elif array.ndim == 4:
        remedy = "; this is a batch: pass one of its images, or all of them to iter_segment"
    else:
        remedy = ""
    raise ValueError(f"the image has shape {shape}; expected {_LAYOUTS}{remedy}")


def _check_dtype(array: NDArray[Any], cast: str) -> None:
    dtype = array.dtype
    if dtype == np.uint8:
        return
    if dtype == np.bool_:
        remedy = f"make it black and white with image{cast} * 255"
    elif dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"the image has dtype {dtype} and values that are NaN or infinite; expected uint8, 0 to 255")
        low, high = float(array.min()), float(array.max())
        if low >= 0 and high <= 1:
            remedy = f"its values lie in 0 to 1: pass (image * 255).round(){cast}"
        elif low >= 0 and high <= 255:
            remedy = f"pass image.round(){cast}"
        else:
            remedy = f"its values lie in {low:.4g} to {high:.4g}: undo the normalization, scale them to 0 to 255, then image.round(){cast}"
    elif dtype.kind in "iu":
        if array.min() >= 0 and array.max() <= 255:
            remedy = f"pass image{cast}"
        elif dtype == np.uint16:
            remedy = f"for 16 bits pass (image / 257).round(){cast}"
        else:
            remedy = f"scale its values to 0 to 255, then image{cast}"
    elif dtype.kind == "c":
        raise ValueError(f"Complex data not supported: the image has dtype {dtype}; expected uint8, 0 to 255")
    else:
        raise TypeError(f"the image has dtype {dtype}; expected uint8, 0 to 255")
    raise ValueError(f"the image has dtype {dtype}; expected uint8, 0 to 255: {remedy}")
