// What a scrape gets.
#pragma once

#include <string>

namespace quantserve::testing {

// The answer to GET PATH on 127.0.0.1, headers and all; "no connection" if
// there is none.
std::string HttpGet(int port, const std::string& path = "/metrics");

// A port of 127.0.0.1 on which nobody listened a moment ago.
int FreePort();

}  // namespace quantserve::testing
