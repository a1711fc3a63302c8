"""The Python package: what a call costs beyond the Rust code, and published Python on the same features.

    pip install -r bench/requirements.txt    # and the package: maturin develop --release, or its wheel
    python3 bench/python.py [--rounds 6] [--calls 30] [--threads 2]

Writes bench/PYTHON.md and bench/python.json. Whoever is compared takes turns, so that noise of the machine falls on all alike.
"""
import argparse, json, os, platform, statistics, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(here)
parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=6, help="images that each published step cuts")
parser.add_argument("--calls", type=int, default=30, help="calls of each kind on small images; a third of them on large ones")
parser.add_argument("--threads", type=int, default=os.cpu_count())
args = parser.parse_args()
# A kernel that is forced on OpenBLAS would slow the peers down.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(args.threads)

import numpy as np
import scipy
import threadpoolctl
import torch
import torch_geometric
from PIL import Image

import deepcut_vision as dc
import published

torch.set_num_threads(args.threads)
pictures = sorted(entry.path for entry in os.scandir(os.path.join(root, "examples/pictures")) if entry.name.endswith(".jpg"))
# Measured once, so that every process and model computes in the same precision.
precision = dc.segment(pictures[0]).report()["backbone"]["precision"]


def timed(work):
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def processors():
    """Seconds that all processors worked so far, and those that this program and the ones it started did; Linux only."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, idle, wait, *rest = map(int, file.readline().split()[1:])
    except OSError:
        return None
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


def is_lent(array):
    """Whether the memory of an array belongs to something other than numpy, here to a Rust value."""
    base = np.asarray(array)
    while isinstance(base, np.ndarray):
        if base.flags.owndata:
            return False
        base = base.base
    return base is not None


def turns(names, turn):
    """The names in an order that turns, so that nobody always follows the same one."""
    return names[turn % len(names):] + names[:turn % len(names)]


# Part 1: the call.
begin, worked = time.perf_counter(), processors()
WRITING = {"write", "checksum"}  # stages that only the command has
overhead, copies = {}, {}


def command(path, images):
    """Seconds of the stages of each image, from decoding to labels, of one run of the command on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        for at in range(images):
            os.symlink(path, os.path.join(folder, f"{at}.jpg"))
        line = [sys.executable, "-m", "deepcut_vision", "segment", folder, "--json", "--quiet", "--threads", "1", "--precision", precision]
        out = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout
    objects = [json.loads(line) for line in out.splitlines()]
    # The first image of a process finds nothing in the caches.
    return [sum(seconds for stage, seconds in object["seconds"].items() if stage not in WRITING) for object in objects if object["type"] == "picture"][1:]


