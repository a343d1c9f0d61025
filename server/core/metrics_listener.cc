#include "server/core/metrics_listener.h"

#include <exception>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace quantserve {

absl::StatusOr<std::unique_ptr<MetricsListener>> MetricsListener::Start(
    const std::string& address, int port,
    std::vector<std::shared_ptr<prometheus::Collectable>> collectables) {
  auto listener = absl::WrapUnique(new MetricsListener());
  // The one place where prometheus-cpp throws.
  try {
    listener->exposer_ =
        std::make_unique<prometheus::Exposer>(HostPort(address, port), 1);
  } catch (const std::exception&) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", HostPort(address, port),
        " for metrics: the port is in use, or the address is not this "
        "machine's"));
  }
  listener->port_ = listener->exposer_->GetListeningPorts().at(0);
  listener->collectables_ = std::move(collectables);
  for (const auto& collectable : listener->collectables_) {
    listener->exposer_->RegisterCollectable(collectable);
  }
  return listener;
}

std::string HostPort(const std::string& address, int port) {
  const bool v6 = address.find(':') != std::string::npos && address[0] != '[';
  return v6 ? absl::StrCat("[", address, "]:", port)
            : absl::StrCat(address, ":", port);
}

}  // namespace quantserve
