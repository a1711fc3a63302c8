"""Makes the foreground stand out in a network's features, by its last layer alone.

    foreground.py NETWORK.safetensors FEATURES OUT.safetensors MASKS [MASKS...] [--weight 3]

FEATURES is what `deepcut features` made of some photographs with NETWORK, each MASKS a folder of pseudo-masks of them, as for prepare.py. What is the
foreground can be told from the features by a plane, and better than by cutting them, as they hold much else. So the plane is fitted (logistic
regression of the vote), and its logit, times `weight`, added to the features along the direction that they use least. That is linear, as the head is, and becomes part of
it: the network stays as large and as fast. The larger the weight, the more the cut is what the plane says, and the less is left to tell parts by."""
import argparse, os
import numpy as np, torch, torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from data import contrast, share, sound
from export import CARD

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("network"); ap.add_argument("features"); ap.add_argument("out"); ap.add_argument("masks", nargs="+")
ap.add_argument("--weight", type=float, default=3.0); ap.add_argument("--sharpen", type=float, default=1.5, help="contrast of the votes, as in label.py")
a = ap.parse_args()

suffix = ".features.safetensors"
rows, shares = [], []
for name in sorted(os.listdir(a.features)):
    features = load_file(f"{a.features}/{name}")["features"].float(); h, w, _ = features.shape
    votes = [share(Image.open(f"{folder}/{name.removesuffix(suffix)}.mask.png"), (4 * h, 4 * w)) for folder in a.masks]
    vote = torch.from_numpy(np.mean(votes, 0, dtype=np.float32) / 255)
    if sound(vote.mean()):
        rows.append(features.flatten(0, 1)); shares.append(contrast(vote, a.sharpen).flatten())
x, y = torch.cat(rows), torch.cat(shares)

plane, bias = torch.zeros(x.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
opt = torch.optim.LBFGS([plane, bias], max_iter=100, line_search_fn="strong_wolfe")


def loss():
    opt.zero_grad()
    value = F.binary_cross_entropy_with_logits(x @ plane + bias, y) + 1e-5 * plane.square().sum()
    value.backward()
    return value


print(f"{len(rows)} pictures, {len(x)} patches; loss {opt.step(loss):.4f} before", end="")
print(f", {loss():.4f} after; agrees with the vote on {((x @ plane + bias > 0) == (y > 0.5)).float().mean():.4f} of the patches")
with torch.no_grad():
    energy, basis = torch.linalg.eigh(x.T @ x / len(x))
    least = basis[:, 0] * a.weight
    print(f"the direction used least has {energy[0] / energy.sum():.1e} of the energy, the logit a mean square of {(x @ plane + bias).square().mean() / energy.sum():.3f} of it")
    tensors = load_file(a.network)
    head, shift = tensors["head.weight"].float().flatten(1), tensors["head.bias"].float()
    logit = plane @ shift + bias
    tensors["head.weight"] = (head + torch.outer(least, plane @ head)).view_as(tensors["head.weight"]).half()
    tensors["head.bias"] = (shift + least * logit).half()
save_file(tensors, a.out, metadata={"deepcut": safe_open(a.network, "pt").metadata()["deepcut"]} | CARD)
