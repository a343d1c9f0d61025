#include "client/quantctl/replicas.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/quantctl/command.h"

ABSL_FLAG(std::string, all, "",
          "Instead of --server: every replica behind a name, one after the "
          "other, until one refuses. dns:///NAME:PORT takes all addresses of "
          "NAME, as a headless service has them; ipv4:A:PORT,B:PORT lists "
          "them.");

namespace quantserve {
namespace {

// More than a deployment of one model has.
constexpr size_t kMaxReplicas = 1000;

absl::Status Malformed(absl::string_view target) {
  return UsageError(absl::StrCat("flag --all is \"", target,
                                 "\", want dns:///NAME:PORT or "
                                 "ipv4:ADDRESS:PORT,ADDRESS:PORT"));
}

struct HostPort {
  std::string host, port;
};

// "name:port" or "[v6]:port", the brackets taken off.
absl::StatusOr<HostPort> Split(absl::string_view text,
                               absl::string_view target) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Malformed(target);
  absl::string_view host = text.substr(0, colon);
  const absl::string_view port = text.substr(colon + 1);
  if (absl::ConsumePrefix(&host, "[") && !absl::ConsumeSuffix(&host, "]")) {
    return Malformed(target);
  }
  int number = 0;
  if (host.empty() || !absl::SimpleAtoi(port, &number) || number < 1 ||
      number > 65535) {
    return Malformed(target);
  }
  return HostPort{std::string(host), absl::StrCat(number)};
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<Addresses> LookUp(const HostPort& where, int family, int flags) {
  addrinfo hints = {};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(where.host.c_str(), where.port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(absl::StrCat("no address for \"", where.host,
                                               "\": ", gai_strerror(error)));
  }
  return Addresses(found, freeaddrinfo);
}

std::string Target(const addrinfo& address) {
  char host[NI_MAXHOST] = {}, port[NI_MAXSERV] = {};
  getnameinfo(address.ai_addr, address.ai_addrlen, host, sizeof(host), port,
              sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
  return address.ai_family == AF_INET6 ? absl::StrCat("[", host, "]:", port)
                                       : absl::StrCat(host, ":", port);
}

absl::StatusOr<Replicas> FromName(absl::string_view text,
                                  absl::string_view target) {
  auto where = Split(text, target);
  if (!where.ok()) return where.status();
  const bool literal = LookUp(*where, AF_UNSPEC, AI_NUMERICHOST).ok();
  const auto found = LookUp(*where, AF_UNSPEC, 0);
  if (!found.ok()) return found.status();
  Replicas replicas;
  if (!literal) replicas.name = where->host;
  for (const addrinfo* a = found->get(); a != nullptr; a = a->ai_next) {
    replicas.targets.push_back(Target(*a));
  }
  std::sort(replicas.targets.begin(), replicas.targets.end());
  return replicas;
}

absl::StatusOr<Replicas> FromList(absl::string_view text, int family,
                                  absl::string_view target) {
  Replicas replicas;
  for (absl::string_view entry : absl::StrSplit(text, ',')) {
    const auto where = Split(entry, target);
    if (!where.ok()) return where.status();
    const auto found = LookUp(*where, family, AI_NUMERICHOST);
    if (!found.ok()) return Malformed(target);
    replicas.targets.push_back(Target(**found));
  }
  return replicas;
}

absl::StatusOr<Replicas> FromTarget(absl::string_view target) {
  absl::string_view rest = target;
  if (absl::ConsumePrefix(&rest, "ipv4:")) {
    return FromList(rest, AF_INET, target);
  }
  if (absl::ConsumePrefix(&rest, "ipv6:")) {
    return FromList(rest, AF_INET6, target);
  }
  // A name server of the target's own is gRPC's business alone.
  if (!absl::ConsumePrefix(&rest, "dns:///")) {
    absl::ConsumePrefix(&rest, "dns:");
  }
  if (absl::StrContains(rest, '/')) return Malformed(target);
  return FromName(rest, target);
}

}  // namespace

absl::StatusOr<Replicas> ResolveReplicas(absl::string_view target) {
  auto replicas = FromTarget(target);
  if (!replicas.ok()) return replicas.status();
  std::vector<std::string>& targets = replicas->targets;
  auto end = targets.begin();
  for (auto it = targets.begin(); it != targets.end(); ++it) {
    if (std::find(targets.begin(), end, *it) == end) {
      std::iter_swap(end++, it);
    }
  }
  targets.erase(end, targets.end());
  if (targets.size() > kMaxReplicas) {
    return UsageError(absl::StrCat("flag --all: \"", target, "\" has ",
                                   targets.size(), " addresses, want at most ",
                                   kMaxReplicas));
  }
  return replicas;
}

absl::Status OnEachServer(
    const std::function<absl::Status(const Turn&)>& command) {
  const std::string all = absl::GetFlag(FLAGS_all);
  if (all.empty()) {
    const auto client = Connect();
    if (!client.ok()) return client.status();
    return command({client->get(), 0, ""});
  }
  const auto replicas = ResolveReplicas(all);
  if (!replicas.ok()) return replicas.status();
  auto options = ConnectionOptions();
  if (!options.ok()) return options.status();
  options->tls_name = replicas->name;
  const size_t count = replicas->targets.size();
  for (size_t i = 0; i < count; ++i) {
    const std::string& target = replicas->targets[i];
    Client client(target, *options);
    const absl::Status status =
        command({&client, i, absl::StrCat(target, ": ")});
    if (status.ok()) continue;
    if (IsUsageError(status)) return status;
    return absl::Status(status.code(),
                        absl::StrCat(target, ", replica ", i + 1, " of ", count,
                                     ": ", status.message(), "; done: ", i,
                                     ", not asked: ", count - i - 1));
  }
  return absl::OkStatus();
}

}  // namespace quantserve
