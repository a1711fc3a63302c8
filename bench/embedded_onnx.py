"""The embedded network as an ONNX file, for other engines: embedded_onnx.py OUT [SIDE]

Input `pixels`, [1, 3, SIDE, SIDE], normalized; output `features`, [1, 128, SIDE / 8, SIDE / 8].
"""
import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from safetensors import safe_open

WEIGHTS = pathlib.Path(__file__).parent / "../crates/deepcut/weights/embedded.safetensors"


class Graph:
    def __init__(self, tensors):
        self.tensors, self.nodes, self.constants = tensors, [], {}

    def constant(self, name, value):
        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind, *inputs, **attributes):
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x, name, size=1, step=1, pad=0, group=1):
        parts = [self.constant(f"{name}.{part}", self.tensors[f"{name}.{part}"].astype(np.float32))
                 for part in ("weight", "bias") if f"{name}.{part}" in self.tensors]
        return self.op("Conv", x, *parts, kernel_shape=[size] * 2, strides=[step] * 2, pads=[pad] * 4, group=group)

    def block(self, x, name, kernel):
        y = self.conv(x, f"{name}.depthwise", kernel, 1, kernel // 2, self.tensors[f"{name}.depthwise.weight"].shape[0])
        return self.op("Add", x, self.conv(self.op("Gelu", self.conv(y, f"{name}.expand")), f"{name}.project"))

    def blocks(self, x, name, depth, kernel):
        for i in range(depth):
            x = self.block(x, f"{name}.{i}", kernel)
        return x


def main(out, side=352):
    with safe_open(WEIGHTS, "np") as file:
        shape = json.loads(file.metadata()["deepcut"])
    graph, kernel, depths = Graph(load_file(WEIGHTS)), shape["kernel"], shape["depths"]
    x = graph.blocks(graph.conv("pixels", "stem", 4, 4), "stage1", depths[0], kernel)
    x = graph.blocks(graph.conv(x, "down1", 2, 2), "stage2", depths[1], kernel)
    y = graph.blocks(graph.conv(x, "down2", 2, 2), "stage3", depths[2], kernel)
    scales = graph.constant("scales", np.array([1, 1, 2, 2], np.float32))
    up = graph.op("Resize", graph.conv(y, "top"), "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
    z = graph.blocks(graph.op("Add", graph.conv(x, "lateral"), up), "mix", shape["mix"], kernel)
    last = graph.conv(z, "head")
    tensor = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    inputs, outputs = [tensor("pixels", [1, 3, side, side])], [tensor(last, [1, shape["output"], side // 8, side // 8])]
    made = helper.make_graph(graph.nodes, "embedded", inputs, outputs, list(graph.constants.values()))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, out)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
