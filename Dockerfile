# onnx-n2n with ONNX Runtime for CPUs. .ci/run does not build it; making a release does.
#   docker build -t onnx-n2n .
#   docker run --rm --network none -v "$PWD:/models" --user "$(id -u):$(id -g)" onnx-n2n widen net.onnx --factor 1.5
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY onnx_n2n onnx_n2n
COPY passes passes
RUN python -m venv /opt/onnx-n2n && /opt/onnx-n2n/bin/pip install --no-cache-dir '.[cpu]'

FROM python:3.11-slim
COPY --from=build /opt/onnx-n2n /opt/onnx-n2n
ENV PATH=/opt/onnx-n2n/bin:$PATH
WORKDIR /models
ENTRYPOINT ["onnx-n2n"]
CMD ["--help"]
