"""Puts the medians of bench/results.json and bench/folder.json into the README, between its two marks: python3 bench/readme.py"""
import json, os, statistics

here = os.path.dirname(os.path.abspath(__file__))
run = json.load(open(os.path.join(here, "results.json")))
rows = ["| what, on " + f"{run['threads']} cores of an {run['cpu']} | seconds | DeepCut is |", "|---|---|---|"]
for title, seconds in run["seconds"].items():
    median = {name: statistics.median(s) for name, s in seconds.items()}
    median.pop("DeepCut, paper profile, from pixels to mask", None)
    ours = [name for name in median if name.startswith("DeepCut")]
    for name in ours:
        rows.append(f"| {title}: **{name}** | {median[name]:.3f} | |")
    for name in sorted(median.keys() - set(ours), key=median.get):
        same = [o for o in ours if o.split()[-1] == name.split()[-1]] or ours[:1]
        rows.append(f"| {name} | {median[name]:.3f} | {median[name] / median[same[0]]:.2f} × as fast |")
folder = json.load(open(os.path.join(here, "folder.json")))
rates = {name: rate for name, rate in folder["pictures a second"].items() if name.startswith("auto")}
rows += ["", f"The embedded network, from a folder of {folder['pictures']} JPEGs to their masks: "
         + ", ".join(f"{rate:.0f} pictures a second on {name.split(', ')[1]}" for name, rate in rates.items())
         + f"; a single picture takes {1e3 * folder['one picture, seconds']:.0f} ms from launch to exit ([`bench/FOLDER.md`](bench/FOLDER.md)).", ""]
path = os.path.join(os.path.dirname(here), "README.md")
begin, end = "<!-- bench/readme.py writes from here -->", "<!-- to here -->"
text = open(path).read()
before, rest = text.split(begin)
open(path, "w").write(before + begin + "\n" + "\n".join(rows) + "\n" + rest[rest.index(end):])
