"""Makes the next network from the last one: pseudo-masks, labeller, student. One command on a GPU; days on CPUs, where it goes on from where it was stopped.

    make.py PACKED OUT TEACHER.safetensors DEPTH.safetensors --start NETWORK.safetensors [--minutes 9] [--develop ECSSD]

PACKED is what prepare.py wrote. OUT gets the pseudo-masks (masks.pt), the labellers (labeller.{0,1,all}.pt), the labels (labels.pt), the student's checkpoint (student.pt) and
network.safetensors, as it was at the look, one every --every minutes, where held-out pictures liked it best; what is there is not made again. log.jsonl says how it goes: losses, the same on pictures that were held out, and the
development set's mean IoU, one half and the other."""
import argparse, json, os, time
import torch
from data import annotated, packed, shape_of, store
from label import labelled
from refine import measure
from teacher import Teacher
from train import Trainer

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("packed"); ap.add_argument("out"); ap.add_argument("teacher"); ap.add_argument("depth")
    ap.add_argument("--start", required=True, help="the exported network to begin from")
    ap.add_argument("--minutes", type=float, default=9, help="from beginning to end; a fifth of what the pseudo-masks leave is the labeller's")
    ap.add_argument("--every", type=float, default=1.5, help="minutes from one look at held-out pictures to the next")
    ap.add_argument("--rate", type=float, default=2e-3); ap.add_argument("--batch", type=int, default=128)
    ap.add_argument("--paste", type=float, default=0.2, help="share of pictures into which another's foreground is pasted")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--develop", help="folder of the development set")
    a = ap.parse_args()
    begin = time.time()
    a.device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(a.seed); torch.set_float32_matmul_precision("high")
    os.makedirs(a.out, exist_ok=True)

    def note(**values):
        line = json.dumps({"seconds": round(time.time() - begin), **values})
        print(line, flush=True)
        with open(f"{a.out}/log.jsonl", "a") as f:
            f.write(line + "\n")

    data, develop = packed(a.packed, a.device), annotated(a.develop, a.device) if a.develop else []
    note(pictures={shape: len(of["pictures"]) for shape, of in data.items()}, cut=sum(int(of["cut"].sum()) for of in data.values()), device=a.device)

    def left():
        """Minutes: a few seconds if there are none, so that what comes still ends with a network."""
        return max(a.minutes - (time.time() - begin) / 60, 0.1)

    def restored(path):
        if os.path.exists(path):
            for shape, kept in torch.load(path, map_location=a.device).items():
                data[shape].update(kept)
            return True

    def keep(path, *names):
        # A GPU's minutes are better spent than on gigabytes that nothing will read.
        if a.device == "cpu":
            store({shape: {name: of[name] for name in names} for shape, of in data.items()}, path)

    if not restored(f"{a.out}/masks.pt"):
        teacher = Teacher(a.start, a.teacher, a.depth, a.device)
        teacher.learn(data)
        note(teacher=measure(lambda x: teacher.answer(x, shape_of(*x.shape[:1:-1]))[0], develop))
        teacher.label(data)
        del teacher
        keep(f"{a.out}/masks.pt", "masks", "trust")
        note(trust=torch.cat([of["trust"] for of in data.values()]).mean().item())
    if not restored(f"{a.out}/labels.pt"):
        labelled(data, develop, a, left() / 5, note)
        keep(f"{a.out}/labels.pt", "masks", "trust", "features")
    Trainer(data, develop, a, note).run(left())
    note(end=True)
