#include "tests/bench/echo_server.h"

#include <cstdio>
#include <fstream>
#include <memory>

#include "grpcpp/server_builder.h"
#include "quantserve/v1/inference.grpc.pb.h"

namespace quantserve::bench {
namespace {

// One answer for one request, in order.
class EchoStream final
    : public grpc::ServerBidiReactor<v1::PredictRequest,
                                     v1::PredictStreamReply> {
 public:
  explicit EchoStream(const v1::PredictResponse& reply) {
    *reply_.mutable_response() = reply;
    StartRead(&request_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    reply_.set_id(request_.id());
    StartWrite(&reply_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) StartRead(&request_);
  }
  void OnDone() override { delete this; }

  v1::PredictRequest request_;
  v1::PredictStreamReply reply_;
};

class EchoService final : public v1::InferenceService::CallbackService {
 public:
  explicit EchoService(v1::PredictResponse reply) : reply_(std::move(reply)) {}

  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const v1::PredictRequest*,
                                    v1::PredictResponse* response) override {
    *response = reply_;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerBidiReactor<v1::PredictRequest, v1::PredictStreamReply>*
  PredictStream(grpc::CallbackServerContext*) override {
    return new EchoStream(reply_);
  }

 private:
  const v1::PredictResponse reply_;
};

}  // namespace

int RunEchoServer(const std::string& reply_file, const std::string& port_file) {
  std::ifstream file(reply_file, std::ios::binary);
  v1::PredictResponse reply;
  if (!reply.ParseFromIstream(&file)) return 1;
  EchoService service(std::move(reply));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  // Whole or not at all.
  std::ofstream(port_file + ".part") << port;
  if (std::rename((port_file + ".part").c_str(), port_file.c_str()) != 0) {
    return 1;
  }
  server->Wait();
  return 0;
}

}  // namespace quantserve::bench
