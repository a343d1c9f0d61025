// Durations in replies.
#pragma once

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace quantserve {

inline absl::Duration FromWire(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace quantserve
