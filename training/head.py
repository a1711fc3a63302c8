"""Trains a mask head on a frozen network: it corrects what the network's plane says of objects, and draws edges on a finer grid.

    head.py NETWORK.safetensors PICTURES MASKS OUT.safetensors --program DEEPCUT

NETWORK has a plane, `objectness`. PICTURES is a folder of photographs that the network was not trained on. MASKS has NAME.png for some of them: masks of a better network, written by
`deepcut segment PICTURES -o MASKS --format mask`. OUT has the head in place of the plane.

The head starts out equal to the plane: its first channel is the plane's logit, and the others add nothing yet. The program's rules for boxes and components need log-odds with
peaks, and objects may fill these photographs more than others. So the loss is

    cross + 0.5 overlap    binary cross-entropy against the mask at stride 4, three times as heavy at edges, and 1 - IoU of the two, soft
    + 0.005 keep           mean squared difference from the plane, away from edges
    + 2 shift              square of the mean difference over the batch"""
import argparse, json, math, os, subprocess, tempfile
import numpy as np, torch, torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from data import HELD, shape_of
from export import MEAN, STD, write
from student import DEPTH, DEPTHS, MIX, OUT, RATIO, WIDTH, WIDTHS, doubled

# Sizes of views, as the program resizes pictures at its default resolution. With RESOLUTION it leaves them as they are.
SIZES, RESOLUTION = {"landscape": (304, 400), "portrait": (400, 304), "square": (352, 352)}, 349
CELL = 4
BATCH, SMOOTH = 8, 0.02
WEIGHTS = {"cross": 1.0, "overlap": 0.5, "keep": 0.005, "shift": 2.0}


def probes(network, folder):
    """Writes two networks that have the head's inputs as features: `coarse`, what `head` reads, and `fine`, stage 1 with the 2 x 2 cells of a patch as channels.
    The program computes them, in int8 as it will later."""
    tensors, fine = load_file(network), WIDTHS[0]
    eye = lambda n: torch.eye(n)[:, :, None, None]
    meta = {"architecture": "deepcut-student", "widths": WIDTHS, "depths": DEPTHS, "mix": MIX, "ratio": RATIO, "output": OUT, "stride": 8, "kernel": 7,
            "mean": MEAN, "std": STD, "activation": "gelu (erf)"}
    coarse = {name: tensor for name, tensor in tensors.items() if name != "objectness"} | {"head.weight": eye(OUT), "head.bias": torch.zeros(OUT)}
    four = 4 * fine
    down = torch.eye(four).view(2, 2, fine, four).permute(3, 2, 0, 1)
    cells = {name: tensor for name, tensor in tensors.items() if name.startswith(("stem", "stage1"))} | {
        "down1.weight": down, "down1.bias": torch.zeros(four), "down2.weight": torch.zeros(1, four, 2, 2), "down2.bias": torch.zeros(1), "top.weight": torch.zeros(four, 1, 1, 1),
        "lateral.weight": eye(four), "lateral.bias": torch.zeros(four), "head.weight": eye(four), "head.bias": torch.zeros(four)}
    of_cells = meta | {"widths": (fine, four, 1), "depths": (DEPTHS[0], 0, 0), "mix": 0, "output": four}
    for name, tensors, meta in (("coarse", coarse, meta), ("fine", cells, of_cells)):
        save_file({k: v.half().contiguous() for k, v in tensors.items()}, f"{folder}/{name}.safetensors", metadata={"deepcut": json.dumps(meta)})


def frame(rng, width, height, far):
    """A box within the picture, or with `far` a larger one, as (x0, y0, x1, y1), and whether the view is mirrored."""
    share = math.exp(rng.uniform(math.log(1.1), math.log(1.6))) if far else 1 if rng.random() < 0.5 else rng.uniform(0.6, 1)
    stretch = math.exp(rng.uniform(-0.08, 0.08)) if share != 1 else 1
    sides = width * share * stretch, height * share / stretch
    x, y = ((whole - side) * rng.uniform(*((0.25, 0.75) if far else (0, 1))) for whole, side in zip((width, height), sides))
    return (x, y, x + sides[0], y + sides[1]), rng.random() < 0.5


