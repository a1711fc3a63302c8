"""Writes the tables of the README between their marks, from BENCHMARKS.md and the files bench/results.json, bench/folder.json and bench/python.json: python3 tools/readme.py"""
import hashlib, json, os, re, statistics

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(*path):
    with open(os.path.join(root, *path), encoding="utf-8") as file:
        return file.read()


benchmarks = read("BENCHMARKS.md")


def section(title):
    """The text below a heading, up to the next one."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", benchmarks, re.M | re.S).group(1)


def printed(text, command):
    """The number of images, and the first table that a command printed: its header and its rows."""
    after = text.split(f"$ deepcut {command}\n```\n")[1]
    images = int(re.search(r"(\d+) (?:pictures|images);", after).group(1))
    table = re.search(r"((?:^\|.*\n)+)", after, re.M).group(1)
    header, _, *rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.strip().split("\n")]
    return images, header, {row[0]: row[1:] for row in rows}


METHODS = "deepcut,spectral,tokencut,kmeans,lost,deep-spectral,pca"
counts = {}


def swept(network, profile, method):
    """Mean IoU on ECSSD and CorLoc on VOC 2007 of a method on a network's features."""
    text = section(f"Methods on the features of {network}, profile {profile}")
    file = network if network == "embedded" else network + ".safetensors"
    values = []
    for name, root_and_list in [("ecssd", "ecssd"), ("voc2007", "voc2007 --list dev.txt")]:
        command = f"sweep {name} --root {root_and_list} --backbone {file} --profile {profile} --set method={METHODS}"
        images, header, rows = printed(text, command)
        assert header[1] == {"ecssd": "IoU", "voc2007": "CorLoc"}[name]
        assert counts.setdefault(name, images) == images
        values.append(rows[f"method {method}"][0])
    return values


def with_prior(network):
    """Mean IoU on ECSSD and CorLoc on VOC 2007 of a network with a prior that it was fitted."""
    text, values = section("Priors fitted on unlabeled photographs"), []
    for command, metric in [("eval ecssd --root ecssd", "IoU"), ("eval voc2007 --root voc2007 --list dev.txt", "CorLoc")]:
        _, _, rows = printed(text, f"{command} --backbone {network}.safetensors --prior {network}.prior.safetensors")
        values.append(rows[metric][0].split()[0])
    return values


def refined():
    """Mean IoU on ECSSD with the bilateral solver."""
    images, _, rows = printed(section("The embedded network"), "eval ecssd --root ecssd --refine bilateral")
    assert counts["ecssd"] == images
    return [rows["IoU"][0].split()[0], "–"]


quality = [
    ("embedded: `deepcut segment`", swept("embedded", "default", "deepcut")),
    ("embedded, `--refine bilateral`", refined()),
    ("embedded, `--profile paper`", swept("embedded", "paper", "deepcut")),
    ("embedded, `--method tokencut`", swept("embedded", "default", "tokencut")),
    ("ViT-Ti/16 trained with ImageNet's labels", swept("vit_tiny_patch16_224_f16", "default", "deepcut")),
    ("the same, with `deepcut fit` on unlabeled photographs", with_prior("vit_tiny_patch16_224_f16")),
    ("ViT-S/14 of DINOv2's layout (Depth Anything V2)", swept("dinov2_vits14_from_da2s_encoder_f16", "default", "deepcut")),
    ("the same, with `deepcut fit` on unlabeled photographs", with_prior("dinov2_vits14_from_da2s_encoder_f16")),
]
# From the papers; their features are those of other networks, DINO's above all.
published = [
    ("TokenCut", ".712", "68.8"),
    ("DeepCut", ".746", "69.8"),
    ("SelfMask, a head trained on unlabeled images", ".781", "–"),
    ("FOUND, a head trained on unlabeled images", ".807", "72.5"),
]
lines = [
    f"| DeepCut in Rust, development figures | ECSSD, development set of {counts['ecssd']} images: mean IoU | VOC 2007, development set of {counts['voc2007']} images: CorLoc |",
    "|---|---|---|",
]
lines += [f"| {name} | {iou} | {corloc} |" for name, (iou, corloc) in quality]
lines += [
    "",
    "| as published, with other backbones | ECSSD, the full test set of 1,000 images: mean IoU | VOC 2007, all 5,011 images of trainval: CorLoc |",
    "|---|---|---|",
]
lines += [f"| {name} | {float(iou):.3f} | {float(corloc) / 100:.3f} |" if corloc != "–" else f"| {name} | {float(iou):.3f} | – |" for name, iou, corloc in published]
# Measured by others, with the network of this checksum: no command here prints these figures. Features are those of the second checksum.
measured, measured_features = "74bee5f8de983d44804273d301ec22a325793e8d26392f85f5d07237988a7162", "c6990be07e928d1812fdaafd00582f397257bac0b16860582950179a91c9df06"


