// A client that streams requests until it is killed: stream_client HOST:PORT
// SHARD. Says "going" once replies come.
#include <cstdio>
#include <thread>

#include "grpcpp/grpcpp.h"
#include "quantserve/v1/inference.grpc.pb.h"
#include "tests/e2e/server_process.h"

int main(int argc, char** argv) {
  using namespace quantserve;
  if (argc != 3) return 2;
  const auto stub = v1::InferenceService::NewStub(
      grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const auto stream = stub->PredictStream(&context);
  v1::PredictRequest request;
  *request.add_inputs() = testing::ReadSamples(argv[2], 0, 4);
  std::thread writer([&] {
    while (stream->Write(request)) {
    }
  });
  v1::PredictStreamReply reply;
  for (bool first = true; stream->Read(&reply); first = false) {
    if (!first) continue;
    std::puts("going");
    std::fflush(stdout);
  }
  writer.join();
  return 1;
}
