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
# # Features of your own
#
# Clustering does not care where features come from: any array of shape (rows, columns, values) will do. Here they come from a network in PyTorch.
# It needs `pip install deepcut-vision matplotlib torch`.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import deepcut_vision as dc

image = plt.imread(Path("../pictures") / "hare.jpg")

# %% [markdown]
# ## A network
#
# To stay small and offline, this one has random weights. Its filters answer to color and texture, and know nothing of objects. The end of this page has
# a trained one.


# %%
class Filters(nn.Module):
    """Two convolutions with random weights; one vector of 64 values for each 8 × 8 pixels."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 32, 7, padding=3), nn.ReLU(), nn.AvgPool2d(4), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))

    def forward(self, images):
        return self.layers(images)


torch.manual_seed(1)
network = Filters().eval()
with torch.inference_mode():
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
    maps = network(pixels)[0].permute(1, 2, 0)  # (rows, columns, values)
print(tuple(maps.shape))

# %% [markdown]
# ## Cut them
#
# Patches are compared by the angle between their vectors. Values after a ReLU are all positive, so all angles are small; standardizing each value
# spreads them. With `image=`, labels come at the size of the image.

# %%
model = dc.DeepCut(n_clusters=2, random_state=0)
standard = (maps - maps.mean(dim=(0, 1))) / (maps.std(dim=(0, 1)) + 1e-6)
random = model.cluster(standard, image=image)
embedded = model.segment(image)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
for ax, result, title in zip(axes, [random, embedded], ["random filters", "embedded network"]):
    result.plot(ax=ax)
    ax.set_title(f"{title}, confidence {result.confidence:.2f}")

# %% [markdown]
# ## How well do they agree?
#
# Random filters cut what differs most in color and texture. Here that is the hare; elsewhere it may be sky and ground.

# %%
overlap = (random.mask & embedded.mask).sum() / (random.mask | embedded.mask).sum()
print(f"intersection over union of the two masks: {overlap:.2f}")

# %% [markdown]
# ## With trained weights
#
# A vision transformer gives one token for each patch. Leave out the class and register tokens, and put the rest back on the grid:
#
# ```python
# from transformers import AutoImageProcessor, AutoModel
#
# name = "facebook/dinov2-with-registers-small"
# processor, network = AutoImageProcessor.from_pretrained(name, do_center_crop=False, size={"height": 448, "width": 448}), AutoModel.from_pretrained(name)
# with torch.inference_mode():
#     tokens = network(**processor(image, return_tensors="pt")).last_hidden_state[0]
# maps = tokens[1 + network.config.num_register_tokens:].reshape(448 // 14, 448 // 14, -1)
# result = dc.DeepCut().cluster(maps, image=image)
# ```
#
# Many of these networks need no PyTorch at all: `dc.DeepCut(backbone="dinov2-vits14")` loads their weights itself, and `dc.models()` lists them.
