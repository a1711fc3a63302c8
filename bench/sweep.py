"""Seconds of the backbone and peak memory of the whole program, by resolution and stride: python3 bench/sweep.py, after bench/compare.py has
made the weights. Writes bench/SWEEP.md and bench/sweep.svg."""
import json, math, os, subprocess, time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(here)
work = os.path.join(root, "target", "compare")
threads = os.cpu_count()


def draw(series):
    width, height, edge = 420, 300, 50
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{2 * width}" height="{height}" fill="white"/>']
    for panel, (column, title) in enumerate(((1, "seconds"), (2, "peak memory, MB"))):
        most = [max(point[i] for points in series.values() for point in points) for i in (0, column)]
        at = lambda point: (panel * width + edge + (width - edge - 20) * point[0] / most[0], height - edge - (height - edge - 30) * point[column] / most[1])
        left, bottom = panel * width + edge, height - edge
        parts.append(f'<path d="M{left} 30V{bottom}H{(panel + 1) * width - 20}" fill="none" stroke="black"/>')
        parts.append(f'<text x="{left}" y="20">{title}</text><text x="{left + 120}" y="{height - 15}">patches</text>')
        for share in (0.5, 1.0):
            x, y = at((share * most[0], 0, 0))[0], at((0, share * most[1], share * most[1]))[1]
            parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{share * most[0]:.0f}</text>')
            parts.append(f'<text x="{left - 4}" y="{y + 4}" text-anchor="end">{share * most[1]:.4g}</text>')
        for (stride, points), color, shift in zip(series.items(), ("#0072b2", "#d55e00"), (60, 78)):
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, points))
            parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
            parts.append(f'<text x="{left + 20}" y="{shift}" fill="{color}">stride {stride}</text>')
    open(os.path.join(here, "sweep.svg"), "w").write("\n".join(parts + ["</svg>"]) + "\n")


subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "deepcut-cli"], cwd=root, check=True)
out = ["# Resolution", "", f"Printed by `bench/sweep.py` on {time.strftime('%Y-%m-%d')}: `deepcut features` of a random ViT-S/8 in the fastest precision on {threads} "
       "threads; the memory is the whole program's peak.", "", "![seconds and memory](sweep.svg)", "",
       "| stride | resolution | patches | seconds | peak memory |", "|---|---|---|---|---|"]
series = {}
for stride in (8, 4):
    for side in range(160, 641, 80):
        command = [os.path.join(root, "target/release/deepcut"), "features", os.path.join(root, "examples/pictures/duck.jpg"), "--backbone",
                   os.path.join(work, "vits8.safetensors"), "--stride", str(stride), "-r", str(side), "--profile", "paper", "--json",
                   "-o", os.path.join(work, "sweep"), "--overwrite", "-q", "-j", str(threads)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        report = json.loads(child.stdout.readline())
        child.stdout.read()
        _, _, usage = os.wait4(child.pid, 0)
        nodes, seconds, memory = math.prod(report["grid"]), report["seconds"]["features"], usage.ru_maxrss / 1024
        series.setdefault(stride, []).append((nodes, seconds, memory))
        out.append(f"| {stride} | {side} | {nodes} | {seconds:.2f} | {memory:.0f} MB |")
draw(series)
open(os.path.join(here, "SWEEP.md"), "w").write("\n".join(out) + "\n")
print("\n".join(out))
