"""Trains the labeller on what prepare.py packed. CPU or GPU.

    label.py FOLDER LABELLER.pt TEACHER.safetensors DEPTH.safetensors [--minutes 2] [--develop ECSSD]

First two labellers learn from one half of the pictures each, for a quarter of the minutes, and label the other half, which they have not seen: their
answers are averaged with the votes. The labeller that is kept learns from all.

Loss: binary cross-entropy against the labels, and 1 - IoU of the two, soft. With --develop, mean IoU on the development set is printed on the
way: of what it answers, at a quarter of the picture, above a half."""
import argparse, json, math, time
import torch, torch.nn.functional as F
from augment import colours, views
from data import SHAPES, annotated, autocast, batch, batches, packed, trusted
from labeller import GRIDS, Labeller

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("folder"); ap.add_argument("out"); ap.add_argument("teacher"); ap.add_argument("depth")
ap.add_argument("--minutes", type=float, default=2.0, help="of training, all three labellers together"); ap.add_argument("--batch", type=int, default=64)
ap.add_argument("--keep", type=float, default=0.93, help="share of pictures kept, the most trusted")
ap.add_argument("--rate", type=float, default=1e-3, help="of the head"); ap.add_argument("--tune", type=float, default=5e-5, help="the same, of the transformer")
ap.add_argument("--sharpen", type=float, default=1.5, help="contrast of the votes: with 1.5, two of three are worth 0.75")
ap.add_argument("--paste", type=float, default=0.3); ap.add_argument("--seed", type=int, default=0); ap.add_argument("--develop")
a = ap.parse_args()
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(a.seed)

data = packed(a.folder, device)
develop = annotated(a.develop, device) if a.develop else {}
keep = trusted(data, a.keep)


def answer(net, x, shape):
    """The foreground's share of the patches of pictures x, at a quarter of their size."""
    with torch.no_grad(), autocast(device):
        logits = net(x, GRIDS[shape])[0].float()
    return F.interpolate(logits, [side // 4 for side in x.shape[2:]], mode="bilinear", align_corners=False).sigmoid()


def iou(net):
    found = []
    for shape, of in develop.items():
        for pick in torch.arange(len(of["masks"])).split(32):
            x, mask = batch(of, pick)
            one, other = answer(net, x, shape) > 0.5, mask > 0.5
            found.append((one & other).sum((1, 2, 3)) / (one | other).sum((1, 2, 3)).clamp(min=1))
    return {"develop": round(torch.cat(found).mean().item(), 4)} if found else {}


def learn(name, indices, minutes):
    """A labeller that learned from the pictures `indices` (by shape)."""
    net, ema = (Labeller(a.teacher, a.depth).to(device) for _ in range(2))
    ema.load_state_dict(net.state_dict())
    deep = {id(p) for p in net.depth.parameters()}
    learned = [p for p in net.parameters() if p.requires_grad]
    opt = torch.optim.AdamW([{"params": [p for p in learned if (id(p) in deep) == of_depth], "most": rate, "weight_decay": 0.05}
                             for of_depth, rate in ((False, a.rate), (True, a.tune))], lr=0)
    total, step, epoch, queue, sums, begin = sum(map(len, indices.values())), 0, 0, [], [], time.time()

    def note(**values):
        print(json.dumps({"labeller": name, "step": step, "seconds": round(time.time() - begin), "epoch": round(step * a.batch / total, 2), **values, **iou(ema)}), flush=True)

    while (done := (time.time() - begin) / 60 / minutes) < 1:
        for group in opt.param_groups:
            group["lr"] = group["most"] * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done))
        if not queue:
            queue = batches(indices, a.batch, a.seed * 1000 + epoch); epoch += 1
        shape, pick = queue.pop()
        x, mask = views(*batch(data[shape], pick, a.sharpen), [round(side * 1.25 / 32) * 32 for side in SHAPES[shape]], a.paste)
        with autocast(device):
            logits = net(colours(x), GRIDS[shape])[0]
        logits = logits.float(); mask = F.interpolate(mask, logits.shape[2:], mode="area")
        share = logits.sigmoid(); both = (share * mask).sum((1, 2, 3))
        overlap = both / (share.sum((1, 2, 3)) + mask.sum((1, 2, 3)) - both).clamp(min=1)
        loss = F.binary_cross_entropy_with_logits(logits, mask) + (1 - overlap).mean()
        opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(learned, 1.0); opt.step(); step += 1
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(net.parameters()), 1 - min(0.998, step / (step + 9)))
        sums.append(loss.detach())
        if step % 250 == 0:
            note(loss=round(torch.stack(sums).mean().item(), 4)); sums = []
    note()
    return ema


half = lambda which: {shape: some[which::2] for shape, some in keep.items()}
for which, minutes in ((0, a.minutes / 4), (1, a.minutes / 4)):
    net = learn(f"half {which}", half(which), minutes)
    for shape, unseen in half(1 - which).items():
        for pick in unseen.split(64):
            x, vote = batch(data[shape], pick)
            label = (answer(net, x, shape) + answer(net, x.flip(3), shape).flip(3)) / 2
            data[shape]["fresh"] = data[shape].get("fresh", data[shape]["masks"].clone())
            data[shape]["fresh"][pick] = ((vote + label) / 2 * 255).round().byte()[:, 0]
for of in data.values():
    of["masks"] = of.pop("fresh")
torch.save(learn("all", keep, a.minutes / 2).state_dict(), a.out)
