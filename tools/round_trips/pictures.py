"""Made-up pictures whose masks are hard to write down: see `make`."""
import os

import numpy as np
from PIL import Image, ImageDraw

ORIENTATION = 0x0112


def blobs(height, width, cell, colors, seed):
    """Random colors in cells, with single odd pixels: nearest upsampling makes holes, diagonal touches and stray pixels of them."""
    generator = np.random.default_rng(seed)
    grid = generator.integers(0, len(colors), (-(-height // cell), -(-width // cell)))
    large = np.kron(grid, np.ones((cell, cell), int))[:height, :width]
    stray = generator.random((height, width)) < 0.02
    large[stray] = generator.integers(0, len(colors), stray.sum())
    return np.array(colors, np.uint8)[large]


def rings(height, width):
    """Two rings, a checkerboard and a bar on a lawn."""
    image = Image.new("RGB", (width, height), (90, 140, 60))
    draw = ImageDraw.Draw(image)
    for x, color in [(0.28, (200, 40, 40)), (0.68, (40, 60, 200))]:
        radius, center = 0.28 * height, (x * width, 0.42 * height)
        for share, fill in [(1, color), (0.55, (90, 140, 60)), (0.25, color)]:
            box = [c - s * radius * share for c, s in zip(center, (1, 1))] + [c + radius * share for c in center]
            draw.ellipse(box, fill=fill)
    side = max(height // 12, 1)
    for row in range(3):
        for column in range(6):
            if (row + column) % 2:
                left, top = 0.3 * width + column * side, 0.74 * height + row * side
                draw.rectangle([left, top, left + side - 1, top + side - 1], fill=(220, 220, 70))
    draw.rectangle([0, 0, width // 9, height // 5], fill=(230, 230, 230))
    return image


def make(folder):
    """Fills a folder with pictures: of any shape, in a folder with odd names, turned by EXIF, of a single color."""
    colors = [(200, 40, 40), (40, 60, 200), (90, 140, 60), (230, 220, 80)]
    os.makedirs(os.path.join(folder, "odd & more"))

    def save(image, *path, **options):
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image.save(os.path.join(folder, *path), **options)

    save(blobs(43, 57, 3, colors, 1), "small.png")
    save(blobs(120, 50, 10, colors, 2), "tall.png")
    save(rings(320, 480), "rings.png")
    save(rings(150, 100).rotate(90, expand=True), "odd & more", "größe <1> 'a'.png")
    save(blobs(64, 64, 16, colors, 3), "coarse.png")
    save(rings(64, 80), "drawn.bmp")
    save(Image.new("RGB", (40, 30), (120, 120, 120)), "plain.png")
    save(blobs(1, 9, 1, colors, 4), "line.png")
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    save(rings(90, 140), "turned.jpg", quality=95, exif=turned)
