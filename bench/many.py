"""Ten thousand small pictures in one batch: memory over time, stopped and gone on with on the way: python3 bench/many.py
Writes bench/MANY.md and bench/many.json. Linux only: memory is read from /proc."""
import argparse, json, os, platform, random, signal, subprocess, tempfile, time, zlib

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(here)
parser = argparse.ArgumentParser()
parser.add_argument("--pictures", type=int, default=10_000)
parser.add_argument("--format", default="mask,json")
parser.add_argument("--program", help="a `deepcut` that is built already")
parser.add_argument("options", nargs="*", help="further options of `deepcut segment`, after --")
args = parser.parse_args()

if not args.program:
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "deepcut-cli"], cwd=root, check=True)
program = args.program or os.path.join(root, "target/release/deepcut")


def png(height, width, seed):
    """A bright disk before a dark ground, somewhere, as a PNG file."""
    choose = random.Random(seed)
    y0, x0, radius = choose.randrange(12, height - 12), choose.randrange(14, width - 14), choose.randrange(8, 14)
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            grain = (x * 7 + y * 13 + seed) % 19
            inside = (y - y0) ** 2 + (x - x0) ** 2 < radius ** 2
            rows += bytes((230 - grain, 150, 30 + grain) if inside else (40 + grain, 90, 60))
    chunk = lambda kind, data: len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows), 1)) + chunk(b"IEND", b"")


def resident(pid):
    """MB in memory now."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def run(pictures, out, stop_after=None):
    """Runs to the end, or until a signal after so many pictures. Its summary, exit status, seconds, and (pictures told, MB) as they went."""
    command = [program, "segment", pictures, "--output", out, "--format", args.format, "--json", "--no-progress", *args.options]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    told, samples, summary = 0, [], None
    for line in process.stdout:
        object = json.loads(line)
        if object["type"] == "summary":
            summary = object
            continue
        told += 1
        if told % max(args.pictures // 200, 1) == 0:
            samples.append((told, resident(process.pid)))
        if told == stop_after:
            process.send_signal(signal.SIGINT)
    return summary, process.wait(), time.perf_counter() - begin, [s for s in samples if s[1]]


with tempfile.TemporaryDirectory() as folder:
    pictures, out = os.path.join(folder, "pictures"), os.path.join(folder, "out")
    for at in range(args.pictures):
        sub = os.path.join(pictures, f"{at // 1000:02}")
        os.makedirs(sub, exist_ok=True)
        with open(os.path.join(sub, f"{at:05}.png"), "wb") as file:
            file.write(png(48, 64, at))
    names = ["begun, and stopped by Ctrl-C after a tenth", "the same command again", "once more"]
    runs = [run(pictures, out, args.pictures // 10), run(pictures, out), run(pictures, out)]
    files = sum(len(names) for _, _, names in os.walk(out))
    left = sum(name.endswith(".part") for _, _, names in os.walk(out) for name in names)

(_, status, *_), (second, status2, seconds, samples), (third, status3, *_) = runs
assert (status, status2, status3, left) == (130, 0, 0, 0), (status, status2, status3, left)
assert third["skipped"] == args.pictures and files == args.pictures * len(args.format.split(",")), (third, files)
cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
lines = ["# Many pictures", "", f"Printed by `bench/many.py --pictures {args.pictures}` on {time.strftime('%Y-%m-%d')}: {cpu}, {os.cpu_count()} cores. "
         f"{args.pictures} PNGs of 48 × 64 in sub-folders of a thousand, `deepcut segment FOLDER --format {' '.join([args.format, *args.options])}` with the embedded network." + (f" The program is `{args.program}`." if args.program else ""),
         "", "| run | exit status | done | done before | not done | files written | seconds |", "|---|---|---|---|---|---|---|"]
for name, (summary, status, took, _) in zip(names, runs):
    lines.append(f"| {name} | {status} | {summary['done']} | {summary['skipped']} | {summary['not_done']} | {summary['files']} | {took:.1f} |")
lines += ["", f"Memory of the second run, {summary['pictures']} pictures in one process:", "", "| pictures | resident |", "|---|---|"]
tenths = [samples[min(len(samples) - 1, i * len(samples) // 10)] for i in range(1, 10)] + [samples[-1]]
lines += [f"| {told} | {mb:.0f} MB |" for told, mb in tenths]
half = [mb for told, mb in samples if told > args.pictures // 2]
lines += ["", f"Most: {max(mb for _, mb in samples):.0f} MB. In the second half it moved by {max(half) - min(half):.0f} MB."]
open(os.path.join(here, "MANY.md"), "w").write("\n".join(lines) + "\n")
json.dump({"pictures": args.pictures, "cpu": cpu, "runs": {name: summary for name, (summary, *_) in zip(names, runs)}, "resident, MB": samples},
          open(os.path.join(here, "many.json"), "w"), indent=1)
print("\n".join(lines))
