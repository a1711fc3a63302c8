"""Imports the readers of programs with windows or networks without those: what they are drawn and computed with is replaced by stand-ins.

The readers themselves are the programs' own code.
"""
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import types
from unittest.mock import MagicMock

ABSENT = {"PyQt5", "PyQt6", "onnxruntime", "imgviz", "termcolor", "pillow_heif", "torch", "torchvision", "polars"}


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds packages that are not needed, and makes a stand-in of each of their modules."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__name__, module.__spec__ = [], spec.name, spec
        return module

    def exec_module(self, module):
        pass


class Point:
    """What Qt's points do of what the readers need."""

    def __init__(self, x, y):
        self.at = (x, y)

    def x(self):
        return self.at[0]

    def y(self):
        return self.at[1]


def bare(name):
    """A package of which no code ran yet, so that its modules can be imported one by one."""
    parent, _, last = name.rpartition(".")
    places = sys.modules[parent].__path__ if parent else sys.path
    module = types.ModuleType(name)
    module.__path__ = [path for path in (os.path.join(place, last) for place in places) if os.path.isdir(path)]
    sys.modules[name] = module
    return module


def labelme():
    """LabelMe's file reader and its utilities."""
    from loguru import logger
    logger.disable("labelme")
    from labelme import utils
    from labelme._label_file import LabelFile
    return LabelFile, utils


def x_anylabeling():
    """X-AnyLabeling's file reader."""
    prefix = "anylabeling.views.labeling."
    bare("anylabeling"), bare("anylabeling.views"), bare("anylabeling.views.labeling")
    utils = bare(prefix + "utils")
    for name in ["label_converter", "utils.qt"]:
        sys.modules[prefix + name] = MagicMock(name=name)
    core = importlib.import_module("PyQt6.QtCore")
    sys.modules["PyQt6"].QtCore = core
    core.QPointF, core.QCoreApplication.translate = Point, lambda context, text: text
    for name in ["_io", "image", "image_tags"]:
        vars(utils).update((key, value) for key, value in vars(importlib.import_module(f"{prefix}utils.{name}")).items() if key[0] != "_" or key[1] != "_")
    return importlib.import_module(prefix + "label_file").LabelFile


def ultralytics(folder):
    """Ultralytics' check of a label file, and what makes masks of polygons. Its settings are kept in a folder."""
    os.environ.update(YOLO_CONFIG_DIR=folder, YOLO_OFFLINE="true", YOLO_VERBOSE="false")
    version = importlib.metadata.version
    importlib.metadata.version = lambda name: "2.5.0" if name.split("vision")[0] == "torch" else version(name)
    import torch
    import torchvision
    torch.__version__, torchvision.__version__ = "2.5.0", "0.20.0"
    torch.jit.TracerWarning, torch.nn.Module, torch.Tensor = UserWarning, type("Module", (), {}), type("Tensor", (), {})
    torch.utils.data.Dataset = type("Dataset", (), {})
    import ultralytics as package
    for name in ["nn", "nn.autobackend"]:
        sys.modules[f"{package.__name__}.{name}"] = MagicMock(name=name)
    bare("ultralytics.data")
    utils = importlib.import_module("ultralytics.data.utils")
    importlib.metadata.version = version
    return utils.verify_image_label, utils.polygon2mask


sys.meta_path.append(StandIns())
