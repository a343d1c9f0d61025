// What a scrape gets.
#pragma once

#include <string>

namespace quantserve::testing {

// The answer to GET PATH on 127.0.0.1, headers and all; "no connection" if
// there is none.
std::string HttpGet(int port, const std::string& path = "/metrics");

// What all series of that name add up to in a scrape; 0 if there is none.
// `labels`: only series with that in their braces.
double SumOfMetric(const std::string& scrape, const std::string& name,
                   const std::string& labels = "");

// A port of 127.0.0.1 on which nobody listened a moment ago.
int FreePort();

}  // namespace quantserve::testing
