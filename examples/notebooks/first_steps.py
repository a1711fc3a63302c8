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
# # First steps
#
# DeepCut finds the main object of a photograph without being told what to look for. This notebook goes from a file to a mask, a box, a cutout,
# and several objects. It needs `pip install deepcut-vision matplotlib`, no network, and less than a minute.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import deepcut_vision as dc

pictures = Path("../pictures")

# %% [markdown]
# ## One call
#
# An image may be a path, the bytes of a file, an array of shape (height, width, 3), a PIL image or a torch tensor. In a notebook, a result
# shows itself: the image under its mask.

# %%
result = dc.segment(pictures / "mug.jpg")
result

# %% [markdown]
# ## What a result holds
#
# `mask` is a boolean array of the size of the image. `labels` numbers the regions; 0 is the background. Each region has its area in pixels, a
# score between 0 and 1, and a box `(x, y, width, height)` as in COCO. `confidence` says how clean the cut between object and background is: low
# values deserve a second look.

# %%
print(f"confidence {result.confidence:.2f}")
for region in result.regions:
    print(f"label {region.label}: {region.kind}, {region.area} pixels, box {region.bbox}")

assert result.mask.shape == result.labels.shape == (360, 480)

# %% [markdown]
# Masks are numpy arrays, so the rest is numpy. Here the background becomes gray, and the cutout comes with transparency:

# %%
image = plt.imread(pictures / "mug.jpg")
gray = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.2))
for axes, picture, title in [(left, image, "image"), (middle, np.where(result.mask[..., None], image, gray), "gray background"),
                             (right, result.cutout(), "cutout")]:
    axes.imshow(picture)
    axes.set_title(title)
    axes.set_axis_off()

# %% [markdown]
# ## Save it
#
# Give a folder and the formats, or the name of one file. `segment_folder` does this for thousands of images.

# %%
with tempfile.TemporaryDirectory() as folder:
    written = result.save(folder, ["mask", "overlay", "cutout", "json"])
    for path in map(Path, written):
        print(f"{path.name}: {path.stat().st_size} bytes")

# %% [markdown]
# ## Edges
#
# The network sees patches of 8 × 8 pixels, so thin parts suffer. A guided filter moves the edges of the mask to the edges of the image; `refine="bilateral"` is another way, which is slower.

# %%
refined = dc.segment(pictures / "mug.jpg", refine="bilateral")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
result.plot(ax=axes[0])
refined.plot(ax=axes[1])
axes[0].set_title("default")
axes[1].set_title("bilateral solver")
figure.tight_layout()

# %% [markdown]
# ## Several objects
#
# The default looks for one object. `mode="objects"` finds as many as there are, each with a label of its own, the surest first. Two of the example
# images, side by side, make a scene with two objects.

# %%
scene = np.hstack([plt.imread(pictures / name) for name in ["ducks2.jpg", "hare.jpg"]])
objects = dc.segment(scene, mode="objects")

objects.plot()
for region in objects.regions:
    if region.kind == "object":
        print(f"object {region.label}: score {region.score:.2f}, box {region.bbox}")

# %% [markdown]
# ## Keep the model
#
# `dc.segment` loads the network once and keeps it. An estimator holds options as well, in the manner of scikit-learn:

# %%
model = dc.DeepCut(mode="objects", max_objects=1, refine="bilateral")
labels = model.fit_predict(pictures / "duck.jpg")
print(model)
print(f"{np.count_nonzero(labels)} of {labels.size} pixels belong to the duck, confidence {model.confidence_:.2f}")

# %% [markdown]
# Next: [parts](parts.py), [features of your own](own_features.py), [a folder as a COCO data set](folder_to_coco.py), [evaluation](evaluation.py).
