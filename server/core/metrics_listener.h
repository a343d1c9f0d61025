// The HTTP port that Prometheus scrapes: GET /metrics.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"
#include "prometheus/exposer.h"

namespace quantserve {

// Thread-safe. Listens until it is destroyed.
class MetricsListener {
 public:
  // Port 0 takes any free one. UNAVAILABLE, naming address and port, if it
  // can't listen there. The collectables are kept.
  static absl::StatusOr<std::unique_ptr<MetricsListener>> Start(
      const std::string& address, int port,
      std::vector<std::shared_ptr<prometheus::Collectable>> collectables);
  ~MetricsListener();

  int port() const { return port_; }

 private:
  MetricsListener() = default;
  std::string address_;
  int port_ = 0;
  std::vector<std::shared_ptr<prometheus::Collectable>> collectables_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // first to go
};

// "127.0.0.1:80", "[::1]:80".
std::string HostPort(const std::string& address, int port);

}  // namespace quantserve
