"""Packs what the labeller and the student learn from into one folder: pictures, pseudo-masks and how far to trust them.

    prepare.py PICTURES OUT MASKS [MASKS...]

PICTURES is a folder of photographs, each MASKS what `deepcut segment --format mask,json` made of it with other settings; see README.md for the
commands. The pseudo-mask is the vote of all; a picture is trusted as far as the first two agree. (Agreement with a student would pick the
pictures that it can do already.)

    index.json    a list of [shape, begin, middle, end, confidence of the first cut, IoU of the first two masks (1 if there is one)]
    pictures.bin  each picture's file from begin to middle; to end its pseudo-mask, (H/4, W/4) u8 in zlib, 255 is foreground in every mask
"""
import argparse, json, os, zlib
import numpy as np
from PIL import Image
from data import SHAPES, parallel, shape_of, share

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("pictures"); ap.add_argument("out"); ap.add_argument("masks", nargs="+")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)

    # A picture without a mask was refused by `segment`, which said why.
    names = [n for n in sorted(os.listdir(a.pictures)) if all(os.path.exists(f"{m}/{os.path.splitext(n)[0]}.mask.png") for m in a.masks)]

    def entry(name):
        stem, file = os.path.splitext(name)[0], open(f"{a.pictures}/{name}", "rb").read()
        shape = shape_of(*Image.open(f"{a.pictures}/{name}").size)
        votes = [share(Image.open(f"{m}/{stem}.mask.png"), SHAPES[shape]) for m in a.masks]
        first, second = (v > 127 for v in (votes * 2)[:2])
        agreement = (first & second).sum() / max(1, (first | second).sum())
        confidence = json.load(open(f"{a.masks[0]}/{stem}.json"))["confidence"] or 0.0
        # Sixteen levels, in which the vote compresses well.
        vote = (np.mean(votes, 0) / 17).round().astype(np.uint8) * 17
        return shape, file, zlib.compress(vote.tobytes(), 9), float(confidence), float(agreement)

    index, position = [], 0
    with open(f"{a.out}/pictures.bin", "wb") as out:
        for shape, file, mask, *trust in parallel(entry, names):
            out.write(file + mask)
            index.append([shape, position, position + len(file), position + len(file) + len(mask), *trust])
            position = index[-1][3]
    json.dump(index, open(f"{a.out}/index.json", "w"))
    print(f"{len(index)} pictures")
