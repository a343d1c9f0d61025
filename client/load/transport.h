// How a load's requests reach the server.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "quantserve/v1/inference.pb.h"

namespace quantserve {

// Thread-safe.
class Transport {
 public:
  // The response counts only if the status is OK.
  using Done =
      std::function<void(const absl::Status&, const v1::PredictResponse&)>;

  // Only once nothing is outstanding.
  virtual ~Transport() = default;

  // Sends the transport's request once more and never waits for an answer.
  // `done` is called exactly once, from the transport's own thread, where it
  // may call Send again. After `deadline`, from now, the call is over, whatever
  // the server does.
  virtual void Send(absl::Duration deadline, Done done) = 0;
};

struct TransportOptions {
  std::string target;
  ClientOptions client;
  int connections = 1;  // used in turn
};

// Each request is a call of Predict.
std::unique_ptr<Transport> MakeUnaryTransport(const TransportOptions& options,
                                              v1::PredictRequest request);

// Each connection has `streams` calls of PredictStream, on which requests go in
// turn. A stream that ended is opened again by the next request for it. A
// stream's deadline would be that of all its requests, so the server is told of
// none; one that leaves a request unanswered past its deadline is cancelled,
// within a second.
std::unique_ptr<Transport> MakeStreamTransport(const TransportOptions& options,
                                               v1::PredictRequest request,
                                               int streams);

}  // namespace quantserve
