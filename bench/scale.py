"""Distributed batches on this machine: one node and two, memory of an actor, bytes of a row; what many pictures cost at these figures:
python3 bench/scale.py
Writes bench/SCALE.md, bench/scale.json and the table of docs/scale.md. Linux only: memory is read from /proc. Needs deepcut-vision[ray] and Pillow."""
import argparse, json, os, platform, random, statistics, subprocess, sys, tempfile, threading, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

here = Path(__file__).resolve().parent
root = here.parent
sys.path.insert(0, str(root / "python/tests"))
parser = argparse.ArgumentParser()
parser.add_argument("--pictures", type=int, default=800, help="pictures of 375 x 500 for the rates")
parser.add_argument("--repeat", type=int, default=3)
parser.add_argument("--small", type=int, default=5000, help="pictures of 48 x 64 for the memory")
parser.add_argument("--again", action="store_true", help="measure nothing: print the figures of scale.json again")
parser.add_argument("--dry", action="store_true", help="print, and write no file of the repository")
args = parser.parse_args()

from ray_cluster import cluster_of, resident_of_actor


def picture(at, path, height, width):
    """A crop of an example, scaled."""
    from PIL import Image

    sources = sorted((root / "examples/pictures").glob("*.jpg"))
    choose = random.Random(at)
    with Image.open(sources[at % len(sources)]) as image:
        share = choose.uniform(0.6, 1)
        w, h = int(image.width * share), int(image.height * share)
        left, top = choose.randrange(image.width - w + 1), choose.randrange(image.height - h + 1)
        image.convert("RGB").crop((left, top, left + w, top + h)).resize((width, height)).save(path, quality=90)


def pictures(folder, count, height, width, ending):
    os.mkdir(folder)
    paths = [os.path.join(folder, f"{at:06}.{ending}") for at in range(count)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(picture, range(count), paths, [height] * count, [width] * count, chunksize=64))
    return statistics.mean(os.path.getsize(path) for path in paths)


def job(cluster, *arguments, watch=None):
    """Runs the job; its summary. `watch` runs beside it, until its event is set."""
    command = [sys.executable, "-m", "deepcut_vision.ray", *map(str, arguments), "--address", cluster.address, "--json", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(ended, cluster)) if watch else None
    if watcher:
        watcher.start()
    out, _ = process.communicate()
    ended.set()
    if watcher:
        watcher.join()
    assert process.returncode == 0, process.returncode
    return json.loads(out)


def rate_of_command(folder, out, threads):
    begin = time.perf_counter()
    command = [sys.executable, "-m", "deepcut_vision", "segment", folder, "-o", out, "--format", "coco", "--coco-masks", "rle", "-j", str(threads), "--quiet"]
    subprocess.run(command, check=True)
    return args.pictures / (time.perf_counter() - begin)


def measure():
    """The figures, as scale.json has them."""
    with tempfile.TemporaryDirectory() as folder:
        place = lambda name: os.path.join(folder, name)
        bytes_of_picture = pictures(place("photos"), args.pictures, 375, 500, "jpg")
        pictures(place("small"), args.small, 48, 64, "png")
        runs = {"1": [], "2": []}
        for turn in range(args.repeat):
            for nodes in runs:
                with cluster_of(int(nodes), connect=False) as cluster:
                    out = place(f"out{nodes}.{turn}")
                    summary = job(cluster, place("photos"), out)
                    assert (summary["done"], summary["actors"]) == (args.pictures, int(nodes)), summary
                    print(f"{nodes} actors: {summary['pictures_per_second']:.1f} pictures/s, {summary['working_seconds']:.1f} s of {summary['seconds']:.1f} s", flush=True)
                    runs[nodes].append(summary)
        command = {str(threads): max(rate_of_command(place("photos"), place(f"c{threads}.{turn}"), threads) for turn in range(args.repeat)) for threads in (1, 2)}
        row = {}
        with cluster_of(2, connect=False) as cluster:
            row["object"] = runs["2"][0]["bytes"] / args.pictures
            for name, flags in (("objects", ["--mode", "objects"]), ("object, with label images", ["--labels-png"])):
                row[name] = job(cluster, place("photos"), place(f"row {name}"), *flags)["bytes"] / args.pictures
        samples = []

        def watch(ended, cluster):
            while not ended.wait(0.5):
                parts = len(list(Path(place("memory/parts")).glob("part-*")))
                if parts and (now := resident_of_actor(cluster)):
                    samples.append((parts * 100, now))

        with cluster_of(1, connect=False) as cluster:
            memory = job(cluster, place("small"), place("memory"), "--part-rows", 100, "--set", "resolution=96", watch=watch)
            assert memory["done"] == args.small, memory
    cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    return {"date": time.strftime("%Y-%m-%d"), "cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "pictures": args.pictures, "small": args.small,
            "repeat": args.repeat, "runs": runs, "command, pictures a second": command, "bytes of a picture": bytes_of_picture, "bytes of a row": row, "resident, MB": samples}


