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
# # From a folder to COCO
#
# A folder of images becomes a data set in COCO's format, and the package [supervision](https://supervision.roboflow.com) draws it. It needs
# `pip install deepcut-vision matplotlib supervision`.

# %%
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import supervision as sv

import deepcut_vision as dc

pictures = Path("../pictures")
folder = tempfile.TemporaryDirectory()
output = Path(folder.name)

# %% [markdown]
# ## Segment the folder
#
# This is what `deepcut segment` does: images on all cores, memory that does not grow with their number, results written whole or not at all. The
# same call again skips what is done, so a run that was stopped continues.

# %%
summary = dc.segment_folder(pictures, output, formats=["coco", "mask"], label="thing")
print(summary)
again = dc.segment_folder(pictures, output, formats=["coco", "mask"], label="thing")
print(again)

# %% [markdown]
# ## What was written
#
# `annotations.json` has images, categories and annotations with boxes, polygons or run lengths, areas and scores.

# %%
annotations = json.loads((output / "annotations.json").read_text())
for key in ["images", "categories", "annotations"]:
    print(f"{key}: {len(annotations[key])}")
first = annotations["annotations"][0]
print({key: value for key, value in first.items() if key != "segmentation"})

# %% [markdown]
# ## Plot with supervision
#
# `DetectionDataset.from_coco` reads the file back: the round trip that a training script would do as well.

# %%
dataset = sv.DetectionDataset.from_coco(images_directory_path=str(pictures), annotations_path=str(output / "annotations.json"), force_masks=True)

figure, axes = plt.subplots(2, 3, figsize=(12, 6.4))
for ax, (path, image, detections) in zip(axes.flat, dataset):
    drawn = sv.MaskAnnotator(opacity=0.5).annotate(image.copy(), detections)
    drawn = sv.BoxAnnotator(thickness=3).annotate(drawn, detections)
    ax.imshow(drawn[..., ::-1])  # supervision reads images as BGR
    ax.set_title(f"{Path(path).name}: {len(detections)}")
    ax.set_axis_off()
figure.tight_layout()

# %% [markdown]
# ## Without files
#
# In a program, skip the files: `iter_segment` yields results one by one, in order, and `Detections` takes their arrays. `mode="objects"` would give several
# detections for an image.

# %%
for name, result in dc.iter_segment(sorted(pictures.glob("ducks*.jpg"))):
    found = [region for region in result.regions if region.is_foreground]
    detections = sv.Detections(
        xyxy=np.array([region.xyxy for region in found], dtype=float).reshape(-1, 4),
        mask=np.array([result.labels == region.label for region in found]),
        confidence=np.array([region.score for region in found]),
        class_id=np.zeros(len(found), dtype=int),
    )
    print(f"{Path(name).name}: box {detections.xyxy[0].astype(int).tolist()}, {detections.area[0]:.0f} pixels, score {detections.confidence[0]:.2f}")

# %%
folder.cleanup()