with tempfile.TemporaryDirectory() as folder:
    for (width, height), calls in [((400, 300), args.calls), ((4000, 3000), max(args.calls // 3, 3))]:
        path = os.path.join(folder, f"{width}.jpg")
        Image.open(os.path.join(root, "examples/pictures/mug.jpg")).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=92)
        inputs = {"path": path, "array": np.asarray(Image.open(path))}
        models = {threads: dc.DeepCut(threads=threads, precision=precision) for threads in sorted({1, args.threads})}
        runs = {(kind, threads): {"call": [], "file": [], "mask": [], "stages": []} for kind in inputs for threads in models}
        turns_of_command = []
        for kind, threads in runs:
            models[threads].segment(inputs[kind])
        for turn in range(calls):
            for kind, threads in turns(list(runs), turn):
                seconds, result = timed(lambda: models[threads].segment(inputs[kind]))
                runs[kind, threads]["call"].append(seconds)
                runs[kind, threads]["stages"].append(sum(result.seconds.values()))
                runs[kind, threads]["mask"].append(timed(lambda: result.mask)[0])
                # Stages of a result begin after its file is read.
                runs[kind, threads]["file"].append(timed(lambda: dc._deepcut.Image.open(path))[0] if kind == "path" else 0.0)
            turns_of_command.append(statistics.median(command(path, 4)))
        for (kind, threads), run in runs.items():
            if kind == "path" and threads == 1:
                run["command"] = turns_of_command
            overhead[f"{width} × {height}, {kind}, {threads} thread{'s' * (threads > 1)}"] = run
        array = inputs["array"]
        result = models[1].segment(array)
        copies["the array that comes in"] = np.shares_memory(result.image, array)
        copies["labels"] = is_lent(result.labels) and result.labels is result.labels
copies["features"] = is_lent(models[1].features(pictures[0]))

# Part 2: published Python on the same features.
ours = {"deepcut": dc.DeepCut(profile="paper", epochs=10, threads=args.threads), "tokencut": dc.DeepCut(method="tokencut", threads=args.threads),
        "deep-spectral": dc.DeepCut(method="deep-spectral", threads=args.threads), "default": dc.DeepCut(threads=args.threads, precision=precision)}


def peer(name, features):
    flat = np.ascontiguousarray(features, dtype=np.float32).reshape(-1, features.shape[2])
    if name == "deepcut":
        torch.manual_seed(0)
        return published.deepcut(torch.from_numpy(flat), 10).numpy() > 0
    return published.tokencut(flat, features.shape[:2]) if name == "tokencut" else published.deep_spectral(flat)


def overlap(a, b):
    """Intersection over union of two masks."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def agreement(name, theirs, mine):
    """Intersection over union of the masks on the patches. Clusters of the network have no side, so the better one counts."""
    theirs, mine = theirs.ravel(), mine.ravel() > 0
    return max(overlap(theirs, mine), overlap(~theirs, mine)) if name == "deepcut" else overlap(theirs, mine)


contest = {f"{who} {name}": [] for name in ("deepcut", "tokencut", "deep-spectral") for who in ("ours", "theirs")} | {"ours default": []}
agree = {name: [] for name in ("deepcut", "tokencut", "deep-spectral")}
maps = [np.array(dc.DeepCut(threads=args.threads, precision=precision).features(path)) for path in pictures]
nodes = {map.shape[0] * map.shape[1] for map in maps}
work = {f"{who} {name}": (lambda features, name=name: ours[name].cluster(features).labels) if who == "ours" else (lambda features, name=name: peer(name, features))
        for who, name in (key.split(" ", 1) for key in contest)}
for function in work.values():
    function(maps[0])
for turn in range(args.rounds):
    features, found = maps[turn % len(maps)], {}
    for name in turns(list(work), turn):
        seconds, found[name] = timed(lambda: work[name](features))
        contest[name].append(seconds)
    for name in agree:
        agree[name].append(agreement(name, found[f"theirs {name}"], found[f"ours {name}"]))
    print(f"round {turn + 1}: " + ", ".join(f"{name} {seconds[-1]:.3f} s" for name, seconds in contest.items()), flush=True)

# What is written.
median = statistics.median
cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
kernels = result.report()["kernels"]
blas = sorted({f"{pool['internal_api']} {pool.get('version') or ''} {pool.get('architecture') or ''}".strip() for pool in threadpoolctl.threadpool_info()})
others = None
if worked:
    (all_before, own_before), (all_after, own_after) = worked, processors()
    others = max(all_after - all_before - own_after + own_before, 0) / (time.perf_counter() - begin) / os.cpu_count()
titles = {"deepcut": ("DeepCut's network, 10 epochs", "PyTorch Geometric"), "tokencut": ("TokenCut", "SciPy, `eigh`"),
          "deep-spectral": ("Deep Spectral", "SciPy, `eigsh` at 0")}
table = []
for name, (title, tool) in titles.items():
    mine, theirs = median(contest[f"ours {name}"]), median(contest[f"theirs {name}"])
    table.append({"title": title, "tool": tool, "ours": mine, "theirs": theirs, "agreement": statistics.mean(agree[name])})
lines = ["# The Python package", "",
         f"Printed by `bench/python.py --rounds {args.rounds} --calls {args.calls} --threads {args.threads}` on {time.strftime('%Y-%m-%d')}: {cpu}, "
         f"{os.cpu_count()} cores, kernels `{kernels}`, Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, PyTorch {torch.__version__}, "
         f"PyTorch Geometric {torch_geometric.__version__}. Medians." + (f" Other programs took {others:.0%} of the processors' time." if others is not None else ""), "",
         "## A call beside the Rust code that it runs", "",
         "`model.segment(image)` on a photograph with the embedded network, " + f"{precision}. *Stages* are the times that the Rust code itself takes, `result.seconds`; for a path, "
         "*file* reads and decodes the path by the Rust code alone, between the calls. *Beyond* is what a call takes more than both: the median difference over the "
         "median of the two. *Command* is what the command says of the same image on one thread (`--json`), files included; it is another process. The last column is `result.mask`, made when first asked for.", "",
         "| image, threads | call | stages | file | beyond | command | mask |", "|---|---|---|---|---|---|---|"]
beyond = {}
ms = lambda seconds: f"{1e3 * seconds:.1f} ms"
for name, run in overhead.items():
    rust = [stages + file for stages, file in zip(run["stages"], run["file"])]
    beyond[name] = (median(call - stages for call, stages in zip(run["call"], run["stages"])) - median(run["file"])) / median(rust)
    file = ms(median(run["file"])) if "path" in name else "–"
    beside = ms(median(run["command"])) if "command" in run else "–"
    lines.append(f"| {name} | {ms(median(run['call']))} | {ms(median(run['stages']))} | {file} | {beyond[name]:+.1%} | {beside} | {ms(median(run['mask']))} |")
lines += ["", "Handed over without a copy: " + ", ".join(f"{name} ({'yes' if shared else 'no'})" for name, shared in copies.items()) + ".", "",
          "## Published Python on the same features", "",
          f"From the features of an example image ({', '.join(f'{n:,}' for n in sorted(nodes))} patches of {maps[0].shape[2]} values) to its clusters, {args.threads} threads each, "
          f"{args.rounds} images. The published steps are in [`published.py`](published.py), written from equations: PyTorch Geometric trains on every positive edge, as published; "
          f"SciPy solves for the eigenvectors ({'; '.join(blas)}). *Agreement* is the mean intersection over union of both masks on the patches; the network's start "
          "is random, so its clusters cannot be equal.", "",
          "| step | DeepCut, from Python | as published | with | times as fast | agreement |", "|---|---|---|---|---|---|"]
lines += [f"| {row['title']} | {ms(row['ours'])} | {ms(row['theirs'])} | {row['tool']} | {row['theirs'] / row['ours']:.0f} | {row['agreement']:.3f} |" for row in table]
lines += ["", f"The default profile, whose graph has one bit for an edge, takes {ms(median(contest['ours default']))}."]
open(os.path.join(here, "PYTHON.md"), "w", encoding="utf-8").write("\n".join(lines) + "\n")
values = {"overhead": overhead, "beyond": beyond, "contest": contest, "agreement": agree, "table": table, "nodes": sorted(nodes), "threads": args.threads, "cpu": cpu,
          "kernels": kernels, "cores": os.cpu_count(), "share of other programs": others, "copies": {name: bool(shared) for name, shared in copies.items()}}
json.dump(values, open(os.path.join(here, "python.json"), "w"), indent=1)
print("\n".join(lines))
