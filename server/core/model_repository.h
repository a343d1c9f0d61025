// The models that one process serves.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/core/model_host.h"

namespace quantserve {

// Fixed at the start; thread-safe.
class ModelRepository {
 public:
  // At least one, names differing.
  explicit ModelRepository(std::vector<std::unique_ptr<ModelHost>> models);

  // The model of that name; for an empty name the only one. NOT_FOUND, naming
  // those that there are; INVALID_ARGUMENT if one of several must be named.
  absl::StatusOr<ModelHost*> Find(absl::string_view name) const;

  // In the order of the configuration.
  const std::vector<std::unique_ptr<ModelHost>>& all() const { return models_; }

 private:
  std::string Names() const;

  const std::vector<std::unique_ptr<ModelHost>> models_;
};

}  // namespace quantserve
