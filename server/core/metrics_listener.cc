#include "server/core/metrics_listener.h"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

// The HTTP library gives its threads stacks of 100 KB. glibc takes thread-local
// variables from there, those of LibTorch and what it links are larger, and
// pthread_create fails. This definition goes before glibc's and makes every
// stack large enough (glibc bug 11787).
extern "C" int pthread_attr_setstacksize(pthread_attr_t* attr,
                                         size_t size) noexcept {
  using Function = int (*)(pthread_attr_t*, size_t);
  static const auto next =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  constexpr size_t kLeast = size_t{2} << 20;
  return next(attr, std::max(size, kLeast));
}

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
