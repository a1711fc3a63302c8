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
# Each object is cut out once and pasted, smaller and elsewhere, on the empty ground of another image. The pasted pixels are the truth.

# %%
folder = tempfile.TemporaryDirectory()
root = Path(folder.name)
(root / "images").mkdir()
(root / "masks").mkdir()

grounds = {"grass": ("hare.jpg", (0, 240, 480, 360)), "sand": ("ducks3.jpg", (0, 255, 480, 360)), "wood": ("mug.jpg", (0, 300, 320, 360))}
objects = {name: Image.fromarray(dc.segment(pictures / f"{name}.jpg", refine="bilateral").cutout()) for name in ["duck", "hare", "mug", "ducks2"]}
random = np.random.default_rng(0)
for ground, (picture, box) in grounds.items():
    strip = Image.open(pictures / picture).crop(box)
    for name, cutout in objects.items():
        image = strip.resize((480, 360))
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
# The result has every metric for the side that the program took for the object ("chosen") and for the better of both sides ("oracle"), with 95 %
# intervals over the images.

# %%
report = dc.evaluate("masks", root=root)
print(report)

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
