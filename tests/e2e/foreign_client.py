"""A client of the server that shares nothing with it but the .proto files.

    python3 foreign_client.py TARGET PROTO_DIR SHARD

Generates the stubs, then drives every RPC, health and reflection. SHARD is a
CIFAR-10 binary file that fits the model.
"""

import array
import subprocess
import sys
import tempfile
import threading

target, proto_dir, shard_path = sys.argv[1:4]
stubs = tempfile.TemporaryDirectory()
subprocess.run(
    ["protoc", "-I", proto_dir, "--python_out", stubs.name,
     "--grpc_python_out", stubs.name,
     "--plugin=protoc-gen-grpc_python="
     + subprocess.check_output(["which", "grpc_python_plugin"], text=True).strip(),
     "quantserve/v1/tensor.proto", "quantserve/v1/inference.proto",
     "quantserve/v1/quantization.proto", "inference/grpc_service.proto"],
    check=True)
sys.path.insert(0, stubs.name)

import grpc  # noqa: E402
from inference import grpc_service_pb2 as oip  # noqa: E402
from inference import grpc_service_pb2_grpc as oip_grpc  # noqa: E402
from quantserve.v1 import inference_pb2 as inference  # noqa: E402
from quantserve.v1 import inference_pb2_grpc  # noqa: E402
from quantserve.v1 import quantization_pb2 as quantization  # noqa: E402
from quantserve.v1 import quantization_pb2_grpc  # noqa: E402
from quantserve.v1 import tensor_pb2 as tensor  # noqa: E402

channel = grpc.insecure_channel(target)
predictor = inference_pb2_grpc.InferenceServiceStub(channel)
quantizer = quantization_pb2_grpc.QuantizationServiceStub(channel)

with open(shard_path, "rb") as file:
    record = file.read(3073)
label, pixels = record[0], record[1:]


def check(condition, what):
    if not condition:
        sys.exit(f"failed: {what}")
    print(f"ok: {what}")


def request(**fields):
    made = inference.PredictRequest(top_k=3, **fields)
    made.inputs.add(dtype=tensor.UINT8, shape=[1, 3, 32, 32], data=pixels)
    return made


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


# GetStatus tells what Predict needs to know.
status = quantizer.GetStatus(quantization.GetStatusRequest(), timeout=10)
model = status.models[0]
check(status.server.ready, "the server is ready")
check(list(model.inputs[0].shape) == [3, 32, 32], "the input's shape")
check([v.name for v in model.variants] == ["fp32", "int8"], "two variants")

