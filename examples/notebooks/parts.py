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
# # Parts
#
# `mode="parts"` first finds the object and then cuts it into parts. Every image starts from the same initial network, so part 1 of one duck is part 1
# of the next, although no image knows of the others.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import deepcut_vision as dc

pictures = Path("../pictures")
names = ["ducks1.jpg", "ducks2.jpg", "ducks3.jpg"]

# %% [markdown]
# ## The same parts in three images

# %%
model = dc.DeepCut(mode="parts", n_clusters=4, random_state=0)
results = [model.segment(pictures / name) for name in names]

figure, axes = plt.subplots(1, 3, figsize=(12, 3.2))
for ax, name, result in zip(axes, names, results):
    result.plot(ax=ax)
    ax.set_title(name)

# %% [markdown]
# How well they agree shows in their shares of the object: the more even a row, the better. Parts agree for images of one kind, and better the more alike
# the objects are. If they do not, try another number of parts or another `random_state`. Labels of different options or seeds do not correspond.

# %%
print("part  " + "".join(f"{name:>12}" for name in names))
for part in range(1, 5):
    shares = [np.count_nonzero(result.labels == part) / np.count_nonzero(result.mask) for result in results]
    print(f"{part:>4}  " + "".join(f"{share:>12.0%}" for share in shares))

# %% [markdown]
# ## Features once, clusters many times
#
# Nearly all of the time goes into the features. Compute them once, and try numbers of parts on them:

# %%
features = model.features(pictures / "ducks1.jpg")
print(f"features: {features.shape[0]} × {features.shape[1]} patches of {features.shape[2]} values, {features.dtype}")

figure, axes = plt.subplots(1, 4, figsize=(14, 2.9))
for ax, n_clusters in zip(axes, [2, 3, 4, 6]):
    model.cluster(features, n_clusters=n_clusters).plot(ax=ax)
    ax.set_title(f"{n_clusters} parts")

# %% [markdown]
# ## Background too
#
# `mode="scene"` also cuts the background in two. The kinds of the regions tell which labels are which.

# %%
scene = dc.segment(pictures / "ducks1.jpg", mode="scene", n_clusters=3)
scene.plot()
for region in scene.regions:
    print(f"label {region.label}: {region.kind}, {region.area / scene.labels.size:.0%} of the image")
