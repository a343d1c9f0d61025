// A server in this process with models of fakes, and a client.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/client.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "server/rpc/quant_server.h"
#include "tests/testing/fake_model.h"
#include "tests/testing/http_get.h"

namespace quantserve {

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() {
    options_.models[0].model.path = "fake.pt";
    options_.models[0].model.name = "fake";
    options_.models[0].model.inputs = {{testing::FakeSampleShape()}};
    options_.serving.workers = 1;
    options_.serving.queue_capacity = 2;
    options_.models[0].quantization.shards = {
        {"calibration", testing::WriteFakeShard(40, "rpc_calibration.npy")}};
    options_.models[0].quantization.calibration_shard = "calibration";
    options_.network.port = 0;
    options_.network.metrics_port = 0;
    options_.security.admin_port = 0;
    options_.network.max_message_bytes = 64 << 10;
  }
  ~ServiceTest() override {
    controls_->runs.Open();
    controls_->quantizes.Open();
  }

  void Listen() {
    ServerParts parts;
    for (const ServedModelConfig& served : options_.models) {
      ModelParts& model = parts.models.emplace_back();
      model.pipeline =
          testing::MakeFakePipeline(controls_, served.model.preprocessing);
      model.shards = std::make_unique<ShardStore>(
          served.quantization.shards, served.quantization.shard_dir);
      model.class_names = {"cat", "dog", "fish", "bird"};
    }
    parts.build = {"1.2.3", "GNU 12", "1.13"};
    auto server = QuantServer::Listen(options_, std::move(parts));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    target_ = "127.0.0.1:" + std::to_string(server_->port());
    channel_ = grpc::CreateChannel(target_, grpc::InsecureChannelCredentials());
    client_ = std::make_unique<Client>(target_);
  }
  void Start() {
    Listen();
    const absl::Status started = server_->StartUp();
    ASSERT_TRUE(started.ok()) << started;
  }

  static v1::PredictRequest Request(const std::string& variant = "") {
    v1::PredictRequest request;
    request.set_variant(variant);
    v1::Tensor* tensor = request.add_inputs();
    tensor->set_dtype(v1::FP32);
    for (int64_t dim : {1, 3, 2, 2}) tensor->add_shape(dim);
    const float values[12] = {1, 5, 3, 4};
    tensor->set_data(values, sizeof(values));
    return request;
  }
  static std::vector<float> Values(const v1::Tensor& tensor) {
    std::vector<float> values(tensor.data().size() / sizeof(float));
    std::memcpy(values.data(), tensor.data().data(), tensor.data().size());
    return values;
  }
  grpc::health::v1::HealthCheckResponse::ServingStatus Health(
      const std::string& service) {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    const auto stub = grpc::health::v1::Health::NewStub(channel_);
    EXPECT_TRUE(stub->Check(&context, request, &response).ok());
    return response.status();
  }
  std::shared_ptr<grpc::Channel> AdminChannel() const {
    return grpc::CreateChannel(
        "127.0.0.1:" + std::to_string(server_->admin_port()),
        grpc::InsecureChannelCredentials());
  }
  std::string Metric(const std::string& line) {
    const std::string text = testing::HttpGet(server_->metrics_port());
    const size_t at = text.find("\n" + line + " ");
    if (at == std::string::npos) return "absent";
    const size_t value = at + line.size() + 2;
    return text.substr(value, text.find('\n', value) - value);
  }

  std::shared_ptr<testing::FakeControls> controls_ =
      std::make_shared<testing::FakeControls>();
  ServerOptions options_;
  std::unique_ptr<QuantServer> server_;
  std::string target_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Client> client_;
};

}  // namespace quantserve
