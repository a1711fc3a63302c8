"""Pseudo-masks of all pictures from the program's masks of some.

A plane through a network's features tells foreground from background (logistic regression of the program's masks). Three networks have one each: the program's own, as
the last run left it, and two pretrained transformers, as they are. Each errs in its own way, so their logits are summed; then refine.py drops what is not
the object's and finds its edges."""
import torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import load_file
from data import autocast, batch, half, scaled
from export import MEAN, STD, forward
from refine import fit, guided, iou, peaks
from vit import ViT

# Patches of the transformers by the shape of the picture: as many as squares of 448 and 504 pixels have.
TINY = {"landscape": (25, 32), "portrait": (32, 25), "square": (28, 28)}
DEEP = {"landscape": (32, 42), "portrait": (42, 32), "square": (36, 36)}
# Radius of the guided filter for masks at half the size, which is that of 10 pixels in a picture of 400.
RADIUS = 4


def tiny(path, want):
    """timm's vit_tiny_patch16_224."""
    return ViT(path, (0.5,) * 3, (0.5,) * 3, want)


def deep(path, want):
    """A vision transformer in DINOv2's layout."""
    return ViT(path, MEAN, STD, want, offset=0.1)


class Plane:
    """Logistic regression of shares `y` (N) on features `x` (N, C): `weight` (C) and `bias` of the logit. Features count by their deviations."""
    def __init__(self, x, y, ridge=1e-2):
        self.mean, self.deviation = x.mean(0), x.std(0) + 1e-6
        x = (x - self.mean) / self.deviation
        w = torch.zeros(x.shape[1], device=x.device, requires_grad=True); b = torch.zeros(1, device=x.device, requires_grad=True)
        opt = torch.optim.LBFGS([w, b], max_iter=60, line_search_fn="strong_wolfe")

        def loss():
            opt.zero_grad()
            value = F.binary_cross_entropy_with_logits(x @ w + b, y) + ridge * w.square().sum()
            value.backward()
            return value

        with torch.enable_grad():
            opt.step(loss)
        self.weight = w.detach() / self.deviation
        self.bias = b.detach() - self.weight @ self.mean

    def __call__(self, features):
        """Of features (B, C, h, w), the logits (B, 1, h, w). A sum of large, nearly opposite numbers, were the means not taken away first."""
        each = lambda v: v[None, :, None, None]
        return ((features - each(self.mean)) * each(self.weight)).sum(1, keepdim=True) + self.weight @ self.mean + self.bias


class Teacher:
    def __init__(self, network, teacher, depth, device):
        self.device, self.planes = device, []
        self.network = {name: tensor.float().to(device) for name, tensor in load_file(network).items()}
        self.tiny = tiny(teacher, {6: ("value",), 8: ("key", "token")}).to(device).eval()
        self.deep = deep(depth, {5: ("token",), 8: ("token",), 11: ("token",)}).to(device).eval()
        self.mean, self.std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, STD))

    @torch.no_grad()
    def features(self, x, shape):
        """Of pictures (B, 3, H, W) in 0..1, what each network makes of them."""
        with autocast(self.device):
            own = forward(self.network, (fit(x, scaled(shape, 1.2)) - self.mean) / self.std)
            return [v.float() for v in (own, torch.cat(self.tiny(x, TINY[shape]), 1), torch.cat(self.deep(x, DEEP[shape]), 1))]

    def learn(self, data, most=2000, patches=256):
        """Fits the planes on the pictures that the program cut, `most` at most, so many patches of each."""
        rows = [[], [], []]; total = sum(int(of["cut"].sum()) for of in data.values())
        for shape, of in data.items():
            area = of["masks"].float().mean((1, 2)) / 255
            some = (of["cut"] & (area > 0.01) & (area < 0.75)).nonzero()[:, 0]
            for pick in some[:: -(-total // most)].split(16):
                x, mask = batch(of, pick)
                for into, v in zip(rows, self.features(x, shape)):
                    every = torch.randperm(v[0, 0].numel(), device=v.device)[:patches]
                    into.append((v.flatten(2)[:, :, every].transpose(1, 2).flatten(0, 1), fit(mask, v.shape[2:]).flatten(1)[:, every].flatten()))
        self.planes = [Plane(*map(torch.cat, zip(*row))) for row in rows]

    def logits(self, x, shape, size):
        return [fit(plane(v), size) for plane, v in zip(self.planes, self.features(x, shape))]

    def answer(self, x, shape):
        """The object's share of each pixel (B, 1, h, w) of half the size, and how far network and transformers agree (B)."""
        size = half(x.shape[2:])
        own, *others = self.logits(x, shape, half(size))
        return fit(peaks(own + sum(others)).sigmoid(), size), iou(own > 0, sum(others) > 0)

    @torch.no_grad()
    def label(self, data):
        """Replaces the masks of all pictures."""
        for shape, of in data.items():
            trust = []
            for pick in torch.arange(len(of["pictures"]), device=self.device).split(64):
                x, _ = batch(of, pick)
                mask, agreement = self.answer(x, shape)
                mask = guided(mask, fit(x, mask.shape[2:]), RADIUS).clamp(0, 1)
                of["masks"][pick] = (mask * 255).round().byte()[:, 0]
                area = mask.mean((1, 2, 3))
                trust.append(torch.where((area > 0.005) & (area < 0.75), agreement, 0))
            of["trust"] = torch.cat(trust)
