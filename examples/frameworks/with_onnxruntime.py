"""ONNX Runtime: it only runs models, so scikit-learn trains this one, and its weights are written into a graph."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from sklearn.neural_network import MLPClassifier

from digits import NUM_DIGITS, NUM_PIXELS, SEED, DigitClassifier, training

NUM_HIDDEN = 64
_OPSET, _IR_VERSION = 17, 8  # old ones, that every ONNX Runtime of these years reads


class OnnxDigits(DigitClassifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        network = MLPClassifier((NUM_HIDDEN,), learning_rate_init=0.01, max_iter=100, tol=1e-3, random_state=SEED)
        trained = network.fit(*training())
        graph = as_onnx(trained.coefs_, trained.intercepts_)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # there is so little to compute that a second thread costs more than it brings
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self.session.run(None, {"images": images})[0])


def as_onnx(matrices: list[np.ndarray], biases: list[np.ndarray]) -> bytes:
    """Return an ONNX model of two layers, `images (rows, 64) float32` -> `probabilities (rows, 10) float32`."""
    constants = {"in": matrices[0], "in_bias": biases[0], "out": matrices[1], "out_bias": biases[1]}
    graph = helper.make_graph(
        nodes=[
            helper.make_node("Gemm", ["images", "in", "in_bias"], ["sums"]),
            helper.make_node("Relu", ["sums"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", "out", "out_bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        name="digits",
        inputs=[helper.make_tensor_value_info("images", TensorProto.FLOAT, ["rows", NUM_PIXELS])],
        outputs=[helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", NUM_DIGITS])],
        initializer=[numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
