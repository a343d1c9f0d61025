#include "server/core/metrics_listener.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
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
namespace {

// A peer that connects and says nothing keeps a thread until its time is over.
constexpr char kThreads[] = "4";
constexpr char kRequestTimeout[] = "2000";  // milliseconds

// Connects and hangs up.
void Knock(const std::string& address, int port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints,
                  &found) != 0) {
    return;
  }
  const int fd = socket(found->ai_family, found->ai_socktype, 0);
  if (fd >= 0) {
    // Refused, once the listener is gone: what we want.
    (void)connect(fd, found->ai_addr, found->ai_addrlen);
    close(fd);
  }
  freeaddrinfo(found);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsListener>> MetricsListener::Start(
    const std::string& address, int port,
    std::vector<std::shared_ptr<prometheus::Collectable>> collectables) {
  auto listener = absl::WrapUnique(new MetricsListener());
  // The one place where prometheus-cpp throws.
  try {
    listener->exposer_ =
        std::make_unique<prometheus::Exposer>(std::vector<std::string>{
            "listening_ports", HostPort(address, port), "num_threads", kThreads,
            "request_timeout_ms", kRequestTimeout});
  } catch (const std::exception&) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", HostPort(address, port),
        " for metrics: the port is in use, or the address is not this "
        "machine's"));
  }
  listener->address_ = address;
  listener->port_ = listener->exposer_->GetListeningPorts().at(0);
  listener->collectables_ = std::move(collectables);
  for (const auto& collectable : listener->collectables_) {
    listener->exposer_->RegisterCollectable(collectable);
  }
  return listener;
}

// The HTTP library looks every two seconds whether it is to stop, and at every
// connection: a few wake it up.
MetricsListener::~MetricsListener() {
  if (exposer_ == nullptr) return;
  std::atomic<bool> stopped{false};
  std::thread knocker([this, &stopped] {
    while (!stopped) {
      Knock(address_, port_);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  exposer_.reset();
  stopped = true;
  knocker.join();
}

std::string HostPort(const std::string& address, int port) {
  const bool v6 = address.find(':') != std::string::npos && address[0] != '[';
  return v6 ? absl::StrCat("[", address, "]:", port)
            : absl::StrCat(address, ":", port);
}

}  // namespace quantserve
