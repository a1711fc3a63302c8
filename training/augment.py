"""Random views of pictures, so that the student cannot learn its teachers' errors by heart."""
import torch, torch.nn.functional as F
from data import contrast


def resize(x, size):
    size = tuple(size)
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


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


def views(pictures, masks, size, paste, narrow=0.5):
    """Views of `size` pixels of a batch of pictures and of their masks, at a quarter of it.

    Three views of four show a part of their picture, `narrow` of its sides or more, or more than the picture, mirrored at its borders. Into a share `paste` of
    them, the foreground of the next picture is pasted, which is foreground too."""
    quarter = [side // 4 for side in size]
    part = (uniform(pictures, 0, 1) < 0.75).float()
    zoom = 1 + part * (uniform(pictures, narrow, 1.2) - 1)
    frame = frames(pictures, zoom, 0.1 * part)
    x, s = look(pictures, frame, size), look(masks, frame, quarter)

    area = masks.mean((1, 2, 3)).roll(-1)
    pasted = ((uniform(pictures, 0, 1) < paste) & (area > 0.02) & (area < 0.5)).float().view(-1, 1, 1, 1)
    frame = frames(pictures, uniform(pictures, 0.9, 1.5) * zoom, torch.full_like(zoom, 0.2))
    sharp = lambda mask: contrast(mask, 3) * pasted
    other = sharp(look(masks.roll(-1, 0), frame, size, "zeros"))
    x = torch.lerp(x, look(pictures.roll(-1, 0), frame, size), other)
    return x, s + (1 - s) * sharp(look(masks.roll(-1, 0), frame, quarter, "zeros"))
