"""Finds the foreground's direction in the features of a network that an earlier script (foreground.py, in the history) made, and adds it to the file.

    objectness.py NETWORK.safetensors FEATURES_FOLDER OUT.safetensors [--weight 3]

That script put the logit of the foreground's plane, times `weight`, into one direction of the features. Nothing else in them is nearly as large, so it
is their first principal component over many pictures: FEATURES_FOLDER holds what `deepcut features PICTURES -o FEATURES_FOLDER` wrote. Its sign is that of the
patches inside, against those of the border."""
import argparse, glob
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("network"); ap.add_argument("features"); ap.add_argument("out"); ap.add_argument("--weight", type=float, default=3.0)
    a = ap.parse_args()
    total, mean, products, border, whole = 0, 0.0, 0.0, [], []
    for path in sorted(glob.glob(f"{a.features}/**/*.features.safetensors", recursive=True)):
        grid = load_file(path)["features"].astype(np.float64)
        rows = grid.reshape(-1, grid.shape[-1])
        total, mean, products = total + len(rows), mean + rows.sum(0), products + rows.T @ rows
        border.append(np.concatenate([grid[0], grid[-1], grid[:, 0], grid[:, -1]]).mean(0)); whole.append(rows.mean(0))
    mean = mean / total
    values, vectors = np.linalg.eigh(products / total - np.outer(mean, mean))
    direction = vectors[:, -1] * np.sign((np.mean(whole, 0) - np.mean(border, 0)) @ vectors[:, -1])
    print(f"{total} patches; standard deviations of the first two components: {np.sqrt(values[-1]):.2f}, {np.sqrt(values[-2]):.2f}")
    tensors = load_file(a.network)
    tensors["objectness"] = np.append(direction / a.weight, 0).astype(np.float16)
    with safe_open(a.network, "np") as file:
        metadata = file.metadata()
    save_file(tensors, a.out, metadata=metadata)
