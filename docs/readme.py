"""Puts the methods' main figures from BENCHMARKS.md into the README, between its two marks: python3 docs/readme.py"""
import os, re

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
text = open(os.path.join(root, "BENCHMARKS.md")).read()
rows = {}
for title, body in re.findall(r"^## Methods on the features of (.*?)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
    network, profile = title.split(", profile ")
    for table in re.findall(r"((?:^\|.*\n)+)", body, re.M):
        head, _, *lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.strip().split("\n")]
        for line in lines:
            method = line[0].removeprefix("method ")
            rows.setdefault((network, profile, method), {})[head[1]] = line[1]
out = ["| features | profile | method | ECSSD, mean IoU | VOC 2007, CorLoc |", "|---|---|---|---|---|"]
for (network, profile, method), values in rows.items():
    # The paper's method and ours in both profiles, the others in the one that suits them: ours.
    if profile == "default" or method == "deepcut":
        mark = "**" if method == "deepcut" and profile == "default" else ""
        out.append(f"| {network} | {profile} | {mark}{method}{mark} | {values['IoU']} | {values['CorLoc']} |")
path = os.path.join(root, "README.md")
begin, end = "<!-- docs/readme.py writes from here -->", "<!-- to here -->"
text = open(path).read()
before, rest = text.split(begin)
open(path, "w").write(before + begin + "\n" + "\n".join(out) + "\n" + rest[rest.index(end):])
