"""DeepCut as an auto-annotation function of CVAT: a mask or polygons for each object of each image of a task.

    pip install deepcut-vision cvat-cli "cvat-sdk[masks]"
    cvat-cli --server-host https://app.cvat.ai --auth NAME task auto-annotate 137 --function-file examples/cvat_function.py -p labels=str:duck

The task needs the labels by the same names. Options of `deepcut_vision.DeepCut` are passed in the same way; parts get one label each:

    … -p mode=str:parts -p n_clusters=int:3 -p labels=str:head,body,leg

`--conf-threshold` leaves out objects with a lower score. `--conv-mask-to-poly` gives polygons; CVAT's have no holes, so holes are filled.
"""
import cvat_sdk.auto_annotation as cvataa
from cvat_sdk.masks import encode_mask

import deepcut_vision as dc


class DeepCutFunction:
    """The interface of `cvat_sdk.auto_annotation.DetectionFunction`.

    Parameters
    ----------
    labels : str
        Names of CVAT's labels, separated by commas: one for objects, or one for each part in the order of the parts. Parts beyond the last name get it.
    **options
        Options of `deepcut_vision.DeepCut`; `mode` is "objects" unless given.
    """

    def __init__(self, labels="object", **options):
        self._model = dc.DeepCut(**{"mode": "objects", **options})
        names = [name.strip() for name in labels.split(",")]
        self.spec = cvataa.DetectionFunctionSpec(labels=[cvataa.label_spec(name, id) for id, name in enumerate(names, start=1)])

    def detect(self, context, image):
        """Shapes of the objects of a PIL image."""
        result = self._model.segment(image.convert("RGB"))
        shapes = []
        for found in result.objects():
            if found["score"] < (context.conf_threshold or 0):
                continue
            label, score = min(found["class"], len(self.spec.labels)), found["score"]
            if context.conv_mask_to_poly:
                # The pieces of one object are one group.
                group = found["label"] if len(found["polygons"]) > 1 else 0
                shapes += [cvataa.polygon(label, rings[0].ravel().tolist(), score=score, group=group) for rings in found["polygons"]]
            else:
                shapes.append(cvataa.mask(label, encode_mask(result.labels == found["label"]), score=score))
        return shapes


create = DeepCutFunction
