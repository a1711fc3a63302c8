"""Vision transformers with timm's or DINOv2's tensor names, as much of them as the teachers need."""
import torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import load_file


class Scale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.gamma


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        """The output and, of all patches, key and value with their heads concatenated."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        split = lambda t: t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        out = F.scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).flatten(2)
        return self.proj(out), k[:, 1:], v[:, 1:]


class Block(nn.Module):
    def __init__(self, width, heads, scaled):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.attn = Attention(width, heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.ls1, self.ls2 = (Scale(width), Scale(width)) if scaled else (nn.Identity(), nn.Identity())

    def forward(self, x):
        out, key, value = self.attn(self.norm1(x))
        x = x + self.ls1(out)
        return x + self.ls2(self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))), key, value


class ViT(nn.Module):
    """The network in `path`. `want` names what is returned, block by block counted from 0: `{8: ("key", "token")}`; later blocks are left out.

    `mean` and `std` are of its input, `offset` is what its authors add to a grid's size before the positions are interpolated to it."""

    def __init__(self, path, mean, std, want, offset=0.0):
        super().__init__()
        tensors = load_file(path)
        width, _, self.patch, _ = tensors["patch_embed.proj.weight"].shape
        self.want, self.width, self.offset = want, width, offset
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, self.patch, self.patch)})
        self.cls_token, self.pos_embed = nn.Parameter(torch.empty(1, 1, width)), nn.Parameter(torch.empty_like(tensors["pos_embed"], dtype=torch.float32))
        self.blocks = nn.ModuleList(Block(width, width // 64, "blocks.0.ls1.gamma" in tensors) for _ in range(max(want) + 1))
        missing, _ = self.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
        if missing:
            raise SystemExit(f"{path} lacks {', '.join(missing)}")
        for name, value in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1))

    def positions(self, h, w):
        side = round((self.pos_embed.shape[1] - 1) ** 0.5)
        grid = self.pos_embed[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2).float()
        if self.offset:
            grid = F.interpolate(grid, scale_factor=((h + self.offset) / side, (w + self.offset) / side), mode="bicubic")
        else:
            grid = F.interpolate(grid, (h, w), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)

    def forward(self, x, grid):
        """What is wanted of pictures in 0..1, each (B, width, h, w), in the order of blocks; the pictures are resized to the `grid` of (h, w) patches."""
        x = F.interpolate(x, [side * self.patch for side in grid], mode="bilinear", antialias=True, align_corners=False)
        x = self.patch_embed["proj"](((x - self.mean) / self.std).to(self.cls_token)).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1).to(x), x], 1) + self.positions(*grid).to(self.cls_token)
        out = []
        for i, block in enumerate(self.blocks):
            x, key, value = block(x)
            named = {"key": key, "value": value, "token": x[:, 1:]}
            out += [named[facet].transpose(1, 2).unflatten(2, grid) for facet in self.want.get(i, ())]
        return out
