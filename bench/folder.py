"""Pictures a second of the embedded network, by threads and precision, and one picture from launch to exit: python3 bench/folder.py
Writes bench/FOLDER.md and bench/folder.json."""
import argparse, itertools, json, os, platform, statistics, subprocess, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(here)
parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--pictures", type=int, default=200)
args = parser.parse_args()
cores = os.cpu_count()

subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "deepcut-cli"], cwd=root, check=True)
examples = sorted(entry.path for entry in os.scandir(os.path.join(root, "examples/pictures")) if entry.name.endswith(".jpg"))


def run(source, *options):
    """Seconds from launch to exit, and peak memory in MB."""
    with tempfile.TemporaryDirectory() as out:
        command = [os.path.join(root, "target/release/deepcut"), "segment", source, "--output", out, "--format", "mask", "--quiet", *options]
        begin = time.perf_counter()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        assert status == 0, command
        return seconds, usage.ru_maxrss / 1024


contestants = {f"{precision}, {threads} thread" + "s" * (threads > 1): ["--precision", precision, "--threads", str(threads)]
               for precision in ("auto", "f32") for threads in sorted({1, cores})}
folder, one = {name: [] for name in contestants}, []
with tempfile.TemporaryDirectory() as pictures:
    for at, path in zip(range(args.pictures), itertools.cycle(examples)):
        os.symlink(path, os.path.join(pictures, f"{at}.jpg"))
    for turn in range(args.rounds):
        names = list(contestants)
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            folder[name].append(run(pictures, *contestants[name]))
        one += [run(path) for path in examples * 3]

cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
rate = {name: args.pictures / statistics.median(seconds for seconds, _ in runs) for name, runs in folder.items()}
memory = {name: statistics.median(mb for _, mb in runs) for name, runs in folder.items()}
launch = statistics.median(seconds for seconds, _ in one)
lines = ["# A folder of pictures", "", f"Printed by `bench/folder.py --rounds {args.rounds} --pictures {args.pictures}` on {time.strftime('%Y-%m-%d')}: "
         f"{cpu}, {cores} cores. `deepcut segment FOLDER --format mask` with the embedded network, JPEGs of 480 × 360, from launch to exit; medians.",
         "", "| precision and threads | pictures a second | a thread | peak memory |", "|---|---|---|---|"]
for name in contestants:
    threads = int(contestants[name][-1])
    lines.append(f"| {name} | {rate[name]:.1f} | {rate[name] / threads:.1f} | {memory[name]:.0f} MB |")
lines += ["", f"One picture, from launch to exit: {1e3 * launch:.0f} ms, median of {len(one)}."]
open(os.path.join(here, "FOLDER.md"), "w").write("\n".join(lines) + "\n")
json.dump({"pictures a second": rate, "peak memory, MB": memory, "one picture, seconds": launch, "pictures": args.pictures, "cpu": cpu, "cores": cores},
          open(os.path.join(here, "folder.json"), "w"), indent=1)
print("\n".join(lines))
