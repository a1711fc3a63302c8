"""Makes the file that the program embeds of one that train.py or average.py wrote: without the foreground's plane, as the mask head says it better.

    embed.py NETWORK.safetensors OUT.safetensors"""
import argparse
from safetensors.torch import load_file
from export import write

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("network"); ap.add_argument("out")
    a = ap.parse_args()
    tensors = {name: tensor for name, tensor in load_file(a.network).items() if not name.startswith("prior.")}
    if "mask.out.weight" not in tensors:
        raise SystemExit(f"{a.network} has no mask head")
    write(tensors, a.out, masks=True)
