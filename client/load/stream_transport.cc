#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/channel.h"
#include "client/load/transport.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "quantserve/v1/inference.grpc.pb.h"

namespace quantserve {
namespace {

struct Pending {
  Transport::Done done;
  absl::Time expires;
};

// One PredictStream call.
struct Session {
  enum class Step { kStart, kWrite, kRead, kFinish };
  struct Tag {
    Session* session;
    Step step;
  };

  size_t slot = 0;
  grpc::ClientContext context;
  std::unique_ptr<
      grpc::ClientAsyncReaderWriter<v1::PredictRequest, v1::PredictStreamReply>>
      call;
  v1::PredictStreamReply reply;
  grpc::Status status;
  std::deque<uint64_t> unwritten;
  std::unordered_map<uint64_t, Pending> pending;
  bool started = false;
  bool writing = false;
  bool finished = false;
  bool expired = false;
  Tag start{this, Step::kStart}, write{this, Step::kWrite},
      read{this, Step::kRead}, finish{this, Step::kFinish};
};

class StreamTransport final : public Transport {
 public:
  StreamTransport(const TransportOptions& options, v1::PredictRequest request,
                  int streams)
      : request_(std::move(request)),
        slots_(static_cast<size_t>(options.connections * streams)) {
    for (int i = 0; i < options.connections; ++i) {
      stubs_.push_back(v1::InferenceService::NewStub(
          MakeChannel(options.target, options.client)));
    }
    thread_ = std::thread([this] { Poll(); });
  }

  ~StreamTransport() override {
    {
      const std::lock_guard<std::mutex> lock(mu_);
      stopping_ = true;
      for (Session* session : sessions_) session->context.TryCancel();
      if (sessions_.empty()) queue_.Shutdown();
    }
    thread_.join();
  }

  void Send(absl::Duration deadline, Done done) override {
    const std::lock_guard<std::mutex> lock(mu_);
    const uint64_t id = ++ids_;
    Session*& slot = slots_[id % slots_.size()];
    if (slot == nullptr) slot = Open(id % slots_.size());
    slot->pending[id] = {std::move(done), absl::Now() + deadline};
    slot->unwritten.push_back(id);
    Write(slot);
  }

 private:
  // All of these by mu_.
  Session* Open(size_t slot) {
    auto* const session = new Session;
    session->slot = slot;
    sessions_.insert(session);
    session->call = stubs_[slot % stubs_.size()]->AsyncPredictStream(
        &session->context, &queue_, &session->start);
    return session;
  }
  void Write(Session* session) {
    if (!session->started || session->writing || session->unwritten.empty()) {
      return;
    }
    request_.set_id(absl::StrCat(session->unwritten.front()));
    session->unwritten.pop_front();
    session->writing = true;
    grpc::WriteOptions options;
    // What follows at once goes out with it.
    if (!session->unwritten.empty()) options.set_buffer_hint();
    session->call->Write(request_, options, &session->write);
  }
  // No request is given to it any more.
  void Close(Session* session) {
    slots_[session->slot] = nullptr;
    session->call->Finish(&session->status, &session->finish);
  }

  void Poll() {
    while (true) {
      void* tag;
      bool ok;
      const auto wake = std::chrono::system_clock::now() + kPatience;
      switch (queue_.AsyncNext(&tag, &ok, wake)) {
        case grpc::CompletionQueue::SHUTDOWN:
          return;
        case grpc::CompletionQueue::TIMEOUT:
          CancelExpired();
          break;
        case grpc::CompletionQueue::GOT_EVENT:
          Advance(*static_cast<Session::Tag*>(tag), ok);
          break;
      }
    }
  }

  void CancelExpired() {
    const std::lock_guard<std::mutex> lock(mu_);
    for (Session* session : sessions_) {
      for (const auto& [id, pending] : session->pending) {
        if (pending.expires > absl::Now()) continue;
        session->expired = true;
        session->context.TryCancel();
        break;
      }
    }
  }

  void Advance(const Session::Tag& tag, bool ok) {
    Session* const session = tag.session;
    switch (tag.step) {
      case Session::Step::kStart: {
        const std::lock_guard<std::mutex> lock(mu_);
        if (!ok) return Close(session);
        session->started = true;
        session->call->Read(&session->reply, &session->read);
        return Write(session);
      }
      case Session::Step::kWrite: {
        const std::lock_guard<std::mutex> lock(mu_);
        session->writing = false;
        if (session->finished) return End(session);
        if (ok) Write(session);  // else the read ends, too
        return;
      }
      case Session::Step::kRead:
        return OnRead(session, ok);
      case Session::Step::kFinish:
        return OnFinish(session);
    }
  }

  void OnRead(Session* session, bool ok) {
    v1::PredictStreamReply reply;
    Done done;
    {
      const std::lock_guard<std::mutex> lock(mu_);
      if (!ok) return Close(session);
      reply.Swap(&session->reply);
      session->call->Read(&session->reply, &session->read);
      uint64_t id;
      if (!absl::SimpleAtoi(reply.id(), &id)) return;
      const auto at = session->pending.find(id);
      if (at == session->pending.end()) return;
      done = std::move(at->second.done);
      session->pending.erase(at);
    }
    const v1::PredictError& error = reply.error();
    done(absl::Status(static_cast<absl::StatusCode>(error.code()),
                      error.message()),
         reply.response());
  }

  void OnFinish(Session* session) {
    absl::Status status = FromGrpc(session->status);
    if (status.ok()) status = absl::UnavailableError("the stream was ended");
    std::unordered_map<uint64_t, Pending> pending;
    {
      const std::lock_guard<std::mutex> lock(mu_);
      if (session->expired) {
        status = absl::DeadlineExceededError("no answer within the deadline");
      }
      pending.swap(session->pending);
      session->finished = true;
      if (!session->writing) End(session);
    }
    for (const auto& [id, unanswered] : pending) unanswered.done(status, {});
  }

  void End(Session* session) {
    sessions_.erase(session);
    delete session;
    if (stopping_ && sessions_.empty()) queue_.Shutdown();
  }

  static constexpr std::chrono::milliseconds kPatience{500};

  std::mutex mu_;
  v1::PredictRequest request_;             // its id changes
  std::vector<Session*> slots_;            // null: none is open
  std::unordered_set<Session*> sessions_;  // those that are ending, too
  uint64_t ids_ = 0;
  bool stopping_ = false;
  std::vector<std::unique_ptr<v1::InferenceService::Stub>> stubs_;
  grpc::CompletionQueue queue_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Transport> MakeStreamTransport(const TransportOptions& options,
                                               v1::PredictRequest request,
                                               int streams) {
  return std::make_unique<StreamTransport>(options, std::move(request),
                                           streams);
}

}  // namespace quantserve
