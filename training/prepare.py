"""Packs what is learned from into one folder: pictures, and the program's masks of some of them.

    prepare.py PICTURES OUT MASKS

PICTURES is a folder of photographs, MASKS what `deepcut segment --format mask` made of some of them; see README.md for the commands.

    index.json    a list of [shape, begin, middle, end]
    pictures.bin  each picture's file from begin to middle; to end, if there is one, its mask, (H/2, W/2) u8 in zlib
"""
import argparse, json, os, zlib
import numpy as np
from PIL import Image
from data import SHAPES, half, parallel, shape_of

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("pictures"); ap.add_argument("out"); ap.add_argument("masks")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)

    def entry(name):
        file, path = open(f"{a.pictures}/{name}", "rb").read(), f"{a.masks}/{os.path.splitext(name)[0]}.mask.png"
        shape = shape_of(*Image.open(f"{a.pictures}/{name}").size)
        if not os.path.exists(path):
            return shape, file, b""
        mask = np.asarray(Image.open(path).convert("L").resize(half(SHAPES[shape])[::-1], Image.BOX))
        return shape, file, zlib.compress(mask.tobytes(), 9)

    index, position = [], 0
    with open(f"{a.out}/pictures.bin", "wb") as out:
        for shape, file, mask in parallel(entry, sorted(os.listdir(a.pictures))):
            out.write(file + mask)
            index.append([shape, position, position + len(file), position + len(file) + len(mask)])
            position = index[-1][3]
    json.dump(index, open(f"{a.out}/index.json", "w"))
    print(f"{len(index)} pictures, {sum(end > middle for _, _, middle, end in index)} with the program's mask")
