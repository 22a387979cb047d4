"""Where a graph is rounded to 8 bits: an annotation of convolutions, and of what lies between them, for PT2E."""

from collections.abc import Collection

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

from compress.graph import RELUS, layer_name

aten = torch.ops.aten
CONVOLUTIONS = (aten.conv2d.default, aten.conv2d.padding)
_SUMS = (aten.add.Tensor, aten.add_.Tensor, aten.mul.Tensor, aten.mul_.Tensor)
_MOVED = (
    aten.upsample_nearest2d.vec,
    aten.pixel_shuffle.default,
    aten.pixel_unshuffle.default,
    aten.slice.Tensor,
    aten.view.default,
    aten.reshape.default,
    aten.permute.default,
    aten.max_pool2d.default,
)
"""Operators that only move values: what comes out has the scale of what goes in."""

_KEY = "quantization_annotation"


class IntegerSums(Quantizer):  # type: ignore[misc]
    """Everything in 8 bits: convolutions, sums, products, concatenations, resizes; all but a last sum.

    For runtimes that compute a convolution in integers only where its output is rounded, too (ONNX Runtime). The layers
    named in `in_float`, and the last sum, stay in float.
    """

    def __init__(self, activation: QuantizationSpec, weight: QuantizationSpec, in_float: Collection[str]) -> None:
        super().__init__()
        self.activation, self.weight, self.in_float = activation, weight, set(in_float)

    def annotate(self, model: GraphModule) -> GraphModule:
        last = next(node for node in model.graph.nodes if node.op == "output").all_input_nodes
        for node in model.graph.nodes:
            if _annotated(node) or node.op != "call_function":
                continue
            if node.target in CONVOLUTIONS and layer_name(node) not in self.in_float:
                self._convolution(node, last)
            elif node in last:
                continue
            elif node.target in _SUMS and all(isinstance(a, Node) for a in node.args[:2]):
                self._sum(node, last)
            elif node.target == aten.cat.default:
                self._same_scale(node, node.all_input_nodes)
            elif node.target in _MOVED:
                self._same_scale(node, node.all_input_nodes[:1])
        return model

    def validate(self, model: GraphModule) -> None:
        pass

    def _convolution(self, node: Node, last: Collection[Node]) -> None:
        source, weight = node.all_input_nodes[:2]
        self._annotate(node, {source: self.activation, weight: self.weight}, last)

    def _sum(self, node: Node, last: Collection[Node]) -> None:
        self._annotate(node, dict.fromkeys(node.all_input_nodes, self.activation), last)

    def _annotate(self, node: Node, inputs: dict[Node, QuantizationSpec], last: Collection[Node]) -> None:
        """Round the inputs, and the output: after a ReLU that follows, which runtimes compute with it.

        The network's own output stays in float.
        """
        relu = next(iter(node.users), None)
        if node in last:
            node.meta[_KEY] = QuantizationAnnotation(inputs, _annotated=True)
        elif relu is not None and len(node.users) == 1 and relu.target in RELUS and relu not in last:
            node.meta[_KEY] = QuantizationAnnotation(input_qspec_map=inputs, _annotated=True)
            relu.meta[_KEY] = QuantizationAnnotation(output_qspec=self.activation, _annotated=True)
        else:
            node.meta[_KEY] = QuantizationAnnotation(inputs, self.activation, _annotated=True)

    def _same_scale(self, node: Node, sources: list[Node]) -> None:
        shared = SharedQuantizationSpec((sources[0], node))
        inputs = dict.fromkeys(sources, shared) | {sources[0]: self.activation}
        node.meta[_KEY] = QuantizationAnnotation(inputs, shared, _annotated=True)


def _annotated(node: Node) -> bool:
    annotation = node.meta.get(_KEY)
    return annotation is not None and annotation._annotated
