"""Packs what the student learns from into one folder: pictures, pseudo-masks, how far to trust them, and the teacher's features.

    prepare.py PICTURES FEATURES OUT MASKS [MASKS...]

PICTURES is a folder of photographs, FEATURES what `deepcut features` made of them (24 x 24 patches), each MASKS what
`deepcut segment --format mask,json` did with other settings; see README.md for the commands. The pseudo-mask is the vote of all; a picture is
trusted as far as the first two agree. (Agreement with a student would pick the pictures that it can do already.)

Written for each of three shapes (landscape 256 x 336, portrait 336 x 256, square 288 x 288), so that a batch is of one shape and hardly
distorted:
    SHAPE.pictures.npy  (N, H, W, 3) u8
    SHAPE.masks.npy     (N, H/4, W/4) u8, 255 is foreground in every mask
    SHAPE.targets.npy   (N, 24, 24, 128) f16, unit features on their first 128 uncentred principal directions
    SHAPE.trust.npy     (N, 2) f32: confidence of the first cut, and IoU of the first two masks (1 if there is one)
"""
import argparse, json, os
from concurrent.futures import ThreadPoolExecutor
import numpy as np, torch, torch.nn.functional as F
from PIL import Image
from safetensors.numpy import load_file

SHAPES = {"landscape": (256, 336), "portrait": (336, 256), "square": (288, 288)}


def shape_of(width, height):
    return "landscape" if width > 1.15 * height else "portrait" if height > 1.15 * width else "square"


def load_mask(folder, stem, size):
    return Image.open(f"{folder}/{stem}.mask.png").convert("L").resize(size, Image.BOX)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("pictures"); ap.add_argument("features"); ap.add_argument("out"); ap.add_argument("masks", nargs="+")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)

    # A picture without a mask was refused by `segment`, which said why.
    names = sorted(n for n in os.listdir(a.pictures) if all(os.path.exists(f"{m}/{os.path.splitext(n)[0]}.mask.png") for m in a.masks))
    stems = [os.path.splitext(n)[0] for n in names]
    features = lambda stem: torch.from_numpy(load_file(f"{a.features}/{stem}.features.safetensors")["features"])
    unit = lambda f: F.normalize(f.reshape(-1, f.shape[-1]), dim=-1)

    sample = torch.cat([unit(features(s)) for s in stems[::53]])
    energy, basis = torch.linalg.eigh(sample.T @ sample / len(sample))
    basis = basis[:, -128:].flip(1)
    print(f"{len(stems)} pictures; 128 directions keep {float(energy[-128:].sum() / energy.sum()):.4f} of the features' energy")

    groups = {shape: [] for shape in SHAPES}
    for name, stem in zip(names, stems):
        groups[shape_of(*Image.open(f"{a.pictures}/{name}").size)].append((name, stem))
    for shape, (height, width) in SHAPES.items():
        group = groups[shape]; n = len(group)
        array = lambda what, dtype, *size: np.lib.format.open_memmap(f"{a.out}/{shape}.{what}.npy", mode="w+", dtype=dtype, shape=(n, *size))
        pictures, masks = array("pictures", np.uint8, height, width, 3), array("masks", np.uint8, height // 4, width // 4)
        targets, trust = array("targets", np.float16, 24, 24, 128), array("trust", np.float32, 2)

        def fill(i):
            name, stem = group[i]
            pictures[i] = Image.open(f"{a.pictures}/{name}").convert("RGB").resize((width, height), Image.LANCZOS)
            targets[i] = (unit(features(stem)) @ basis).reshape(24, 24, 128).half().numpy()
            votes = [np.asarray(load_mask(m, stem, (width // 4, height // 4))) for m in a.masks]
            masks[i] = np.mean(votes, 0)
            first, second = (v > 127 for v in (votes * 2)[:2])
            agreement = (first & second).sum() / max(1, (first | second).sum())
            trust[i] = json.load(open(f"{a.masks[0]}/{stem}.json"))["confidence"] or 0.0, agreement

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, range(n)))
        print(f"{shape}: {n}")
