// The least that a server of the project's protocol can do: the RPC ceiling.
#pragma once

#include <string>

namespace quantserve::bench {

// Answers Predict and PredictStream by the callback API with the serialized
// PredictResponse in `reply_file`, whatever comes, until it is killed. Writes
// its port to `port_file`. Returns the exit code.
int RunEchoServer(const std::string& reply_file, const std::string& port_file);

}  // namespace quantserve::bench
