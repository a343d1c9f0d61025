#include "quant/onednn/choices.h"

#include "nlohmann/json.hpp"
#include "quant/base/cpu.h"
#include "quant/onednn/dnnl_compat.h"

namespace quantserve::onednn {
namespace {

nlohmann::json Environment(int threads) {
  return {{"onednn", DnnlVersion()},
          {"isa", DnnlIsa()},
          {"cpu", Cpu().model},
          {"threads", threads}};
}

}  // namespace

void Choices::Load(const std::string& json) {
  candidates_.clear();
  const auto parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("environment") ||
      !parsed.contains("choices") || !parsed["choices"].is_object() ||
      parsed["environment"] != Environment(threads_)) {
    return;
  }
  for (const auto& [key, candidate] : parsed["choices"].items()) {
    if (candidate.is_string()) {
      candidates_[key] = candidate.get<std::string>();
    }
  }
}

std::string Choices::ToJson() const {
  const nlohmann::json json = {{"environment", Environment(threads_)},
                               {"choices", candidates_}};
  return json.dump(1);
}

std::string Choices::Find(const std::string& key) const {
  const auto it = candidates_.find(key);
  return it == candidates_.end() ? "" : it->second;
}

void Choices::Set(const std::string& key, const std::string& candidate) {
  candidates_[key] = candidate;
}

}  // namespace quantserve::onednn
