"""Averages the weights of the network that a run began with and of the one it ended with: what one learned by heart, the other did not.

    average.py BEFORE.safetensors AFTER.safetensors OUT.safetensors PACKED [--before 0.3]

The last layer and what BEFORE lacks are AFTER's. The foreground's plane is fitted anew, to what the mask head says of the pictures that were held out, at most --most of each shape."""
import argparse
import torch
from safetensors.torch import load_file
from data import HELD, SHAPES, batch, packed, scaled
from export import MEAN, STD, forward, write
from refine import fit, guided, peaks
from teacher import Plane

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("before"); ap.add_argument("after"); ap.add_argument("out"); ap.add_argument("packed")
    ap.add_argument("--before", dest="share", type=float, default=0.3); ap.add_argument("--most", type=int, default=30)
    a = ap.parse_args()
    before, after = ({name: tensor.float() for name, tensor in load_file(path).items()} for path in (a.before, a.after))
    tensors = {name: torch.lerp(after[name], before[name], a.share) if name in before and not name.startswith("head.") else after[name] for name in after}
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    rows = []
    with torch.no_grad():
        for shape, of in packed(a.packed, "cpu", HELD).items():
            for pick in torch.arange(len(of["pictures"]))[:a.most].split(8):
                x = fit(batch(of, pick)[0], scaled(shape, 1.2))
                features, mask = forward(tensors, (x - mean) / std, masks=True)
                share = guided(fit(peaks(mask).sigmoid(), SHAPES[shape]), fit(x, SHAPES[shape])).clamp(0, 1)
                rows.append((features.permute(0, 2, 3, 1).flatten(0, 2), fit(share, features.shape[2:]).flatten()))
    x, y = map(torch.cat, zip(*rows))
    plane = Plane(x, y, ridge=1e-4)
    print(f"{len(x)} patches; the plane agrees with the mask head on {((x @ plane.weight + plane.bias > 0) == (y > 0.5)).float().mean():.4f} of them")
    write(tensors | {"prior.weight": plane.weight[None], "prior.bias": plane.bias}, a.out, masks=True)
