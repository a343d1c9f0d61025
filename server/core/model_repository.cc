#include "server/core/model_repository.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace quantserve {

ModelRepository::ModelRepository(std::vector<std::unique_ptr<ModelHost>> models)
    : models_(std::move(models)) {}

absl::StatusOr<ModelHost*> ModelRepository::Find(absl::string_view name) const {
  if (name.empty()) {
    if (models_.size() == 1) return models_[0].get();
    return absl::InvalidArgumentError(absl::StrCat(
        "the request names no model, there are several: ", Names()));
  }
  for (const auto& model : models_) {
    if (model->name() == name) return model.get();
  }
  return absl::NotFoundError(absl::StrCat(
      "no model is named \"", absl::CEscape(name.substr(0, 64)),
      models_.size() == 1 ? "\", there is: " : "\", there are: ", Names()));
}

std::string ModelRepository::Names() const {
  std::string names;
  for (const auto& model : models_) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", model->name());
  }
  return names;
}

}  // namespace quantserve
