"""From patches to masks: which parts of a foreground belong to the object, and where its edges are. Batches, on any device."""
import torch, torch.nn.functional as F


def fit(x, size):
    """`x` (B, C, H, W) at another size, bilinear."""
    return x if tuple(x.shape[2:]) == tuple(size) else F.interpolate(x, tuple(size), mode="bilinear", antialias=True, align_corners=False)


def peaks(logit, least=0.6):
    """Logits (B, 1, H, W) without the parts of the foreground (patches above 0, connected by sides) whose highest is below `least` of the picture's: their sign
    is changed."""
    inside = logit > 0
    high = torch.where(inside, logit, 0)
    for step in range(2 * sum(logit.shape[2:])):
        last, high = high, torch.maximum(F.max_pool2d(high, (3, 1), 1, (1, 0)), F.max_pool2d(high, (1, 3), 1, (0, 1))) * inside
        if step % 32 == 31 and torch.equal(last, high):
            break
    return torch.where(inside & (high < least * high.amax((2, 3), keepdim=True)), -logit, logit)


def guided(p, x, radius=10, eps=1e-4):
    """The guided filter of He, Sun and Tang (2013): `p` (B, 1, H, W), within squares of 2 radius + 1 pixels as nearly linear in the colours of the pictures `x`
    (B, 3, H, W) as ridge regression makes it."""
    side = 2 * radius + 1
    pool = lambda v, size, pad: F.avg_pool2d(v, size, 1, pad, count_include_pad=False)
    mean = lambda v: pool(pool(v, (side, 1), (radius, 0)), (1, side), (0, radius))
    r, g, b = x.split(1, 1)
    m, mp, xp, xx = mean(torch.cat([x, p, x * p, r * r, r * g, r * b, g * g, g * b, b * b], 1)).split((3, 1, 3, 6), 1)
    u, v, w = (xp - m * mp).split(1, 1)
    mr, mg, mb = m.split(1, 1)
    rr, rg, rb, gg, gb, bb = (xx - torch.cat([mr * mr, mr * mg, mr * mb, mg * mg, mg * mb, mb * mb], 1)).split(1, 1)
    # (covariance + eps) a = covariance with p, by the factors L D L'.
    d = rr + eps; lg, lb = rg / d, rb / d
    e = gg + eps - lg * rg; k = (gb - lg * rb) / e
    f = bb + eps - lb * rb - k * k * e
    v = v - lg * u; w = (w - lb * u - k * v) / f
    v = v / e - k * w
    a = torch.cat([u / d - lg * v - lb * w, v, w], 1)
    a, b = mean(torch.cat([a, mp - (a * m).sum(1, keepdim=True)], 1)).split((3, 1), 1)
    return (a * x).sum(1, keepdim=True) + b


def iou(one, other):
    """Of each of two batches of masks (B, 1, H, W)."""
    return (one & other).sum((1, 2, 3)) / (one | other).sum((1, 2, 3)).clamp(min=1)


@torch.no_grad()
def measure(answer, pictures):
    """Mean IoU of the two halves of `pictures` (as data.annotated returns them), which `answer` gives shares of the object for, at any size."""
    found = []
    for x, mask in pictures:
        found.append(iou(guided(fit(answer(x), x.shape[2:]), x) > 0.5, mask))
    return [round(torch.cat(found[half::2]).mean().item(), 4) for half in (0, 1)] if found else []
