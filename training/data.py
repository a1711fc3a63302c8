"""What prepare.py packed, in the memory of the device that trains."""
import io, json, os, zlib
from concurrent.futures import ThreadPoolExecutor
import numpy as np, torch
from PIL import Image

# Height and width of each shape, so that a batch is of one shape and hardly distorted.
SHAPES = {"landscape": (256, 336), "portrait": (336, 256), "square": (288, 288)}
# One picture of so many is held out of all learning: what it tells is not learned by heart.
HELD = 10


def shape_of(width, height):
    return "landscape" if width > 1.15 * height else "portrait" if height > 1.15 * width else "square"


def pixels(file, size=None):
    """A picture's, (3, H, W) u8."""
    image = Image.open(file).convert("RGB")
    return np.ascontiguousarray(np.asarray(image.resize(size[::-1], Image.LANCZOS) if size else image).transpose(2, 0, 1))


def half(size):
    """The size at which masks are kept."""
    return tuple(side // 2 for side in size)


def scaled(shape, share, multiple=16):
    """Height and width at this share of the full size, in multiples that the network can take."""
    return tuple(round(side * share / multiple) * multiple for side in SHAPES[shape])


def contrast(mask, by):
    """A mask in 0..1 with `by` times its contrast about a half."""
    return ((mask - 0.5) * by + 0.5).clamp(0, 1)


def low(device):
    """Whether the device multiplies bfloat16; elsewhere it would be many times slower than float32."""
    return device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def autocast(device):
    return torch.autocast(device, dtype=torch.bfloat16, enabled=low(device))


def parallel(work, items):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def store(value, path):
    """Whole, or not at all."""
    torch.save(value, path + ".part"); os.replace(path + ".part", path)


def packed(folder, device, step=1):
    """What prepare.py wrote to `folder`, by shape, or each `step`th of it: pictures (N, 3, H, W) u8, masks (N, H/2, W/2) u8 and which of them the program
    cut (N)."""
    entries = json.load(open(f"{folder}/index.json"))
    file = open(f"{folder}/pictures.bin", "rb").read()

    def row(entry):
        shape, begin, middle, end = entry
        size = half(SHAPES[shape])
        mask = np.frombuffer(zlib.decompress(file[middle:end]), np.uint8).reshape(size) if end > middle else np.zeros(size, np.uint8)
        return pixels(io.BytesIO(file[begin:middle]), SHAPES[shape]), mask, end > middle

    out = {}
    for shape in SHAPES:
        if rows := parallel(row, [entry for entry in entries if entry[0] == shape][::step]):
            out[shape] = {name: torch.from_numpy(np.stack(column)).to(device) for name, column in zip(("pictures", "masks", "cut"), zip(*rows))}
    return out


def annotated(folder, device):
    """The pictures (1, 3, H, W) in 0..1 and true masks (1, 1, H, W) of a data set laid out as ECSSD's."""
    def row(name):
        mask = np.array(Image.open(f"{folder}/ground_truth_mask/{os.path.splitext(name)[0]}.png").convert("L"))
        return torch.from_numpy(pixels(f"{folder}/images/{name}"))[None].to(device).float() / 255, torch.from_numpy(mask > 127)[None, None].to(device)

    return parallel(row, sorted(os.listdir(f"{folder}/images")))


def split(data, keep):
    """By shape, the indices of pictures to learn from, of which the `keep` most trusted ones are left, and of those held out."""
    learn, held = {}, {}
    least = torch.cat([of["trust"] for of in data.values()]).quantile(1 - keep).clamp(min=1e-3)
    for shape, of in data.items():
        every = torch.arange(len(of["pictures"]), device=of["pictures"].device)
        trusted = every[of["trust"] >= least]
        learn[shape], held[shape] = trusted[trusted % HELD != 0], every[every % HELD == 0]
    # A shape of few pictures would make all batches small.
    most = max(map(len, learn.values()))
    return {shape: some for shape, some in learn.items() if len(some) * 100 >= max(most, 1)}, held


def batches(indices, size, seed):
    """One epoch: (shape, indices), in random order. `indices`: tensors by shape."""
    rng = np.random.default_rng(seed); out = []
    for shape, some in indices.items():
        order = some[torch.from_numpy(rng.permutation(len(some))).to(some.device)]
        out += [(shape, part) for part in order.split(size) if len(part) == size]
    return [out[i] for i in rng.permutation(len(out))]


def batch(of, pick, sharpen=1.0):
    """Of the pictures `pick`: pixels in 0..1, (B, 3, H, W), and masks in 0..1, (B, 1, H/2, W/2), `sharpen` times their contrast."""
    return of["pictures"][pick].float() / 255, contrast(of["masks"][pick].float()[:, None] / 255, sharpen)
