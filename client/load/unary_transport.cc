#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "client/channel.h"
#include "client/load/transport.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "quantserve/v1/inference.grpc.pb.h"

namespace quantserve {
namespace {

struct Call {
  grpc::ClientContext context;
  v1::PredictResponse response;
  grpc::Status status;
  Transport::Done done;
  // Goes before what it uses.
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::PredictResponse>> reader;
};

// One completion queue with one thread: the generator must not take more of the
// machine than it needs, and answers are handled in microseconds.
class UnaryTransport final : public Transport {
 public:
  UnaryTransport(const TransportOptions& options, v1::PredictRequest request)
      : request_(std::move(request)) {
    for (int i = 0; i < options.connections; ++i) {
      stubs_.push_back(v1::InferenceService::NewStub(
          MakeChannel(options.target, options.client)));
    }
    thread_ = std::thread([this] { Poll(); });
  }

  ~UnaryTransport() override {
    queue_.Shutdown();
    thread_.join();
  }

  void Send(absl::Duration deadline, Done done) override {
    auto* const call = new Call;
    call->done = std::move(done);
    call->context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
    v1::InferenceService::Stub& stub = *stubs_[next_++ % stubs_.size()];
    call->reader = stub.AsyncPredict(&call->context, request_, &queue_);
    call->reader->Finish(&call->response, &call->status, call);
  }

 private:
  void Poll() {
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      call->done(FromGrpc(call->status), call->response);
    }
  }

  const v1::PredictRequest request_;
  std::vector<std::unique_ptr<v1::InferenceService::Stub>> stubs_;
  std::atomic<size_t> next_{0};
  grpc::CompletionQueue queue_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Transport> MakeUnaryTransport(const TransportOptions& options,
                                              v1::PredictRequest request) {
  return std::make_unique<UnaryTransport>(options, std::move(request));
}

}  // namespace quantserve
