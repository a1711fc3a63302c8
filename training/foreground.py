"""Makes the file that the program embeds of one that train.py wrote: without the mask head, and with the foreground made to stand out in the features.

    foreground.py NETWORK.safetensors OUT.safetensors [--weight 3]

What is the foreground can be told from the features by a plane, and better than by cutting them, as they hold much else. So the plane's logit,
times `weight`, takes the direction in them that the last layer uses least. That is linear, as the last layer is, and becomes part of
it: the network stays as large and as fast. The larger the weight, the more the cut is what the plane says, and the less is left to tell parts by."""
import argparse
import torch
from safetensors.torch import load_file
from export import write

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("network"); ap.add_argument("out"); ap.add_argument("--weight", type=float, default=3.0)
    a = ap.parse_args()
    tensors = {name: tensor.float() for name, tensor in load_file(a.network).items()}
    plane, bias = tensors.pop("prior.weight")[0], tensors.pop("prior.bias")
    head, shift = tensors["head.weight"].flatten(1), tensors["head.bias"]
    least = torch.linalg.svd(head).U[:, -1]
    others = torch.eye(len(head)) - torch.outer(least, least)
    tensors["head.weight"] = (others @ head + a.weight * torch.outer(least, plane @ head)).view_as(tensors["head.weight"])
    tensors["head.bias"] = others @ shift + a.weight * (plane @ shift + bias) * least
    # So that the program can read the logit back: the plane through the new features, and its bias.
    tensors["objectness"] = torch.cat([least / a.weight, torch.zeros(1)])
    write({name: tensor for name, tensor in tensors.items() if not name.startswith("mask.")}, a.out)
