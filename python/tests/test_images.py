"""Every form in which users have their images."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from conftest import OnlyDlpack, draw
from numpy.typing import NDArray

import deepcut_vision as dc
from deepcut_vision import _images


def labels_of(image: object) -> NDArray[np.uint8]:
    return dc.segment(image).labels


class OnDevice:
    """An array that cannot be read from here."""

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        raise TypeError("implicit conversion to a NumPy array is not allowed")


def test_files_in_every_form_are_the_same_image(mug: Path) -> None:
    expected = labels_of(mug)
    data = mug.read_bytes()
    assert expected.any() and not expected.all()
    with mug.open("rb") as file:
        assert np.array_equal(labels_of(file), expected)
    for form in (str(mug), data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert np.array_equal(labels_of(form), expected), type(form)


def test_names_are_those_of_files(mug: Path) -> None:
    assert dc.segment(mug).name == dc.segment(str(mug)).name == str(mug)
    with mug.open("rb") as file, PIL.Image.open(mug) as picture:
        assert dc.segment(file).name == dc.segment(picture).name == str(mug)
    assert dc.segment(mug.read_bytes()).name is None
    assert dc.segment(draw()).name is None


def test_arrays_in_every_layout_are_the_same_image(image: NDArray[np.uint8]) -> None:
    expected = labels_of(image)
    assert expected.any() and not expected.all()
    read_only = image.copy()
    read_only.flags.writeable = False
    wide = np.zeros((96, 256, 3), np.uint8)
    wide[:, ::2] = image
    buffer = np.zeros(image.size + 1, np.uint8)
    odd = buffer[1:].reshape(image.shape)
    odd[...] = image
    opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    forms = {
        "read-only": read_only,
        "strided": wide[:, ::2],
        "negative strides": image[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        "Fortran": np.asfortranarray(image),
        "odd address": odd,
        "opaque": opaque,
        "memoryview": memoryview(image),
        "dlpack": OnlyDlpack(image),
        "memmap": np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape),
    }
    for name, form in forms.items():
        assert np.array_equal(labels_of(form), expected), name


def test_gray_is_three_equal_channels(image: NDArray[np.uint8]) -> None:
    gray = image[..., 0]
    expected = labels_of(np.dstack([gray, gray, gray]))
    assert expected.any()
    for form in (gray, gray[..., None], np.asfortranarray(gray)):
        assert np.array_equal(labels_of(form), expected)


def test_transparency_is_put_over_white(image: NDArray[np.uint8]) -> None:
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[:20] = 0
    white = image.copy()
    white[:20] = 255
    result = dc.segment(np.dstack([image, alpha]))
    assert np.array_equal(result.labels, labels_of(white))
    assert not result.cutout()[:20, :, 3].any()


def test_a_contiguous_array_is_borrowed(image: NDArray[np.uint8]) -> None:
    image.flags.writeable = False
    assert np.shares_memory(_images.load(image).pixels, image)
    assert np.shares_memory(dc.segment(image).image, image)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="this system tells no peak of memory of a process alone")
def test_no_copy_is_made_inside_either(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    script = """
import sys
import numpy as np
import deepcut_vision as dc

dc.segment(np.zeros((64, 64, 3), np.uint8), threads=1)
image = np.random.default_rng(0).integers(0, 256, (6000, 6000, 3), np.uint8)
if sys.argv[1] == "strided":
    image = image[:, ::-1]

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

