"""Random views of pictures, so that the student cannot learn its teachers' errors by heart."""
import math, torch, torch.nn.functional as F

uniform = lambda n, low, high: torch.empty(n).uniform_(low, high)


def resize(x, size):
    size = tuple(size)
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def frames(n, zoom, spread=0.1):
    """n affine maps from a view's coordinates to those of the picture, which show about `zoom` of each side, mirrored or not. Above 1 the view is
    larger than the picture."""
    scale, aspect = zoom * (1 + uniform(n, -spread, spread)), torch.exp(uniform(n, -0.1, 0.1))
    frame = torch.zeros(n, 2, 3)
    for axis, side in enumerate((scale * aspect, scale / aspect)):
        frame[:, axis, axis], frame[:, axis, 2] = side, (1 - side).abs() * uniform(n, -1, 1)
    frame[:, 0, 0] *= torch.where(torch.rand(n) < 0.5, -1, 1)
    return frame


def look(x, frame, size, outside="reflection"):
    grid = F.affine_grid(frame.to(x), (len(x), 1, *size), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def colours(x):
    """Pictures in 0..1, in another light, by another camera."""
    n = len(x)
    draw = lambda low, high, channels=1: torch.empty(n, channels, 1, 1).uniform_(low, high).to(x)
    often = lambda share: (torch.rand(n, 1, 1, 1) < share).to(x)
    x = x * draw(0.65, 1.35) * draw(0.9, 1.1, 3)
    mean = x.mean((1, 2, 3), keepdim=True); x = (x - mean) * draw(0.65, 1.35) + mean
    grey = x.mean(1, keepdim=True); x = (x - grey) * draw(0.4, 1.5) * (1 - often(0.08)) + grey
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1); x = torch.lerp(x, blurred, often(0.15))
    return (x + torch.randn_like(x) * draw(0, 0.04) * often(0.3)).clamp(0, 1)


def views(pictures, masks, targets, size, paste, narrow):
    """Views of `size` pixels of a batch of pictures (0..1), and for their 8 x 8 patches the foreground's share and the teacher's features.

    Three views of four show a part of their picture, `narrow` of its sides or more, or more than the picture, mirrored at its borders. Into a share `paste` of
    them, the foreground of the next picture is pasted, which is foreground too."""
    n = len(pictures)
    zoom = float(uniform(1, narrow, 1.2)) if torch.rand(()) < 0.75 else 1.0
    frame = frames(n, zoom, 0.1 if zoom != 1 else 0.0)
    near = resize(pictures, [min(source, round(side / zoom)) for source, side in zip(pictures.shape[2:], size)])
    grid = (size[0] // 8, size[1] // 8)
    share = lambda mask: F.avg_pool2d(mask, 8)
    x, s, t = look(near, frame, size), share(look(masks, frame, size)), look(targets, frame, grid)

    area = masks.mean((1, 2, 3)).roll(-1)
    pasted = ((torch.rand(n) < paste).to(x) * ((area > 0.02) & (area < 0.5)))[:, None, None, None]
    if pasted.any():
        frame = frames(n, float(uniform(1, 0.9, 1.5)) * zoom, 0.2)
        other = look(masks.roll(-1, 0), frame, size, "zeros")
        other = ((other - 0.5) * 3 + 0.5).clamp(0, 1) * pasted
        x = torch.lerp(x, look(near.roll(-1, 0), frame, size), other)
        other = share(other)
        s, t = s + (1 - s) * other, torch.lerp(t, look(targets.roll(-1, 0), frame, grid), other)
    return colours(x), s, t
