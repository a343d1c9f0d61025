// What a server holds, and whether an attack leaves something of it behind.
#pragma once

#include <functional>
#include <string>

#include "tests/e2e/server_process.h"

namespace quantserve::testing {

struct Footprint {
  double calls = 0;    // in flight
  double files = 0;    // open, sockets among them
  double threads = 0;  // of the process
  double bytes = 0;    // memory that belongs to no file
};

Footprint FootprintOf(ServerProcess* server);

// Fails the test unless the server is what it was before: runs `attack`, which
// lets go of everything of its own, at least twice, waiting each time until
// calls and files are as they were. What the first ones leave may fill caches
// of gRPC's and the allocator's: there must soon be one that adds neither
// threads nor, beyond `slack_bytes`, memory. Then the server must still answer.
void ExpectNothingLeft(ServerProcess* server, const TestModel& model,
                       const std::function<void()>& attack,
                       double slack_bytes = 2e6);

}  // namespace quantserve::testing
