"""What prepare.py packed, in the memory of the device that trains."""
import io, json, os, zlib
from concurrent.futures import ThreadPoolExecutor
import numpy as np, torch
from PIL import Image

# Height and width of each shape, so that a batch is of one shape and hardly distorted.
SHAPES = {"landscape": (256, 336), "portrait": (336, 256), "square": (288, 288)}


def shape_of(width, height):
    return "landscape" if width > 1.15 * height else "portrait" if height > 1.15 * width else "square"


def pixels(file, size):
    """A picture's, (3, H, W) u8."""
    return np.asarray(Image.open(file).convert("RGB").resize(size[::-1], Image.LANCZOS)).transpose(2, 0, 1)


def share(mask, size):
    """A mask's, at a quarter of the picture's `size`, (H/4, W/4) u8."""
    return np.asarray(mask.convert("L").resize((size[1] // 4, size[0] // 4), Image.BOX))


def contrast(mask, by):
    """A mask in 0..1 with `by` times its contrast about a half."""
    return ((mask - 0.5) * by + 0.5).clamp(0, 1)


def sound(area):
    """Whether a pseudo-mask of this share of the picture is neither nearly nothing nor nearly everything."""
    return (area > 0.02) & (area < 0.75)


def together(rows, device):
    """Rows (shape, picture, mask, trust) as tensors by shape: pictures (N, 3, H, W) u8, masks (N, H/4, W/4) u8, trust (N, 2)."""
    out = {}
    for shape in SHAPES:
        columns = list(zip(*(row[1:] for row in rows if row[0] == shape)))
        if columns:
            out[shape] = {name: torch.from_numpy(np.stack(column)).to(device) for name, column in zip(("pictures", "masks", "trust"), columns)}
    return out


def low(device):
    """Whether the device multiplies bfloat16; elsewhere it would be many times slower than float32."""
    return device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def autocast(device):
    return torch.autocast(device, dtype=torch.bfloat16, enabled=low(device))


def parallel(work, items):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def packed(folder, device):
    """What prepare.py wrote to `folder`."""
    entries = json.load(open(f"{folder}/index.json"))
    file = open(f"{folder}/pictures.bin", "rb").read()

    def row(entry):
        shape, begin, middle, end, *trust = entry
        h, w = SHAPES[shape]
        mask = np.frombuffer(zlib.decompress(file[middle:end]), np.uint8).reshape(h // 4, w // 4)
        return shape, pixels(io.BytesIO(file[begin:middle]), (h, w)), mask, np.float32(trust)

    return together(parallel(row, entries), device)


def annotated(folder, device):
    """The pictures and true masks of a data set laid out as ECSSD's."""
    def row(name):
        image = Image.open(f"{folder}/images/{name}")
        shape = shape_of(*image.size)
        mask = Image.open(f"{folder}/ground_truth_mask/{os.path.splitext(name)[0]}.png")
        return shape, pixels(f"{folder}/images/{name}", SHAPES[shape]), share(mask, SHAPES[shape]), np.float32([1, 1])

    return together(parallel(row, sorted(os.listdir(f"{folder}/images"))), device)


def trusted(data, keep):
    """Of each shape, the indices of the `keep` most trusted pictures whose pseudo-mask is sound."""
    trust = torch.cat([of["trust"] for of in data.values()])
    area = torch.cat([of["masks"].float().mean((1, 2)) / 255 for of in data.values()])
    # Both kinds of trust are used as ranks, as neither is calibrated.
    rank = lambda v: v.argsort().argsort() / len(v)
    value, good = rank(trust[:, 0]) + rank(trust[:, 1]), sound(area)
    chosen = good & (value >= value[good].quantile(1 - keep))
    return {shape: part.nonzero()[:, 0] for shape, part in zip(data, chosen.split([len(of["trust"]) for of in data.values()]))}


def batches(indices, size, seed):
    """One epoch: (shape, indices), in random order. `indices`: tensors by shape."""
    rng = np.random.default_rng(seed); out = []
    for shape, some in indices.items():
        order = some[torch.from_numpy(rng.permutation(len(some))).to(some.device)]
        out += [(shape, part) for part in order.split(size) if len(part) == size]
    return [out[i] for i in rng.permutation(len(out))]


def batch(of, pick, sharpen=1.0):
    """Of the pictures `pick`: pixels in 0..1, (B, 3, H, W), and masks in 0..1, (B, 1, H/4, W/4), `sharpen` times their contrast."""
    return of["pictures"][pick].float() / 255, contrast(of["masks"][pick].float()[:, None] / 255, sharpen)
