"""The labeller: pretrained vision transformers with a small head, which learns from the pseudo-masks and labels any view for the student.

It sees each pseudo-mask a few times only, so it keeps what they have in common and not their errors, and being pretrained it
needs no more than that. Its first transformer stays as it is and gives the kernel that the student matches, its second is tuned."""
import torch, torch.nn as nn, torch.nn.functional as F
from teacher import deep, tiny

WIDTH = 256
# Patches of the labeller by the shape of the picture.
GRIDS = {"landscape": (24, 32), "portrait": (32, 24), "square": (28, 28)}


class Labeller(nn.Module):
    def __init__(self, teacher, depth):
        """`teacher`: file of ViT-Ti/16 (AugReg). `depth`: file of a ViT in DINOv2's layout."""
        super().__init__()
        self.teacher = tiny(teacher, {6: ("value",), 8: ("key", "token")}).requires_grad_(False)
        self.depth = deep(depth, {5: ("token",), 8: ("token",), 11: ("token",)})
        widths = [self.teacher.width] + [self.depth.width] * 3
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for width in widths)
        self.project = nn.Conv2d(sum(widths), WIDTH, 1)
        conv = lambda: nn.Sequential(nn.GroupNorm(1, WIDTH), nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.GELU(), nn.Conv2d(WIDTH, WIDTH, 1))
        self.convs = nn.ModuleList(conv() for _ in range(2))
        self.out = nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(WIDTH // 4, WIDTH // 4, 3, padding=1), nn.GELU(), nn.Conv2d(WIDTH // 4, 1, 3, padding=1))

    def forward(self, x, grid):
        """Of pictures (B, 3, H, W) in 0..1: logits of the foreground (B, 1, 2h, 2w), the teacher's features (B, 384, h, w), whose products are
        mean cosines of its two facets, and the last tokens of the other (B, 384, h, w)."""
        with torch.no_grad():
            value, key, token = self.teacher(x, grid)
            kernel = torch.cat([F.normalize(facet.float(), dim=1) for facet in (value, key)], 1) / 2 ** 0.5
        tokens = [token, *self.depth(x, grid)]
        y = self.project(torch.cat([norm(t) for norm, t in zip(self.norms, tokens)], 1))
        for conv in self.convs:
            y = y + conv(y)
        return self.out(y), kernel, tokens[-1]
