"""Trains the labeller on the pseudo-masks, and labels all pictures once.

First two labellers learn from one half of the pictures each, for a quarter of the minutes, and label the other half, which they have not seen: their
answers are averaged with the pseudo-masks. A third labeller learns from these, of all pictures; a picture's label is the mean of these and of what it says.

Loss: binary cross-entropy against the labels, and 1 - IoU of the two, soft."""
import math, os, time
import torch, torch.nn.functional as F
from augment import colours, views
from data import SHAPES, autocast, batch, batches, half, scaled, shape_of, split, store
from labeller import GRIDS, Labeller
from refine import fit, guided, measure
from teacher import RADIUS

BATCH, RATE, TUNE = 64, 1e-3, 5e-5
# Directions that are kept of the features of each of the labeller's transformers: those of its largest products.
DIRECTIONS = 64
# Share of pictures learned from, those where the teacher's networks agree most.
KEEP = 0.93


@torch.no_grad()
def answer(net, x, shape):
    """The foreground's share of pictures x, mirrored too, at the labeller's own size."""
    with autocast(x.device.type):
        both = [net(view, GRIDS[shape])[0].float().sigmoid() for view in (x, x.flip(3))]
    return (both[0] + both[1].flip(3)) / 2


def learn(name, data, indices, develop, a, minutes, note):
    """A labeller that learned from the pictures `indices` (by shape)."""
    net, ema = (Labeller(a.teacher, a.depth).to(a.device) for _ in range(2))
    ema.load_state_dict(net.state_dict())
    deep = {id(p) for p in net.depth.parameters()}
    learned = [p for p in net.parameters() if p.requires_grad]
    opt = torch.optim.AdamW([{"params": [p for p in learned if (id(p) in deep) == of_depth], "most": rate, "weight_decay": 0.05}
                             for of_depth, rate in ((False, RATE), (True, TUNE))], lr=0)
    indices = {shape: some for shape, some in indices.items() if len(some)}
    total, step, epoch, queue, sums, begin = sum(map(len, indices.values())), 0, 0, [], [], time.time()
    size = min(BATCH, *map(len, indices.values()))
    while (done := (time.time() - begin) / 60 / minutes) < 1 or step < 2:
        for group in opt.param_groups:
            group["lr"] = group["most"] * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * min(done, 1)))
        if not queue:
            queue = batches(indices, size, a.seed * 1000 + epoch); epoch += 1
        shape, pick = queue.pop()
        x, mask, _ = views(*batch(data[shape], pick), scaled(shape, 1.25, 32), a.paste)
        with autocast(a.device):
            logits = net(colours(x), GRIDS[shape])[0]
        logits = logits.float(); mask = F.interpolate(mask, logits.shape[2:], mode="area")
        share = logits.sigmoid(); both = (share * mask).sum((1, 2, 3))
        overlap = (both + 1) / (share.sum((1, 2, 3)) + mask.sum((1, 2, 3)) - both + 1)
        loss = F.binary_cross_entropy_with_logits(logits, mask) + (1 - overlap).mean()
        opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(learned, 1.0); opt.step(); step += 1
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(net.parameters()), 1 - min(0.998, step / (step + 9)))
        sums.append(loss.detach())
        if step % 100 == 0:
            note(labeller=name, step=step, epoch=round(step * size / total, 2), loss=round(torch.stack(sums).mean().item(), 4)); sums = []
    ema.eval()
    note(labeller=name, step=step, epoch=round(step * size / total, 2), develop=measure(lambda x: answer(ema, x, shape_of(*x.shape[:1:-1])), develop))
    return ema


def kept(name, a, learned):
    """The labeller of this name: as it was left in the folder, else as it is `learned` now."""
    path = f"{a.out}/labeller.{name}.pt"
    if os.path.exists(path):
        net = Labeller(a.teacher, a.depth).to(a.device).eval()
        net.load_state_dict(torch.load(path, map_location=a.device))
        return net
    net = learned()
    store(net.state_dict(), path)
    return net


@torch.no_grad()
def blend(net, data, shape, indices):
    """Averages the masks of these pictures with what a labeller says of them."""
    of, size = data[shape], half(SHAPES[shape])
    for pick in indices.split(64):
        x, mask = batch(of, pick)
        label = guided(fit(answer(net, x, shape), size), fit(x, size), RADIUS).clamp(0, 1)
        of["masks"][pick] = ((mask + label) / 2 * 255).round().byte()[:, 0]


@torch.no_grad()
def describe(net, data, device, note):
    """Adds to `data` what the labeller's two transformers see in each picture, (N, 2 DIRECTIONS, h, w) in f16: their features in their largest directions."""
    def seen(shape, pick):
        with autocast(device):
            _, kernel, deep = net(batch(data[shape], pick)[0], GRIDS[shape])
        return kernel.float(), deep.float()

    products = [0.0, 0.0]
    for shape, of in data.items():
        for pick in torch.arange(len(of["pictures"]), device=device)[:192].split(32):
            for i, v in enumerate(seen(shape, pick)):
                products[i] = products[i] + torch.einsum("bchw,bdhw->cd", v, v)
    bases = []
    for product in products:
        values, vectors = torch.linalg.eigh(product.double())
        bases.append(vectors[:, -DIRECTIONS:].float())
        note(directions=DIRECTIONS, kept=round((values[-DIRECTIONS:].sum() / values.sum()).item(), 4))
    for shape, of in data.items():
        of["features"] = torch.empty(len(of["pictures"]), 2 * DIRECTIONS, *GRIDS[shape], dtype=torch.float16, device=device)
        for pick in torch.arange(len(of["pictures"]), device=device).split(64):
            moved = [torch.einsum("bchw,cd->bdhw", v, basis) for v, basis in zip(seen(shape, pick), bases)]
            of["features"][pick] = torch.cat(moved, 1).half()


def labelled(data, develop, a, minutes, note):
    """Replaces the masks of all pictures by their labels, and adds what the labeller's transformers see in them."""
    indices, _ = split(data, KEEP)
    every = {shape: torch.arange(len(of["pictures"]), device=a.device) for shape, of in data.items()}
    part = lambda of, which: {shape: some[some // 2 % 2 == which] for shape, some in of.items()}
    pseudo = {shape: of["masks"].clone() for shape, of in data.items()}
    learners = {which: kept(which, a, lambda: learn(f"half {which}", data, part(indices, which), develop, a, minutes / 4, note)) for which in (0, 1)}
    for which, net in learners.items():
        for shape, unseen in part(every, 1 - which).items():
            blend(net, data, shape, unseen)
    net = kept("all", a, lambda: learn("all", data, indices, develop, a, minutes / 2, note))
    for shape, all_of in every.items():
        blend(net, data, shape, all_of)
    describe(net, data, a.device, note)
    moved = torch.cat([(of["masks"].float() - pseudo[shape].float()).abs().mean((1, 2)) / 255 for shape, of in data.items()])
    note(labels="ready", moved=round(moved.mean().item(), 4))
