"""What onnx-n2n must know of the operators of the domain ``acme``, and a pass."""
