"""A small PNG writer, for pictures in notebooks."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encode(rgb: NDArray[np.uint8]) -> bytes:
    """A PNG file of (H, W, 3) pixels.

    Each row is stored as differences to the row above (filter 2), which compresses photographs well enough.
    """
    height, width, _ = rgb.shape
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = 2
    flat = rgb.reshape(height, 3 * width)
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def shrink(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture at 1/2, 1/3, … of its size, so that no side is longer than `side` pixels; each pixel is the mean of a square."""
    height, width, _ = rgb.shape
    by = -(-max(height, width) // side)
    if by <= 1:
        return rgb
    # A picture thinner than a square keeps its last rows or columns repeated.
    padded = np.pad(rgb, ((0, -height % by), (0, -width % by), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // by, by, padded.shape[1] // by, by, 3)
    mean: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    small: NDArray[np.uint8] = mean.round().astype(np.uint8)
    return small
