#include "server/rpc/predict_stream.h"

#include <utility>
#include <vector>

namespace quantserve {

PredictStreamCall::PredictStreamCall(const RpcEnvironment& env,
                                     grpc::CallbackServerContext* context,
                                     int window)
    : env_(env),
      context_(context),
      watched_(env.watch, Rpc::kPredictStream, context),
      deadline_(DeadlineOf(*context)),
      window_(static_cast<size_t>(window)) {}

void PredictStreamCall::Start() {
  if (env_.lifecycle->phase() != Phase::kDraining) return Advance(nullptr);
  {
    MutexLock lock(&mu_);
    finished_ = true;
  }
  watched_.Sending();
  CallScope scope(Rpc::kPredictStream, env_, context_);
  Finish(scope.Finish(absl::UnavailableError("the server is shutting down")));
}

void PredictStreamCall::OnReadDone(bool ok) {
  Slot* slot = nullptr;
  {
    MutexLock lock(&mu_);
    if (ok) {
      slot = reading_.get();
      slots_[slot] = std::move(reading_);
    } else {
      half_closed_ = true;
      reading_.reset();
    }
  }
  if (slot != nullptr) Serve(slot);
  Advance(nullptr);
}

void PredictStreamCall::Serve(Slot* slot) {
  const uint64_t ticket = slot->ticket;
  slot->reply.set_id(slot->request.id());
  slot->scope =
      std::make_unique<CallScope>(Rpc::kPredictStream, env_, context_);
  slot->prediction = std::make_unique<Prediction>(
      env_, &slot->request, slot->reply.mutable_response(), ticket);
  absl::Status started = slot->scope->admission();
  if (started.ok()) {
    started = slot->prediction->Start(slot->scope.get(), deadline_,
                                      [this, slot](const absl::Status& status) {
                                        Encode(slot, status);
                                        Advance(slot);
                                      });
  }
  if (!started.ok()) {
    Encode(slot, started);
    Advance(slot);
    return;
  }
  bool cancelled;
  {
    MutexLock lock(&mu_);
    cancelled = cancelled_;
  }
  // OnCancel may have looked before it was submitted. gRPC keeps the call until
  // this turn of the reader's is over, however soon the answer comes.
  if (cancelled) env_.pool->Cancel(ticket);
}

void PredictStreamCall::Encode(Slot* slot, const absl::Status& status) {
  const grpc::Status mapped = slot->scope->FinishMessage(status);
  if (!mapped.ok()) {
    v1::PredictError* error = slot->reply.mutable_error();
    error->set_code(mapped.error_code());
    error->set_message(mapped.error_message());
  }
}

void PredictStreamCall::OnWriteDone(bool ok) {
  watched_.Sent();
  std::unique_ptr<Slot> written;
  {
    MutexLock lock(&mu_);
    const auto at = slots_.find(writing_);
    written = std::move(at->second);
    slots_.erase(at);
    writing_ = nullptr;
    if (!ok) cancelled_ = true;
  }
  Advance(nullptr);
  // The next one is on its way; this may be gone.
  if (ok) written->prediction->AfterAnswer();
}

void PredictStreamCall::OnCancel() {
  std::vector<uint64_t> tickets;
  {
    MutexLock lock(&mu_);
    cancelled_ = true;
    for (const auto& [slot, owner] : slots_) {
      tickets.push_back(slot->ticket);
    }
  }
  for (const uint64_t ticket : tickets) env_.pool->Cancel(ticket);
}

void PredictStreamCall::Advance(Slot* answered) {
  v1::PredictRequest* read = nullptr;
  v1::PredictStreamReply* write = nullptr;
  bool finish = false;
  {
    MutexLock lock(&mu_);
    if (answered != nullptr) answered_.push_back(answered);
    if (finished_) return;
    if (writing_ == nullptr && !answered_.empty()) {
      writing_ = answered_.front();
      answered_.pop_front();
      write = &writing_->reply;
    }
    if (reading_ == nullptr && !half_closed_ && slots_.size() < window_) {
      reading_ = std::make_unique<Slot>();
      reading_->ticket = env_.pool->NewTicket();
      read = &reading_->request;
    }
    finish = finished_ = half_closed_ && slots_.empty() && reading_ == nullptr;
  }
  // Each of these is the start of something that ends later, but for the last.
  if (write != nullptr || finish) watched_.Sending();
  if (write != nullptr) StartWrite(write);
  if (read != nullptr) StartRead(read);
  if (finish) Finish(grpc::Status::OK);
}

}  // namespace quantserve