before = peak()
# The guided filter has planes of its own.
dc.segment(image, threads=1, refine="none")
print((peak() - before) / image.nbytes)
"""
    grown = {}
    for kind in ("contiguous", "strided"):
        done = run_python(script, kind)
        assert done.returncode == 0, done.stderr
        grown[kind] = float(done.stdout)
    # Labels are a third of the image. That the measure sees a copy, the strided one shows.
    assert grown["contiguous"] < 0.8 < 1 < grown["strided"], grown


def test_the_image_is_not_changed(image: NDArray[np.uint8]) -> None:
    before = image.copy()
    dc.segment(image, refine="bilateral")
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "RGBX", "L", "LA", "La", "P", "PA", "1", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "RGBa"]
)
def test_pil_images_of_every_mode(mode: str, image: NDArray[np.uint8]) -> None:
    rgb = PIL.Image.fromarray(image)
    if mode.startswith("I"):
        values = np.asarray(rgb.convert("L")).astype(np.uint16) * 257
        picture = PIL.Image.fromarray(values if mode == "I;16" else values.astype(np.int32))
        assert picture.mode == mode
        same_as = rgb.convert("L")
    elif mode in ("La", "RGBa"):
        picture = rgb.convert("LA" if mode == "La" else "RGBA").convert(mode)
        same_as = rgb.convert("L" if mode == "La" else "RGB")
    else:
        picture = rgb.convert("RGBA").convert("PA") if mode == "PA" else rgb.convert(mode)
        same_as = picture.convert("RGB")
    result = dc.segment(picture)
    assert result.shape == (picture.height, picture.width)
    assert np.array_equal(result.labels, labels_of(np.asarray(same_as.convert("RGB"))))
    assert result.has_object


def test_transparent_pil_images_keep_their_transparency(image: NDArray[np.uint8]) -> None:
    palette = PIL.Image.fromarray(image).convert("P", palette=PIL.Image.Palette.ADAPTIVE)
    palette.info["transparency"] = palette.getpixel((0, 0))
    keyed = PIL.Image.fromarray(image)
    keyed.info["transparency"] = tuple(int(value) for value in image[0, 0])
    for picture in (palette, keyed):
        expected = labels_of(np.asarray(picture.convert("RGBA")))
        assert np.array_equal(labels_of(picture), expected)


def test_a_pil_image_is_taken_as_it_is_and_a_file_is_turned_upright(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn by 90° to be upright
    path = tmp_path / "turned.png"
    PIL.Image.fromarray(image).save(path, exif=exif)
    assert dc.segment(path).shape == (128, 96)
    with PIL.Image.open(path) as picture:
        assert dc.segment(picture).shape == (96, 128)


def test_torch_tensors_are_taken_without_importing_torch(image: NDArray[np.uint8]) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    import torch

    tensor = torch.from_numpy(image)
    assert np.array_equal(labels_of(tensor), labels_of(image))
    with pytest.raises(ValueError, match=r"image\.permute\(1, 2, 0\)"):
        dc.segment(tensor.permute(2, 0, 1))
    assert np.array_equal(labels_of(tensor.permute(2, 0, 1).contiguous().permute(1, 2, 0)), labels_of(image))
    with pytest.raises(ValueError, match=r"float32.*\.to\(torch\.uint8\)"):
        dc.segment(tensor.float())
    with pytest.raises(TypeError, match="requires grad.*detach"):
        dc.DeepCut().cluster(torch.zeros((4, 4, 3), requires_grad=True))
    with pytest.raises(TypeError, match="CPU|cpu"):
        dc.segment(torch.empty((4, 4, 3), dtype=torch.uint8, device="meta"))


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((8, 8, 3)), ValueError, r"float64.*\(image \* 255\)"),
        (np.full((8, 8, 3), 90, np.float32), ValueError, r"image\.round\(\)"),
        (np.full((8, 8, 3), -2.0), ValueError, "-2 to -2.*normalization"),
        (np.full((8, 8, 3), np.nan), ValueError, "NaN"),
        (np.zeros((8, 8, 3), bool), ValueError, r"astype\(numpy\.uint8\) \* 255"),
        (np.zeros((8, 8, 3), np.uint16) + 999, ValueError, "257"),
        (np.zeros((8, 8, 3), np.int64), ValueError, r"image\.astype\(numpy\.uint8\)"),
        (np.zeros((8, 8, 3), np.int64) - 1, ValueError, "scale"),
        (np.zeros((8, 8, 3), complex), ValueError, "[Cc]omplex"),
        (np.full((8, 8), "a"), TypeError, "dtype"),
        (np.full((8, 8), None), TypeError, "dtype object"),
        (np.zeros((3, 8, 9), np.uint8), ValueError, r"transpose\(1, 2, 0\)"),
        (np.zeros((8, 9, 2), np.uint8), ValueError, r"image\[\.\.\., 0\]"),
        (np.zeros((8, 9, 12), np.uint8), ValueError, r"image\[\.\.\., :3\]"),
        (np.zeros((2, 8, 9, 3), np.uint8), ValueError, "iter_segment"),
        (np.zeros(80, np.uint8), ValueError, "tobytes"),
        (np.zeros((0, 9, 3), np.uint8), ValueError, "no pixels"),
        (np.zeros((9, 0), np.uint8), ValueError, "no pixels"),
        (np.uint8(3), ValueError, r"shape \(\)"),
        (None, TypeError, "None"),
        (7, TypeError, "int"),
        ([Path("a.jpg"), Path("b.jpg")], TypeError, "iter_segment"),
        ([[1, 2], [3, 4]], TypeError, "numpy.asarray"),
        ("https://example.org/a.jpg", ValueError, "download"),
        (io.StringIO("text"), TypeError, "binary"),
        (b"", dc.ImageError, "."),
        (b"no image", dc.ImageError, "."),
        (".", IsADirectoryError, "segment_folder"),
        ("no/such/file.jpg", FileNotFoundError, "no/such/file.jpg"),
        (PIL.Image.new("F", (4, 4)), ValueError, "mode F"),
        (PIL.Image.new("I", (4, 4), -1), ValueError, "65535"),
        (OnDevice(), TypeError, "implicit.*copy it to the CPU"),
    ],
    ids=lambda value: None if not isinstance(value, str) else value[:20],
)
def test_what_is_no_image_is_refused_with_a_remedy(image: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        dc.segment(image)


def test_a_damaged_file_is_refused_or_taken_with_a_warning(tmp_path: Path, mug: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(mug.read_bytes()[:20_000])
    with pytest.raises(dc.ImageError, match="cut.jpg"):
        dc.segment(path)
    with pytest.warns(UserWarning, match="cut.jpg is damaged") as caught:
        result = dc.segment(path, keep_damaged=True)
    assert result.shape == (360, 480) and result.report()["damaged"]
    assert caught[0].filename == __file__


def test_a_file_with_too_many_pixels_is_refused(mug: Path) -> None:
    with pytest.raises(dc.ImageError, match="max_pixels"):
        dc.segment(mug, max_pixels=1000)