# Predict on both; raw pixels and the same pixels preprocessed here agree.
for name in ("fp32", "int8"):
    answer = predictor.Predict(request(variant=name), timeout=10)
    check(answer.variant == name, f"{name} answers")
    logits = array.array("f", answer.outputs[0].data)
    best = max(range(len(logits)), key=lambda i: logits[i])
    check(answer.top_k[0].entries[0].index == best, f"{name}: top 1 of top_k")
    p = model.preprocessing
    channels = lambda values: [values[c % len(values)] for c in range(3)]
    mean = channels(p.mean or [0.0])
    std = channels(p.std or [1.0])
    preprocessed = floats = array.array("f", (
        (pixel * p.scale - mean[i // 1024]) / std[i // 1024]
        for i, pixel in enumerate(pixels)))
    same = inference.PredictRequest(variant=name)
    same.inputs.add(name=model.inputs[0].name, dtype=tensor.FP32,
                    shape=[1, 3, 32, 32], data=floats.tobytes())
    other = array.array(
        "f", predictor.Predict(same, timeout=10).outputs[0].data)
    # One step of an 8-bit grid may lie between roundings of the input.
    check(all(abs(a - b) < 0.05 * max(1, abs(a)) + 0.3
              for a, b in zip(logits, other)),
          f"{name}: raw and preprocessed pixels give the same")

# Mistakes.
check(code_of(lambda: predictor.Predict(request(variant="x"), timeout=10))
      == grpc.StatusCode.NOT_FOUND, "unknown variant")
bad = request()
bad.inputs[0].shape[0] = 2
check(code_of(lambda: predictor.Predict(bad, timeout=10))
      == grpc.StatusCode.INVALID_ARGUMENT, "byte count")

# The Open Inference Protocol, as its own clients use it: look the model up, send
# raw contents, read raw contents.
server = oip_grpc.GRPCInferenceServiceStub(channel)
check(server.ServerReady(oip.ServerReadyRequest()).ready, "OIP: ready")
described = server.ModelMetadata(oip.ModelMetadataRequest(name=model.name))
check(list(described.versions) == ["fp32", "int8"], "OIP: versions")
check(list(described.inputs[0].shape) == [-1, 3, 32, 32], "OIP: shape")
check(server.ModelConfig(oip.ModelConfigRequest(name=model.name))
      .config.max_batch_size == model.max_batch, "OIP: configuration")
for name in ("fp32", "int8"):
    asked = oip.ModelInferRequest(
        model_name=model.name, model_version=name, id="1",
        raw_input_contents=[pixels])
    asked.inputs.add(name=described.inputs[0].name, datatype="UINT8",
                     shape=[1, 3, 32, 32])
    asked.outputs.add(name=described.outputs[0].name)
    answer = server.ModelInfer(asked, timeout=10)
    check(answer.model_version == name and answer.id == "1",
          f"OIP: {name} answers")
    ours = predictor.Predict(request(variant=name), timeout=10)
    check(answer.raw_output_contents[0] == ours.outputs[0].data,
          f"OIP: {name} answers as Predict does")
    # Typed contents, of each kind that a picture may have, with what Triton's
    # clients add to requests.
    for datatype, contents in (("UINT8", list(pixels)),
                               ("FP32", list(preprocessed))):
        typed = oip.ModelInferRequest(model_name=model.name,
                                      model_version=name)
        tensor_in = typed.inputs.add(name=described.inputs[0].name,
                                     datatype=datatype, shape=[1, 3, 32, 32])
        if datatype == "UINT8":
            tensor_in.contents.uint_contents.extend(contents)
        else:
            tensor_in.contents.fp32_contents.extend(contents)
        typed.parameters["sequence_id"].int64_param = 7
        typed.parameters["sequence_start"].bool_param = True
        typed.parameters["priority"].uint64_param = 1
        typed.parameters["timeout"].int64_param = 60_000_000
        typed.parameters["triton_enable_empty_final_response"].bool_param = True
        wanted = typed.outputs.add(name=described.outputs[0].name)
        wanted.parameters["binary_data"].bool_param = True
        got = server.ModelInfer(typed, timeout=60)
        check(not got.outputs[0].HasField("contents")
              and list(got.outputs[0].shape) == [1, len(logits)],
              f"OIP: {name}, {datatype}: raw answer of that shape")
        values = array.array("f", got.raw_output_contents[0])
        check(all(abs(a - b) < 0.05 * max(1, abs(a)) + 0.3
                  for a, b in zip(array.array("f", ours.outputs[0].data),
                                  values)),
              f"OIP: {name}, {datatype}: typed contents give the same")
rows = server.ModelStatistics(
    oip.ModelStatisticsRequest(name=model.name, version="int8")).model_stats
check(rows[0].inference_stats.success.count >= 2, "OIP: statistics")
# perf_analyzer reads versions as numbers.
rows = server.ModelStatistics(
    oip.ModelStatisticsRequest(name=model.name)).model_stats
check([int(row.version) for row in rows] == [1, 2], "OIP: numbered statistics")
check("statistics" in server.ServerMetadata(
    oip.ServerMetadataRequest()).extensions, "OIP: extensions")
check(server.ModelReady(oip.ModelReadyRequest(
    name=model.name, version="2")).ready, "OIP: version 2 is ready")
stream = channel.stream_stream(
    "/inference.GRPCInferenceService/ModelStreamInfer",
    request_serializer=None, response_deserializer=None)
check(code_of(lambda: list(stream(iter([b""]), timeout=10)))
      == grpc.StatusCode.UNIMPLEMENTED, "OIP: no streams, and it says so")
index = server.RepositoryIndex(oip.RepositoryIndexRequest(ready=True))
check([m.version for m in index.models] == ["fp32", "int8"], "OIP: index")

# Administrative calls are not for everybody: only this machine reaches the
# administrative port.
check(code_of(lambda: list(quantizer.Quantize(
    quantization.QuantizeRequest(), timeout=10)))
      == grpc.StatusCode.UNAUTHENTICATED, "no Quantize on the main port")
quantizer = quantization_pb2_grpc.QuantizationServiceStub(
    grpc.insecure_channel(f"127.0.0.1:{status.server.admin_port}"))

# Quantize streams progress, then one result; a second one meanwhile is aborted.
events = []
stream = quantizer.Quantize(quantization.QuantizeRequest(), timeout=300)
for event in stream:
    if not events:
        second = quantizer.Quantize(quantization.QuantizeRequest(), timeout=10)
        check(code_of(lambda: list(second)) == grpc.StatusCode.ABORTED,
              "a second Quantize is aborted")
    events.append(event)
check(all(e.WhichOneof("event") == "progress" for e in events[:-1]),
      f"{len(events) - 1} progress events")
result = events[-1].result
check(result.published and result.generation == 2, "generation 2 is published")
check(result.gate.passed and result.report.layers, "with gate and layers")
check(predictor.Predict(request(variant="int8"), timeout=10).generation == 2,
      "Predict uses it")

evaluation = quantizer.Evaluate(
    quantization.EvaluateRequest(variant="int8", samples=50), timeout=60)
check(evaluation.evaluation.samples == 50, "Evaluate")

# Standard health, bytes only: field 1 of the answer is the status, 1 = SERVING.
raw = dict(request_serializer=None, response_deserializer=None)
health = channel.unary_unary("/grpc.health.v1.Health/Check", **raw)
check(health(b"", timeout=10) == b"\x08\x01", "health Check")
name = b"quantserve.v1.InferenceService"
check(health(b"\x0a" + bytes([len(name)]) + name, timeout=10) == b"\x08\x01",
      "health Check of the service")
watch = channel.unary_stream("/grpc.health.v1.Health/Watch", **raw)(b"")
check(next(watch) == b"\x08\x01", "health Watch")
watch.cancel()

# Reflection: field 7 asks for the list of services.
reflection = channel.stream_stream(
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", **raw)
hold = threading.Event()


def ask():
    yield b"\x3a\x01*"
    hold.wait(10)


services = next(reflection(ask(), timeout=10))
hold.set()
for service in (b"quantserve.v1.InferenceService",
                b"quantserve.v1.QuantizationService",
                b"inference.GRPCInferenceService",
                b"grpc.health.v1.Health"):
    check(service in services, f"reflection lists {service.decode()}")

print("all checks passed")
