"""DeepCut against its peers on this machine, in one run: PyTorch (SDPA), ONNX Runtime and OpenVINO for the backbone, PyTorch Geometric for
the published training loop.

    pip install -r bench/requirements.txt && python3 bench/compare.py [--rounds 5] [--threads 2] [--slow] [--name RESULTS]

Everyone gets the same random ViT-S/8 weights and the same input, must give the same keys of the last block, and is then timed in turns:
a round runs each contestant once, and medians over the rounds are compared, so that noise of the machine falls on all alike. Writes
bench/RESULTS.md and bench/results.json, or what --name says. --slow adds the published training loop at stride 4 (minutes, 10 GB).
"""
import argparse, json, os, platform, statistics, subprocess, sys, time
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(here)
parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--slow", action="store_true")
parser.add_argument("--name", default="RESULTS", help="what to write: NAME.md, and NAME in small letters as JSON")
parser.add_argument("--strides", type=int, nargs="+", default=[8, 4])
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(args.threads)

import onnxruntime, openvino, torch, torch.nn.functional as F
import torch_geometric
from safetensors.torch import save_file

import published

torch.set_num_threads(args.threads)
torch.manual_seed(0)
SIDE, PATCH, DIM, DEPTH, HEADS, TABLE = 280, 8, 384, 12, 6, 28
work = os.path.join(root, "target", "compare")
os.makedirs(work, exist_ok=True)


def random_weights():
    shapes = {"cls_token": (1, 1, DIM), "pos_embed": (1, TABLE * TABLE + 1, DIM), "patch_embed.proj.weight": (DIM, 3, PATCH, PATCH),
              "patch_embed.proj.bias": (DIM,), "norm.weight": (DIM,), "norm.bias": (DIM,)}
    for i in range(DEPTH):
        for name, shape in {"norm1.weight": (DIM,), "norm1.bias": (DIM,), "attn.qkv.weight": (3 * DIM, DIM), "attn.qkv.bias": (3 * DIM,),
                            "attn.proj.weight": (DIM, DIM), "attn.proj.bias": (DIM,), "norm2.weight": (DIM,), "norm2.bias": (DIM,),
                            "mlp.fc1.weight": (4 * DIM, DIM), "mlp.fc1.bias": (4 * DIM,), "mlp.fc2.weight": (DIM, 4 * DIM),
                            "mlp.fc2.bias": (DIM,)}.items():
            shapes[f"blocks.{i}.{name}"] = shape
    is_norm = lambda name: "norm" in name and name.endswith("weight")
    return {name: torch.randn(shape) * (0.1 if is_norm(name) else 0.05) + is_norm(name) for name, shape in shapes.items()}


weights = random_weights()
save_file(weights, os.path.join(work, "vits8.safetensors"))
index = np.arange(SIDE * SIDE * 3)
picture = ((index * 7919) % 1001 / 500.0 - 1.0).astype(np.float32).reshape(SIDE, SIDE, 3)
pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()


class Keys(torch.nn.Module):
    """Keys of the last block, all heads, patches only, as PyTorch runs them best: fused attention, nothing computed in vain."""

    def __init__(self, stride):
        super().__init__()
        self.stride, grid = stride, (SIDE - PATCH) // stride + 1
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "_"), value)
        table = weights["pos_embed"][0, 1:].reshape(1, TABLE, TABLE, DIM).permute(0, 3, 1, 2)
        scale = (grid + 0.1) / TABLE
        table = F.interpolate(table, scale_factor=(scale, scale), mode="bicubic", recompute_scale_factor=False)
        self.register_buffer("positions", torch.cat([weights["pos_embed"][0, :1], table[0].flatten(1).T])[None])

    def forward(self, x):
        w = lambda name: getattr(self, name.replace(".", "_"))
        norm = lambda x, name: F.layer_norm(x, (DIM,), w(name + ".weight"), w(name + ".bias"), 1e-6)
        linear = lambda x, name: F.linear(x, w(name + ".weight"), w(name + ".bias"))
        x = F.conv2d(x, w("patch_embed.proj.weight"), w("patch_embed.proj.bias"), stride=self.stride).flatten(2).transpose(1, 2)
        x = torch.cat([w("cls_token"), x], 1) + self.positions
        for i in range(DEPTH):
            name = f"blocks.{i}."
            y = norm(x, name + "norm1")
            if i == DEPTH - 1:
                return F.linear(y, w(name + "attn.qkv.weight")[DIM:2 * DIM], w(name + "attn.qkv.bias")[DIM:2 * DIM])[:, 1:]
            q, k, v = linear(y, name + "attn.qkv").reshape(1, -1, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)
            x = x + linear(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, -1, DIM), name + "attn.proj")
            x = x + linear(F.gelu(linear(norm(x, name + "norm2"), name + "mlp.fc1")), name + "mlp.fc2")


