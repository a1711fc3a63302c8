"""Random views of pictures, so that the student cannot learn its teachers' errors by heart."""
import math
import torch, torch.nn.functional as F
from data import contrast


def uniform(x, low, high, *shape):
    """Random numbers, one for each of a batch or of that shape after the first axis, where `x` is."""
    return torch.empty(len(x), *shape, device=x.device).uniform_(low, high)


def frames(x, zoom, spread):
    """Affine maps from each view's coordinates to those of its picture, which show about `zoom` (B) of each side, mirrored or not. Above 1 the
    view is larger than the picture."""
    scale, aspect = zoom * (1 + spread * uniform(x, -1, 1)), torch.exp(uniform(x, -0.1, 0.1) * (spread > 0))
    frame = torch.zeros(len(x), 2, 3, device=x.device)
    for axis, side in enumerate((scale * aspect, scale / aspect)):
        frame[:, axis, axis], frame[:, axis, 2] = side, (1 - side).abs() * uniform(x, -1, 1)
    frame[:, 0, 0] *= uniform(x, -1, 1).sign()
    return frame


def look(x, frame, size, outside="reflection"):
    grid = F.affine_grid(frame, (len(x), 1, *size), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def colours(x):
    """Pictures in 0..1, in another light, by another camera."""
    draw = lambda low, high, channels=1: uniform(x, low, high, channels, 1, 1)
    often = lambda share: (draw(0, 1) < share).to(x)
    x = x * draw(0.65, 1.35) * draw(0.9, 1.1, 3)
    mean = x.mean((1, 2, 3), keepdim=True); x = (x - mean) * draw(0.65, 1.35) + mean
    grey = x.mean(1, keepdim=True); x = (x - grey) * draw(0.4, 1.5) * (1 - often(0.08)) + grey
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1); x = torch.lerp(x, blurred, often(0.15))
    return (x + torch.randn_like(x) * draw(0, 0.04) * often(0.3)).clamp(0, 1)


def emptiest(x, masks, tries=6):
    """Frames of small parts of the pictures with as little foreground as so many tries find."""
    some = [frames(x, uniform(x, 0.4, 0.7), 0.2) for _ in range(tries)]
    best = torch.stack([look(masks, frame, (12, 12)).mean((1, 2, 3)) for frame in some]).argmin(0)
    return torch.stack(some)[best, torch.arange(len(x), device=x.device)]


def views(pictures, masks, size, paste, narrow=0.5, wide=2.5):
    """Views of `size` pixels of a batch of pictures, of their masks at half of it, and a function that moves features of the pictures (B, C, h, w), of whatever
    grid, as the views move the pictures.

    Of twelve views, three show their picture, four a part of it, `narrow` of its sides or more, or little more, and five have small objects: two show up to
    `wide` times the picture's sides, mirrored at its borders, and three a part with little foreground, into which the foreground of the next picture is
    pasted, small. Into a share `paste` of the others it is pasted too, as large as it was or smaller. What is pasted is foreground."""
    half = [side // 2 for side in size]
    kind, far = uniform(pictures, 0, 1), torch.exp(uniform(pictures, 0.18, math.log(wide)))
    part, plain = (kind > 3 / 12).float(), kind > 9 / 12
    zoom = torch.where(kind > 7 / 12, far, 1 + part * (uniform(pictures, narrow, 1.2) - 1))
    own = frame = torch.where(plain.view(-1, 1, 1), emptiest(pictures, masks), frames(pictures, zoom, 0.1 * part))
    # A picture made much smaller is read from one of half the size, lest fine texture become a pattern.
    coarse = F.avg_pool2d(pictures, 2)

    def seen(x, small, frame):
        return torch.where(frame[:, 1, 1].abs().view(-1, 1, 1, 1) > 1.4, look(small, frame, size), look(x, frame, size))

    x, s = seen(pictures, coarse, frame), look(masks, frame, half)
    area = masks.mean((1, 2, 3)).roll(-1)
    pasted = (((uniform(pictures, 0, 1) < paste) | plain) & (area > 0.02) & (area < 0.5)).float().view(-1, 1, 1, 1)
    frame = frames(pictures, torch.where(plain, far, zoom.clamp(max=1.2) * torch.exp(uniform(pictures, -0.1, 0.7))), torch.full_like(zoom, 0.2))
    sharp = lambda mask: contrast(mask, 3) * pasted
    other = sharp(look(masks.roll(-1, 0), frame, size, "zeros"))
    x = torch.lerp(x, seen(pictures.roll(-1, 0), coarse.roll(-1, 0), frame), other)

    def moved(features):
        grid = features.shape[2:]
        below, above = look(features, own, grid), look(features.roll(-1, 0), frame, grid)
        return torch.lerp(below, above, sharp(look(masks.roll(-1, 0), frame, grid, "zeros")))

    return x, s + (1 - s) * sharp(look(masks.roll(-1, 0), frame, half, "zeros")), moved
