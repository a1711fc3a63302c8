"""Draws the logs of training as one SVG, losses above, mean IoU on the development set's halves below: plot.py OUT.svg LOG.jsonl [LOG.jsonl...]"""
import json, os, sys

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
WIDTH, HEIGHT, MARGIN = 640, 220, 50


def panel(top, title, curves):
    """`curves`: (colour, dashes, points); axes from the least to the largest value."""
    xs, ys = ([p[i] for _, _, points in curves for p in points] for i in (0, 1))
    x0, x1, y0, y1 = 0, max(xs), min(ys), max(ys)
    place = lambda x, y: (MARGIN + (x - x0) / (x1 - x0) * (WIDTH - 2 * MARGIN), top + HEIGHT - 30 - (y - y0) / max(y1 - y0, 1e-9) * (HEIGHT - 60))
    out = [f'<text x="{MARGIN}" y="{top + 16}">{title}</text>']
    for y in (y0, (y0 + y1) / 2, y1):
        out.append(f'<text x="{MARGIN - 6}" y="{place(x0, y)[1] + 4:.1f}" text-anchor="end">{y:.3f}</text>'
                   f'<path d="M{MARGIN} {place(x0, y)[1]:.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
    out.append(f'<text x="{WIDTH - MARGIN}" y="{top + HEIGHT - 10}" text-anchor="end">{x1:.0f} minutes</text>')
    for colour, dashes, points in curves:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in points))
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-dasharray="{dashes}"/>')
    return out


if __name__ == "__main__":
    losses, develop, legend = [], [], []
    for i, path in enumerate(sys.argv[2:]):
        rows = [json.loads(line) for line in open(path)]
        colour = COLOURS[i % len(COLOURS)]
        for name, dashes in (("pair", ""), ("mask", "2 3"), ("side", "7 4")):
            losses.append((colour, dashes, [(r["seconds"] / 60, r[name]) for r in rows if name in r]))
        for half, dashes in enumerate(("", "7 4")):
            develop.append((colour, dashes, [(r["seconds"] / 60, r["develop"][half]) for r in rows if r.get("held") and r["develop"]]))
        legend.append(f'<text x="{MARGIN + 120 * i}" y="{2 * HEIGHT + 20}" fill="{colour}">{os.path.basename(path).split(".")[0]}</text>')
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {2 * HEIGHT + 30}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{2 * HEIGHT + 30}" fill="#fff"/>',
             *panel(0, "losses: pair (line), mask (dots), side (dashes)", losses), *panel(HEIGHT, "mean IoU of the mask head, guided filter: development set, first half (line), second (dashes)", develop), *legend, "</svg>"]
    open(sys.argv[1], "w").write("\n".join(parts) + "\n")
