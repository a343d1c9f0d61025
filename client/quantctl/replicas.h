// The replicas behind one name: administrative commands go to each in turn.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/client.h"

namespace quantserve {

struct Replicas {
  std::vector<std::string> targets;  // "10.0.0.7:8001", "[fd00::7]:8001"
  // What their certificates are for: the name that was looked up; empty where
  // addresses were given.
  std::string name;
};

// "dns:///NAME:PORT" or "NAME:PORT": every address that the system's resolver
// has for NAME, IPv4 and IPv6, in the order of their text, which is the same at
// every call. "ipv4:A:PORT,B:PORT" and "ipv6:[A]:PORT,…": those, as they stand.
// Each address counts once.
//
// A usage error for anything else, UNAVAILABLE if NAME has no address. Blocks
// as long as the resolver does.
absl::StatusOr<Replicas> ResolveReplicas(absl::string_view target);

// The server that a command talks to at the moment.
struct Turn {
  Client* client;
  size_t index = 0;   // from 0
  std::string label;  // "10.0.0.7:8001: " before a line about it; "" without
                      // --all
  bool all() const { return !label.empty(); }
};

// Calls `command` for --server or, with --all, for each of its replicas, one
// after the other, until one fails. Its error says then which one, and how many
// were done before.
absl::Status OnEachServer(
    const std::function<absl::Status(const Turn&)>& command);

}  // namespace quantserve