def look(pixels, box, mirrored, size):
    """The view of a box at `size` (height, width). The picture is mirrored beyond its borders."""
    height, width = pixels.shape[:2]
    if min(box[0], box[1], width - box[2], height - box[3]) < 0:
        pixels = np.pad(pixels, [(height, height), (width, width)] + [(0, 0)] * (pixels.ndim - 2), mode="symmetric")
        box = tuple(at + side for at, side in zip(box, (width, height) * 2))
    seen = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.BILINEAR, box=box))
    return seen[:, ::-1] if mirrored else seen


def read(path, mode):
    return np.asarray(Image.open(path).convert(mode))


def views(a, names):
    """Two views of each picture, one near and one far: the head's inputs (C, h, w), the mask at stride 4 (1, h, w), and whether the picture is held out."""
    found, of = [], {os.path.splitext(name)[0]: name for name in os.listdir(a.pictures)}
    for begin in range(0, len(names), 100):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f"{folder}/views"); probes(a.network, folder); some = {}
            for index, name in enumerate(names[begin:begin + 100], begin):
                picture, mask = read(f"{a.pictures}/{of[name]}", "RGB"), read(f"{a.masks}/{name}.png", "L")
                height, width = mask.shape
                size = SIZES[shape_of(width, height)]
                for far in (False, True):
                    rng = np.random.default_rng((a.seed, index, far))
                    view = frame(rng, width, height, far), size
                    seen = look(picture, *view[0], size).astype(np.float32)
                    light = (seen - seen.mean()) * rng.uniform(0.8, 1.2) + seen.mean() + rng.uniform(-20, 20)
                    Image.fromarray(light.clip(0, 255).astype(np.uint8)).save(f"{folder}/views/{index}-{far:d}.png", compress_level=1)
                    s = look(mask, *view[0], size).astype(np.float32).reshape(size[0] // CELL, CELL, size[1] // CELL, CELL).mean((1, 3)) / 255
                    some[f"{index}-{far:d}"] = {"mask": torch.from_numpy(s)[None].half(), "held": index % HELD == 0}
            for what in ("coarse", "fine"):
                subprocess.run([a.program, "features", f"{folder}/views", "-o", f"{folder}/{what}", "-b", f"{folder}/{what}.safetensors", "-r", str(RESOLUTION),
                                "--quiet", "--no-progress"], check=True)
                for name, view in some.items():
                    x = load_file(f"{folder}/{what}/{name}.features.safetensors")["features"].permute(2, 0, 1)
                    view[what] = (F.pixel_shuffle(x.unflatten(0, (4, -1)).transpose(0, 1).flatten(0, 1), 2) if what == "fine" else x).half()
        found += some.values()
    return found


def begun(w):
    """A head that is equal to the plane."""
    draw = lambda *shape: torch.randn(*shape) / math.prod(shape[1:]) ** 0.5
    p = {"lateral.weight": draw(WIDTH, WIDTHS[0], 1, 1), "lateral.bias": torch.zeros(WIDTH), "top.weight": draw(WIDTH, OUT, 1, 1),
         "out.weight": torch.zeros(1, WIDTH, 1, 1), "out.bias": torch.zeros(1)}
    plane, bias = w["objectness"][:-1], w["objectness"][-1]
    p["lateral.weight"][0], p["lateral.bias"][0] = 0, plane @ w["head.bias"] + bias
    p["top.weight"][0], p["out.weight"][0, 0] = (plane @ w["head.weight"].flatten(1))[:, None, None], 1
    for i in range(DEPTH):
        wide = RATIO * WIDTH
        p |= {f"mix.{i}.depthwise.weight": draw(WIDTH, 1, 7, 7), f"mix.{i}.depthwise.bias": torch.zeros(WIDTH),
              f"mix.{i}.expand.weight": draw(wide, WIDTH, 1, 1), f"mix.{i}.expand.bias": torch.zeros(wide),
              f"mix.{i}.project.weight": torch.zeros(WIDTH, wide, 1, 1), f"mix.{i}.project.bias": torch.zeros(WIDTH)}
    return p


def head(p, fine, coarse):
    conv = lambda x, name, **k: F.conv2d(x, p[name + ".weight"], p.get(name + ".bias"), **k)
    x = conv(fine, "lateral") + doubled(conv(coarse, "top"))
    for i in range(DEPTH):
        y = conv(x, f"mix.{i}.depthwise", padding=3, groups=WIDTH)
        x = x + conv(F.gelu(conv(y, f"mix.{i}.expand")), f"mix.{i}.project")
    return conv(x, "out")


def losses(p, plane, views):
    fine, coarse, s = (torch.stack([view[what] for view in views]).float().contiguous(memory_format=torch.channels_last) for what in ("fine", "coarse", "mask"))
    logit = head(p, fine, coarse)
    edge = F.max_pool2d(s, 5, 1, 2) + F.max_pool2d(-s, 5, 1, 2)
    off = logit - doubled(F.conv2d(coarse, plane["top.weight"][:1])) - plane["lateral.bias"][0]
    share = logit.sigmoid(); both = (share * s).sum((1, 2, 3))
    overlap = (both + 1) / (share.sum((1, 2, 3)) + s.sum((1, 2, 3)) - both + 1)
    smooth = s * (1 - 2 * SMOOTH) + SMOOTH
    return {"cross": F.binary_cross_entropy_with_logits(logit, smooth, weight=1 + 2 * edge), "overlap": (1 - overlap).mean(),
            "keep": (off ** 2 * (1 - edge)).mean(), "shift": off.mean() ** 2}


def batches(views, rng):
    """Of one shape each, in random order."""
    shapes = {}
    for view in (views[i] for i in rng.permutation(len(views))):
        shapes.setdefault(view["mask"].shape, []).append(view)
    every = [some[i:i + BATCH] for some in shapes.values() for i in range(0, len(some), BATCH)]
    return [every[i] for i in rng.permutation(len(every))]


def total(each):
    return sum(WEIGHTS[name] * value for name, value in each.items())


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("network", "pictures", "masks", "out"):
        ap.add_argument(name)
    ap.add_argument("--program", required=True); ap.add_argument("--rate", type=float, default=3e-3); ap.add_argument("--epochs", type=int, default=3)
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    torch.manual_seed(a.seed); rng = np.random.default_rng(a.seed)
    w = {name: tensor.float() for name, tensor in load_file(a.network).items()}
    names = sorted(os.path.splitext(name)[0] for name in os.listdir(a.masks) if name.endswith(".png"))
    every = views(a, [names[i] for i in rng.permutation(len(names))])
    learn, held = ([view for view in every if view["held"] == which] for which in (False, True))
    plane, p = begun(w), {name: tensor.requires_grad_() for name, tensor in begun(w).items()}
    mean = {name: tensor.detach().clone() for name, tensor in p.items()}
    opt = torch.optim.AdamW(p.values(), lr=a.rate, betas=(0.9, 0.98), weight_decay=0.01)
    steps, step, best = a.epochs * len(batches(learn, rng)), 0, math.inf
    for epoch in range(a.epochs + 1):
        with torch.no_grad():
            seen = [losses(mean, plane, some) for some in batches(held, rng)]
        now = {name: sum(float(each[name]) for each in seen) / len(seen) for name in WEIGHTS}
        print(json.dumps({"epoch": epoch, "held": {name: round(value, 4) for name, value in now.items()}}), flush=True)
        # The file is the head with the lowest loss on held-out pictures.
        if total(now) < best:
            best = total(now)
            write({name: tensor for name, tensor in w.items() if name != "objectness"} | {f"mask.{name}": tensor for name, tensor in mean.items()}, a.out, masks=True)
        for some in batches(learn, rng) if epoch < a.epochs else ():
            for group in opt.param_groups:
                group["lr"] = a.rate * min(1, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * step / steps)) + 1e-6
            loss = total(losses(p, plane, some))
            opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(p.values(), 1.0); opt.step(); step += 1
            with torch.no_grad():
                for name, tensor in mean.items():
                    tensor.lerp_(p[name], 1 - min(0.99, step / (step + 9)))
