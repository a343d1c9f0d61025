// Why a request was not run.
#pragma once

namespace quantserve {

enum class Drop {
  kQueueFull,
  kDraining,
  kUnreachable,  // on arrival: its deadline could not be kept
  kExpired,      // its deadline passed, or came nearer than the time to compute
  kCancelled,
};
inline constexpr int kDropCount = 5;
// "queue_full", …
const char* DropName(Drop reason);

}  // namespace quantserve
