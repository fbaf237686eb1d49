"""Quantization: fewer bits for weights and activations, simulated in float32 and kept with what it takes to store it.

What a quantized model is, for whoever exports, measures or shows one:

* The module stays an ordinary float32 module whose weights *lie on their grids*: `state_dict()` is what a runtime would
  compute with. `RunState.quantization` (`core.quantization.record.Quantization`) says which grid that is:
  `quantization.weights["conv1.weight"]` is a `QuantizedWeight` (scheme, bits, axis, group size, `scale` and
  `zero_point` of shape [rows, groups], or the `book` of shared values), `quantization.activations["conv1"]` a
  `LayerActivations` with the `ActivationRange` of the layer's input and output (low, high, bits, symmetric; and from
  these `scale`, `zero_point`, `lowest`, `highest`). Per channel means groups = 1: `scale[:, 0]` is ONNX' scale vector
  along `axis`; per tensor `scale[0, 0]`.
* `core.quantization.grid.quantize(weight, record)` gives the integers, `dequantize` the same float32 bits again.
* `core.quantization.simulate.Simulated(module, quantization)` is the module that torch evaluates: inputs of layers are
  rounded to their ranges. Accuracies after quantization are its accuracies.
* Saved files carry the record as JSON in their metadata under `record.METADATA`; packed files hold the integers.
  `core.quantization.stored.read_quantization(checkpoint)` gives it back for both.
"""
