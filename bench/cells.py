#!/usr/bin/env python3
"""Draws a set of another kind than photographs: dark, textured cells on a bright, noisy, unevenly lit ground, and their masks.

    python3 bench/cells.py cells 120

writes cells/images/000.png … and cells/masks/000.png … (255 inside a cell). Every number has its own seed, so the set is the same on every
machine, and a longer one begins with a shorter one. Needs nothing but Python."""
import math, random, struct, sys, zlib
from pathlib import Path

SIDE = 256


def png(path, channels, rows):
    """Writes rows of bytes, of one channel (gray) or three (color)."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


class Cell:
    def __init__(self, draw):
        self.y, self.x = draw.uniform(0, SIDE), draw.uniform(0, SIDE)
        self.radius = math.exp(draw.uniform(math.log(9), math.log(38)))
        self.flat, self.turn = draw.uniform(0.7, 1), draw.uniform(0, math.pi)
        # The outline is wavy, the inside mottled, with a darker nucleus.
        self.waves = [(n, draw.uniform(0, 0.25 / n), draw.uniform(0, 2 * math.pi)) for n in (2, 3, 5)]
        self.dark = draw.uniform(25, 60)
        self.mottle = [(draw.uniform(-0.9, 0.9), draw.uniform(-0.9, 0.9), draw.uniform(4, 14)) for _ in range(3)]
        self.reach = 1.5 * self.radius

    def depth(self, y, x):
        """How far inside a point is, as a share of the radius; negative outside."""
        v, u = y - self.y, x - self.x
        u, v = u * math.cos(self.turn) + v * math.sin(self.turn), (v * math.cos(self.turn) - u * math.sin(self.turn)) / self.flat
        angle = math.atan2(v, u)
        outline = self.radius * (1 + sum(size * math.sin(n * angle + phase) for n, size, phase in self.waves))
        return 1 - math.hypot(u, v) / outline

    def shade(self, y, x, depth):
        """How much darker than the ground a point inside is."""
        v, u = (y - self.y) / self.radius, (x - self.x) / self.radius
        mottle = sum(size * math.exp(-8 * ((u - a) ** 2 + (v - b) ** 2)) for a, b, size in self.mottle)
        return min(1, depth * self.radius / 2) * (self.dark + mottle + (25 if depth > 0.6 else 0))


def draw(number):
    """Rows of an image's bytes, and of its mask's."""
    draw = random.Random(1000 + number)
    cells = [Cell(draw) for _ in range(draw.randint(1, 9))]
    ground = [draw.uniform(150, 210) + draw.uniform(-12, 12) for _ in range(3)]
    tilt = [draw.uniform(-25, 25) for _ in range(2)]
    stain = [draw.uniform(0.7, 1.3) for _ in range(3)]
    noise = draw.uniform(4, 12)
    # Noise of two scales, as of a sensor and of a medium.
    coarse = [[draw.gauss(0, noise) for _ in range(SIDE // 8 + 1)] for _ in range(SIDE // 8 + 1)]
    image, mask = [], []
    for y in range(SIDE):
        row, inside = bytearray(), bytearray()
        near = [cell for cell in cells if abs(cell.y - y) <= cell.reach]
        for x in range(SIDE):
            shade = 0
            for cell in near:
                if abs(cell.x - x) <= cell.reach and (depth := cell.depth(y, x)) > 0:
                    shade = max(shade, cell.shade(y, x, depth))
            inside.append(255 if shade > 0 else 0)
            light = tilt[0] * (y / SIDE - 0.5) + tilt[1] * (x / SIDE - 0.5) + coarse[y // 8][x // 8] * 0.5 + draw.gauss(0, noise)
            row += bytes(max(0, min(255, round(g + light - s * shade))) for g, s in zip(ground, stain))
        image.append(row), mask.append(inside)
    return image, mask


def main(folder, count):
    folder = Path(folder)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, mask = draw(number)
        png(folder / "images" / f"{number:03}.png", 3, image)
        png(folder / "masks" / f"{number:03}.png", 1, mask)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
