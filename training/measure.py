"""What the masks of a network that make.py or average.py wrote are worth, without the program: measure.py NETWORK.safetensors ECSSD [--resolution 352]

prints mean IoU of one half of the pictures, of the other and of all, of the mask head, of the foreground's plane and of both."""
import argparse
import torch
from safetensors.torch import load_file
from data import annotated
from export import MEAN, STD, forward
from refine import fit, guided, iou, peaks

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("network"); ap.add_argument("ecssd"); ap.add_argument("--resolution", type=int, default=352)
    a = ap.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensors = {name: tensor.float().to(device) for name, tensor in load_file(a.network).items()}
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, STD))
    found = {}
    with torch.no_grad():
        for x, truth in annotated(a.ecssd, device):
            scale = a.resolution / (x.shape[2] * x.shape[3]) ** 0.5
            features, mask = forward(tensors, (fit(x, [max(1, round(side * scale / 16)) * 16 for side in x.shape[2:]]) - mean) / std, masks=True)
            plane = (features * tensors["prior.weight"][0].view(1, -1, 1, 1)).sum(1, keepdim=True) + tensors["prior.bias"]
            share = lambda logit: fit(logit.sigmoid(), x.shape[2:])
            for name, soft in {"mask head": share(mask), "mask head, guided": guided(share(mask), x), "mask head, peaks, guided": guided(share(peaks(mask)), x),
                               "plane, peaks, guided": guided(share(peaks(plane)), x), "sum, peaks, guided": guided(share(peaks(mask + fit(plane, mask.shape[2:]))), x)}.items():
                found.setdefault(name, []).append(iou(soft > 0.5, truth))
    for name, each in found.items():
        each = torch.cat(each)
        print(f"{name:26} {each[::2].mean():.4f} {each[1::2].mean():.4f} {each.mean():.4f}")
