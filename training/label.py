"""Trains the labeller on the pseudo-masks.

First two labellers learn from one half of the pictures each, for a quarter of the minutes, and label the other half, which they have not seen: their
answers are averaged with the pseudo-masks. The labeller that is kept learns from all.

Loss: binary cross-entropy against the labels, and 1 - IoU of the two, soft."""
import math, os, time
import torch, torch.nn.functional as F
from augment import colours, views
from data import SHAPES, autocast, batch, batches, half, scaled, shape_of, split, store
from labeller import GRIDS, Labeller
from refine import fit, guided, measure
from teacher import RADIUS

BATCH, RATE, TUNE = 64, 1e-3, 5e-5
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
    total, step, epoch, queue, sums, begin = sum(map(len, indices.values())), 0, 0, [], [], time.time()
    size = min(BATCH, *map(len, indices.values()))
    while (done := (time.time() - begin) / 60 / minutes) < 1 or step < 2:
        for group in opt.param_groups:
            group["lr"] = group["most"] * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * min(done, 1)))
        if not queue:
            queue = batches(indices, size, a.seed * 1000 + epoch); epoch += 1
        shape, pick = queue.pop()
        x, mask = views(*batch(data[shape], pick), scaled(shape, 1.25, 32), a.paste)
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


def labelled(data, develop, a, minutes, note):
    """The labeller that learned from all."""
    indices, _ = split(data, KEEP)
    part = lambda of, which: {shape: some[some // 2 % 2 == which] for shape, some in of.items()}

    def averaged():
        """Learns from the masks in `data` averaged with what a labeller says that has not seen the picture."""
        every = {shape: torch.arange(len(of["pictures"]), device=a.device) for shape, of in data.items()}
        fresh = {shape: of | {"masks": torch.empty_like(of["masks"])} for shape, of in data.items()}
        for which in (0, 1):
            net = kept(which, a, lambda: learn(f"half {which}", data, part(indices, which), develop, a, minutes / 4, note))
            for shape, unseen in part(every, 1 - which).items():
                for pick in unseen.split(64):
                    x, mask = batch(data[shape], pick)
                    label = guided(fit(answer(net, x, shape), half(SHAPES[shape])), fit(x, half(SHAPES[shape])), RADIUS).clamp(0, 1)
                    fresh[shape]["masks"][pick] = ((mask + label) / 2 * 255).round().byte()[:, 0]
        return learn("all", fresh, indices, develop, a, minutes / 2, note)

    return kept("all", a, averaged)