data = json.loads((here / "scale.json").read_text()) if args.again else measure()
cpu, cores, small, samples, row, runs = (data[name] for name in ("cpu", "cores", "small", "resident, MB", "bytes of a row", "runs"))
command, bytes_of_picture = data["command, pictures a second"], data["bytes of a picture"]
best = {nodes: max(run["pictures_per_second"] for run in of) for nodes, of in runs.items()}
one, two, alone, both = best["1"], best["2"], command["1"], command["2"]
ratio = two / one
start = statistics.median(run["seconds"] - run["working_seconds"] for run in runs["2"])
per_core = two / 2


def bytes_for_people(count):
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def time_for_people(hours):
    return f"{hours * 3600:.0f} s" if hours < 1 / 30 else f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days" if hours < 24 * 730 else f"{hours / 24 / 365:.0f} years"


def cost(count):
    hours = count / per_core / 3600
    times = [time_for_people(hours / cores) for cores in (2, 64, 1000, 10_000)]
    store = [bytes_for_people(count * size) for size in (bytes_of_picture, row["object"], row["objects"], row["object, with label images"])]
    return [f"{count:,}", f"{hours:,.0f}", *times, *store]


head = ["pictures", "core-hours", "on 2 cores", "on 64", "on 1,000", "on 10,000", "pictures take", "rows take", "rows of several objects", "rows with label images"]
table = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(cost(count)) + " |" for count in (10**6, 10**9)]
quarters = [samples[min(len(samples) - 1, i * len(samples) // 8)] for i in range(1, 8)] + samples[-1:]
half = [mb for told, mb in samples if told > small // 2]
lines = ["# Distributed batches", "", f"Printed by `bench/scale.py` on {data['date']}: {cpu}, {cores} cores, Python {data['python']}. "
         f"{data['pictures']} JPEGs of 375 × 500 ({bytes_of_picture / 1e3:.0f} kB each), `python -m deepcut_vision.ray`, on Ray clusters of nodes with one CPU, which share this machine with the head, the driver and each other. Best of {data['repeat']}.",
         "", "| | pictures a second | times one |", "|---|---|---|",
         f"| one node, one actor | {one:.1f} | 1 |", f"| two nodes, two actors | {two:.1f} | {ratio:.2f} |",
         f"| `deepcut segment -j 1` | {alone:.1f} | {alone / one:.2f} |", f"| `deepcut segment -j 2` | {both:.1f} | {both / one:.2f} |",
         "", f"Actors take {start:.1f} s to start and to stop, which is not in these figures. "
         f"A row takes {row['object']:.0f} B in Parquet, {row['objects']:.0f} B with `--mode objects`, {row['object, with label images']:.0f} B with label images.",
         "", f"Memory of one actor over {small} PNGs of 48 × 64 (`--part-rows 100 --set resolution=96`):", "", "| pictures | resident |", "|---|---|"]
lines += [f"| {told} | {mb:.0f} MB |" for told, mb in quarters]
lines += ["", f"Most: {max(mb for _, mb in samples):.0f} MB. In the second half it moved by {max(half) - min(half):.0f} MB.", "",
          "What many pictures cost, if every core does what these two did:", "", *table]
print("\n".join(lines))
if not args.dry:
    (here / "SCALE.md").write_text("\n".join(lines) + "\n")
    (here / "scale.json").write_text(json.dumps(data, indent=1) + "\n")
    page = root / "docs/scale.md"
    first, last = "<!-- cost: bench/scale.py writes from here -->\n", "<!-- to here -->"
    text = page.read_text()
    before, _, rest = text.partition(first)
    _, found, after = rest.partition(last)
    assert found, f"{page} has no place for the table"
    told = (f"Measured on {cpu}, {cores} cores: two actors on two nodes did {two:.1f} pictures of 375 × 500 a second, {ratio:.2f} times what one did, "
            f"so a core does {per_core:.1f}. At that rate:")
    page.write_text(before + first + told + "\n\n" + "\n".join(table) + "\n" + last + after)