def features_checksum(path):
    """Of a network's tensors, names and bytes, but the plane that features do not depend on."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {name: tensor["data_offsets"] for name, tensor in json.loads(data[8:start]).items() if name not in ("__metadata__", "objectness")}
    return hashlib.sha256(b"".join(name.encode() + data[start + first : start + last] for name, (first, last) in sorted(tensors.items()))).hexdigest()


same = features_checksum(os.path.join(root, "crates", "deepcut", "weights", "embedded.safetensors")) == measured_features
which = "the embedded network" if same else "an earlier embedded network"
# As that version did.
before = "eval ecssd --root ecssd --set prior_weight=0 --refine none"
_, _, rows = printed(section("The embedded network"), before)
lines += [
    "",
    f"Settings were chosen on development images, so these figures flatter a little. On images by which nothing was chosen, {which}",
    f"(SHA-256 `{measured[:8]}…`) reached in an earlier version, which had neither prior nor guided filter and {rows['IoU'][0].split()[0]} on the development set, measured",
    "independently of the project: mean IoU 0.781 on the other 800 images of ECSSD (0.795 with `--refine bilateral`), mean IoU 0.625 on the 5,019 images of DUTS-TE, CorLoc",
    "0.675 on the other 4,760 images of VOC 2007 trainval. This version was not measured there.",
]
tables = {"quality": lines}

run, folder = json.loads(read("bench", "results.json")), json.loads(read("bench", "folder.json"))
medians = {title: {name: statistics.median(times) for name, times in seconds.items()} for title, seconds in run["seconds"].items()}


def found(start):
    return next(values for title, values in medians.items() if title.startswith(start))


def cell(seconds):
    return "–" if seconds is None else f"{seconds:.3f} s"


vit, graph = found("ViT-S/8 keys of the last block, 280 × 280, stride 8"), found("Graph, training and mask, 1225 nodes")
rates = [rate for name, rate in folder["pictures a second"].items() if name == f"auto, {run['threads']} threads"]
assert folder["cpu"] == run["cpu"] and len(rates) == 1
lines = [f"| {run['threads']} cores of an {run['cpu']} | DeepCut | OpenVINO | ONNX Runtime | PyTorch |", "|---|---|---|---|---|"]
for precision in ["f32", "bf16"]:
    peers = [vit.get(f"{name} {precision}") for name in ["DeepCut", "OpenVINO", "ONNX Runtime", "PyTorch SDPA"]]
    lines.append(f"| ViT-S/8, keys of the last block, 280 × 280, {precision} | " + " | ".join(map(cell, peers)) + " |")
lines += [
    f"| Graph of 1,225 nodes, 10 epochs of training, mask | {cell(graph['DeepCut, paper profile'])} | – | – | {cell(graph['PyTorch Geometric, as published'])} (published code) |",
    f"| JPEG to mask with the embedded network | {1 / rates[0]:.3f} s: {rates[0]:.0f} images a second (one alone, with the start: {cell(folder['one picture, seconds'])}) | – | – | – |",
]
tables["speed"] = lines

python = json.loads(read("bench", "python.json"))
nodes = " or ".join(f"{count:,}" for count in python["nodes"])
lines = [
    f"| {nodes} patches to clusters, {python['threads']} cores of an {python['cpu']} ({python['kernels']}) | DeepCut, from Python | as published | times as fast | IoU of both masks |",
    "|---|---|---|---|---|",
]
lines += [
    f"| {row['title']} | {1e3 * row['ours']:.1f} ms | {1e3 * row['theirs']:,.0f} ms ({row['tool']}) | {row['theirs'] / row['ours']:,.0f} | {row['agreement']:.3f} |"
    for row in python["table"]
]
most = max(python["beyond"].values())
lines += ["", f"A call from Python takes at most {most:.1%} more time than the Rust code that it runs ([`bench/PYTHON.md`](bench/PYTHON.md))."]
tables["python"] = lines

path = os.path.join(root, "README.md")
text = read("README.md")
for name, lines in tables.items():
    begin, end = f"<!-- {name}: tools/readme.py writes from here -->", "<!-- to here -->"
    before, rest = text.split(begin)
    text = before + begin + "\n" + "\n".join(lines) + "\n" + rest[rest.index(end):]
with open(path, "w", encoding="utf-8") as file:
    file.write(text)
