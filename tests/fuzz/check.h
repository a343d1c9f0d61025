// What fuzz targets say when something does not hold.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace quantserve::fuzz {

// Prints what did not hold and ends the process, so that libFuzzer keeps the
// input.
[[noreturn]] void Fail(const char* file, int line, const std::string& what);

// Fails unless `refusal` is an error as the house wants them: INVALID_ARGUMENT,
// one line without control characters, not empty and at most 4 KiB.
void CheckRefusal(const absl::Status& refusal);

}  // namespace quantserve::fuzz

#define QS_FUZZ_CHECK(condition) \
  if (!(condition)) ::quantserve::fuzz::Fail(__FILE__, __LINE__, #condition)
