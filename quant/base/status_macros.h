// Early return on error, for functions that return absl::Status or
// absl::StatusOr. (The distribution's Abseil has no such macros.)
//
//   QS_RETURN_IF_ERROR(plan.Validate());
//   QS_ASSIGN_OR_RETURN(Shard shard, ReadShard(path, {}));
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define QS_CONCAT_INNER(a, b) a##b
#define QS_CONCAT(a, b) QS_CONCAT_INNER(a, b)

#define QS_RETURN_IF_ERROR(expression)     \
  do {                                     \
    absl::Status qs_status = (expression); \
    if (!qs_status.ok()) return qs_status; \
  } while (false)

#define QS_ASSIGN_OR_RETURN(target, expression)                       \
  QS_ASSIGN_OR_RETURN_IMPL(QS_CONCAT(qs_statusor_, __LINE__), target, \
                           expression)

#define QS_ASSIGN_OR_RETURN_IMPL(statusor, target, expression) \
  auto statusor = (expression);                                \
  if (!statusor.ok()) return statusor.status();                \
  target = *std::move(statusor)
