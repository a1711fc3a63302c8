# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Evaluation
#
# How good are the masks on *your* images? `dc.evaluate` measures them against masks that you trust: a folder of images beside a folder of masks. To
# have a truth without a download, this notebook makes a data set whose masks are exact, because it pastes the objects itself. It needs
# `pip install deepcut-vision matplotlib pillow`.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import deepcut_vision as dc

pictures = Path("../pictures")

# %% [markdown]
# ## A made-up data set
#
# Each object is cut out once and pasted, smaller and elsewhere, on grass, sand and wood, which are mirrored from the lower edges of three images. The
# pasted pixels are the truth. The images are easy: nothing else is on them.

# %%
folder = tempfile.TemporaryDirectory()
root = Path(folder.name)
(root / "images").mkdir()
(root / "masks").mkdir()

lower_edges = {"grass": ("ducks2.jpg", 60), "sand": ("ducks3.jpg", 75), "wood": ("mug.jpg", 40)}
objects = {name: Image.fromarray(dc.segment(pictures / f"{name}.jpg", refine="bilateral").cutout()) for name in ["duck", "hare", "mug", "ducks2"]}
random = np.random.default_rng(0)
for ground, (picture, rows) in lower_edges.items():
    strip = plt.imread(pictures / picture)[-rows:]
    for name, cutout in objects.items():
        image = Image.fromarray(np.pad(strip, ((360 - rows, 0), (0, 0), (0, 0)), mode="symmetric"))
        scale = random.uniform(0.5, 0.8)
        pasted = cutout.resize((round(480 * scale), round(360 * scale)))
        place = (int(random.integers(0, 480 - pasted.width)), int(random.integers(0, 360 - pasted.height)))
        image.paste(pasted, place, pasted)
        mask = Image.new("L", image.size)
        mask.paste(255, place, pasted.getchannel("A").point(lambda alpha: 255 * (alpha > 127)))
        image.save(root / "images" / f"{name}-{ground}.png")
        mask.save(root / "masks" / f"{name}-{ground}.png")

paths = sorted((root / "images").iterdir())
figure, axes = plt.subplots(2, 6, figsize=(14, 3.8))
for ax, path in zip(axes.flat, paths):
    ax.imshow(plt.imread(path))
    ax.set_axis_off()

# %% [markdown]
# ## Measure
#
# The report is a dict with the setting and the metrics, most of them with a 95 % interval over the images. "Oracle side" counts the better one of the
# cut's two sides, whichever the program took for the object.

# %%
report = dc.evaluate("masks", root=root)
print(f"{report['pictures']} images, network {report['backbone']['name']}, precision {report['backbone']['precision']}")
for name, metric in report["results"][0]["metrics"].items():
    interval = "{:.3f} to {:.3f}".format(*metric["interval"]) if metric["interval"] else ""
    print(f"{name:<26} {metric['value']:.3f}   {interval}")

# %% [markdown]
# ## Look at the worst
#
# Numbers do not say what went wrong; the images do.


# %%
def iou(path):
    truth = np.asarray(Image.open(root / "masks" / path.name)) > 127
    mask = dc.segment(path).mask
    return (mask & truth).sum() / (mask | truth).sum()


scores = sorted((iou(path), path) for path in paths)
print(f"mean IoU {np.mean([score for score, _ in scores]):.4f}")

figure, axes = plt.subplots(1, 3, figsize=(12, 3.2))
for ax, (score, path) in zip(axes, scores):
    dc.segment(path).plot(ax=ax)
    ax.set_title(f"{path.stem}: IoU {score:.2f}")

# %% [markdown]
# ## Real data sets
#
# Unpack a data set as it is distributed and name its folder. In Python and on the command line:
#
# ```python
# dc.evaluate("ecssd", root="ECSSD")                          # mean IoU, accuracy, maxF
# dc.evaluate("voc2007", root="VOCdevkit")                    # CorLoc
# dc.evaluate("voc2007", root="VOCdevkit", task="instances")  # AP and AR
# ```
#
# ```sh
# deepcut eval ecssd --root ECSSD
# deepcut eval masks --root mydata --compare paper default
# ```
#
# [Evaluation](../../docs/evaluation.md) lists data sets, metrics and protocols.

# %%
folder.cleanup()