subprocess.run(["cargo", "build", "--release", "--quiet", "--example", "stopwatch"], cwd=root, check=True)
stopwatch = subprocess.Popen([os.path.join(root, "target/release/examples/stopwatch"), os.path.join(work, "vits8.safetensors")],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(command):
    stopwatch.stdin.write(command + "\n")
    stopwatch.stdin.flush()
    answer = stopwatch.stdout.readline()
    if not answer:
        sys.exit(f"the program ended on `{command}`")
    return float(answer)


def our_keys(precision, stride):
    path = os.path.join(work, "keys.bin")
    ask(f"backbone {precision} {stride} {path}")
    return np.fromfile(path, np.float32).reshape(-1, DIM)


def timed(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


has_bf16 = "avx512_bf16" in open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else False
fastest = "bf16" if has_bf16 else "f32"
results = {}


def contest(title, contestants):
    """Runs every contestant once a round; the order turns, so that nobody always follows the same one."""
    names = list(contestants)
    seconds = {name: [] for name in names}
    for name in names:
        contestants[name]()
    for turn in range(args.rounds):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            # Threads of the one before may still spin.
            time.sleep(0.5)
            seconds[name].append(contestants[name]())
    results[title] = seconds
    print(title, {name: round(statistics.median(s), 4) for name, s in seconds.items()}, flush=True)


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


agreement = {}
with torch.inference_mode():
    for stride in args.strides:
        model = Keys(stride).eval()
        reference = model(pixels)[0].numpy()
        path = os.path.join(work, f"keys{stride}.onnx")
        torch.onnx.export(model, (pixels,), path, input_names=["pixels"], output_names=["keys"], opset_version=18, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        core = openvino.Core()
        compile_for = lambda precision: core.compile_model(path, "CPU", {
            "INFERENCE_NUM_THREADS": args.threads, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"})
        vino = {p: compile_for(p) for p in (["f32", "bf16"] if has_bf16 else ["f32"])}
        half = Keys(stride).eval().bfloat16() if has_bf16 else None

        keys = {"ONNX Runtime f32": session.run(None, {"pixels": pixels.numpy()})[0][0], "DeepCut f32": our_keys("f32", stride)}
        keys |= {f"OpenVINO {p}": model_(pixels.numpy())[0][0] for p, model_ in vino.items()}
        if has_bf16:
            keys |= {"DeepCut bf16": our_keys("bf16", stride), "PyTorch bf16": half(pixels.bfloat16())[0].float().numpy()}
        for name, value in keys.items():
            error, cosine = np.abs(value - reference).max() / np.abs(reference).max(), cosines(value, reference).min()
            agreement[f"{name}, stride {stride}"] = {"relative error": float(error), "least cosine": float(cosine)}
            assert error < 1e-3 if name.endswith("f32") else cosine > 0.99, (name, error, cosine)

        contestants = {"PyTorch SDPA f32": lambda: timed(lambda: model(pixels)),
                       "ONNX Runtime f32": lambda: timed(lambda: session.run(None, {"pixels": pixels.numpy()})),
                       "OpenVINO f32": lambda: timed(lambda: vino["f32"](pixels.numpy())),
                       "DeepCut f32": lambda: ask(f"backbone f32 {stride}")}
        if has_bf16:
            contestants |= {"PyTorch SDPA bf16": lambda: timed(lambda: half(pixels.bfloat16())),
                            "OpenVINO bf16": lambda: timed(lambda: vino["bf16"](pixels.numpy())),
                            "DeepCut bf16": lambda: ask(f"backbone bf16 {stride}")}
        contest(f"ViT-S/8 keys of the last block, 280 × 280, stride {stride}", contestants)

for stride in args.strides:
    features = torch.from_numpy(our_keys("f32", stride))
    contestants = {"DeepCut, paper profile": lambda: ask(f"cut {fastest} 10 {stride}"),
                   "DeepCut, default profile": lambda: ask(f"default {fastest} 50 {stride}"),
                   "DeepCut, paper profile, from pixels to mask": lambda: ask(f"whole {fastest} {stride}")}
    title = f"Graph, training and mask, {len(features)} nodes (10 epochs; default profile, 50 epochs)"
    authors = lambda: timed(lambda: published.deepcut(features, 10))
    if stride == 8:
        contestants["PyTorch Geometric, as published"] = authors
    contest(title, contestants)
    if stride != 8 and args.slow:
        # Minutes: once.
        results[title]["PyTorch Geometric, as published"] = [authors()]


def floors():
    """What the processor and the memory allow at best, beside what was measured at stride 8."""
    grid, epochs, hidden = (SIDE - PATCH) // 8 + 1, {"paper": 10, "default": 50}, 64
    n = grid * grid
    tokens = n + 1
    block = 2 * tokens * 12 * DIM * DIM + 4 * tokens * tokens * DIM
    backbone = 2 * n * DIM * 3 * PATCH * PATCH + (DEPTH - 1) * block + 2 * tokens * DIM * DIM
    parameters = sum(value.numel() for value in weights.values())
    epoch = 2 * n * (2 * DIM * hidden + 3 * hidden * 32 + 3 * 32 * 2) + 4 * n * n
    graph = {"paper": 4 * n * n * DIM, "default": 3 * n * n * DIM}
    best = {p: ask(f"peak {p}") / (args.threads * 1e9) for p in (["f32", "bf16"] if has_bf16 else ["f32"])}
    byte = ask("read") / 1e9
    spent = lambda name: next(statistics.median(s[name]) for s in results.values() if name in s)
    rows = [(f"ViT-S/8 backbone, {p}", backbone, p, parameters * (4 if p == "f32" else 2), spent(f"DeepCut {p}")) for p in best]
    for profile, count in epochs.items():
        edges = 4 * n * n if profile == "paper" else n * n / 8
        rows.append((f"graph and {count} epochs, {profile} profile, {fastest}", graph[profile] + count * epoch, fastest,
                     2 * edges + count * (8 * n * DIM + edges), spent(f"DeepCut, {profile} profile")))
    out = ["## Floors at stride 8", "", f"Measured here: {1e-9 / best['f32']:.0f} GFLOP/s in f32"
           + (f", {1e-9 / best['bf16']:.0f} in bf16" if has_bf16 else "") + f", {1e-9 / byte:.0f} GB/s.", "",
           "| | operations | floor by operations | bytes | floor by bytes | measured | of the floor |", "|---|---|---|---|---|---|---|"]
    for name, operations, precision, size, seconds in rows:
        by_operations, by_bytes = operations * best[precision], size * byte
        out.append(f"| {name} | {operations / 1e9:.2f} G | {1e3 * by_operations:.1f} ms | {size / 1e6:.0f} MB | {1e3 * by_bytes:.1f} ms | "
                   f"{1e3 * seconds:.1f} ms | {seconds / max(by_operations, by_bytes):.2f} × |")
    return out + [""]


floor_lines = floors() if 8 in args.strides else []
stopwatch.stdin.close()

median = lambda title, name: statistics.median(results[title][name])
cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
lines = ["# DeepCut and its peers", "",
         f"Printed by `bench/compare.py --rounds {args.rounds} --threads {args.threads}` on {time.strftime('%Y-%m-%d')}: {cpu}, "
         f"{platform.system()}, PyTorch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}, "
         f"PyTorch Geometric {torch_geometric.__version__}. Medians of {args.rounds} rounds in which everyone ran once; the machine is shared, so look at the ratios.", ""]
for title, seconds in results.items():
    ours = [name for name in seconds if name.startswith("DeepCut") and not name.endswith("to mask")]
    lines += [f"## {title}", "", "| | seconds | " + " | ".join(f"{name} ÷ this" for name in ours) + " |", "|---|---|" + "---|" * len(ours)]
    for name in seconds:
        ratios = " | ".join(f"{median(title, o) / median(title, name):.2f}" for o in ours)
        lines.append(f"| {name} | {median(title, name):.3f} | {ratios} |")
    lines.append("")
lines += floor_lines
lines += ["## The whole", "", "| stride | PyTorch SDPA f32 and the published loop | DeepCut, fastest precision, paper profile | times as fast |", "|---|---|---|---|"]
for stride in args.strides:
    backbone, cut = [title for title in results if title.endswith(f"stride {stride}")][0], None
    nodes = ((SIDE - PATCH) // stride + 1) ** 2
    cut = next(title for title in results if f" {nodes} nodes" in title)
    if "PyTorch Geometric, as published" not in results[cut]:
        continue
    theirs = median(backbone, "PyTorch SDPA f32") + median(cut, "PyTorch Geometric, as published")
    ours = median(cut, "DeepCut, paper profile, from pixels to mask")
    lines.append(f"| {stride} | {theirs:.2f} s | {ours:.2f} s | {theirs / ours:.0f} |")
lines += ["", "## Agreement with PyTorch in f32", "", "| keys of the last block | largest error, relative to the largest key | least cosine of a patch |", "|---|---|---|"]
lines += [f"| {name} | {a['relative error']:.1e} | {a['least cosine']:.6f} |" for name, a in agreement.items()]
open(os.path.join(here, args.name + ".md"), "w").write("\n".join(lines) + "\n")
json.dump({"seconds": results, "agreement": agreement, "threads": args.threads, "cpu": cpu}, open(os.path.join(here, args.name.lower() + ".json"), "w"), indent=1)
print("\n".join(lines))
