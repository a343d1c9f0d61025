#include <cstdio>
#include <cstring>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/quantctl/command.h"
#include "client/quantctl/input.h"
#include "client/quantctl/table.h"
#include "client/wire_time.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(int32_t, top_k, 5,
          "How many of the largest outputs to print, at most all.");

namespace quantserve {
namespace {

nlohmann::json AsJson(const v1::PredictResponse& response, const Input& input) {
  nlohmann::json json = {
      {"model", std::string(response.model())},
      {"variant", std::string(response.variant())},
      {"generation", response.generation()},
      {"queue_ms", absl::ToDoubleMilliseconds(FromWire(response.queue_time()))},
      {"compute_ms",
       absl::ToDoubleMilliseconds(FromWire(response.compute_time()))}};
  if (input.label.has_value()) json["true_label"] = *input.label;
  json["samples"] = nlohmann::json::array();
  for (const v1::TopK& top : response.top_k()) {
    nlohmann::json entries = nlohmann::json::array();
    for (const v1::TopEntry& entry : top.entries()) {
      entries.push_back({{"index", entry.index()},
                         {"score", entry.score()},
                         {"label", entry.label()}});
    }
    json["samples"].push_back({{"top_k", std::move(entries)}});
  }
  json["outputs"] = nlohmann::json::object();
  for (const v1::Tensor& output : response.outputs()) {
    std::vector<float> values(output.data().size() / sizeof(float));
    std::memcpy(values.data(), output.data().data(),
                values.size() * sizeof(float));
    json["outputs"][output.name()] = {
        {"shape",
         std::vector<int64_t>(output.shape().begin(), output.shape().end())},
        {"data", values}};
  }
  return json;
}

std::string ClassName(const v1::ModelStatus& model, int64_t index) {
  return index >= 0 && index < model.class_names_size()
             ? model.class_names(static_cast<int>(index))
             : "";
}

void PrintTable(const v1::PredictResponse& response, const Input& input,
                const v1::ModelStatus& model) {
  absl::PrintF("%s, variant %s, generation %d: queue %s, compute %s\n",
               response.model(), response.variant(), response.generation(),
               Milliseconds(FromWire(response.queue_time())),
               Milliseconds(FromWire(response.compute_time())));
  if (input.label.has_value()) {
    absl::PrintF("true label: %d %s\n", *input.label,
                 ClassName(model, *input.label));
  }
  for (int sample = 0; sample < response.top_k_size(); ++sample) {
    if (response.top_k_size() > 1) absl::PrintF("sample %d\n", sample);
    Table table({"rank", "index", "score", "label"});
    int rank = 0;
    for (const v1::TopEntry& entry : response.top_k(sample).entries()) {
      table.Add({absl::StrCat(++rank), absl::StrCat(entry.index()),
                 absl::StrFormat("%.4f", entry.score()), entry.label()});
    }
    std::fputs(table.Render().c_str(), stdout);
  }
}

absl::Status Run(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  const auto client = Connect();
  if (!client.ok()) return client.status();
  const auto model = AskForModel(client->get());
  if (!model.ok()) return model.status();
  const auto input = ReadInput(*model);
  if (!input.ok()) return input.status();
  if (!input->has_value()) {
    return UsageError("no input: give --image, --shard or --raw");
  }
  v1::PredictRequest request;
  request.set_model(model->name());
  request.set_variant(VariantFlag());
  int64_t outputs = 1;
  for (int64_t dim : model->outputs(0).shape()) outputs *= dim;
  request.set_top_k(static_cast<int32_t>(
      std::min<int64_t>(absl::GetFlag(FLAGS_top_k), outputs)));
  AddInputs(**input, &request);
  const auto response = (*client)->Predict(request);
  if (!response.ok()) return response.status();
  if (*json) {
    std::printf("%s\n", AsJson(*response, **input).dump(2).c_str());
  } else {
    PrintTable(*response, **input, *model);
  }
  return absl::OkStatus();
}

}  // namespace

Command PredictCommand() {
  return {"predict",
          {"Runs the model on one input and prints the largest outputs.",
           "quantctl predict --image=FILE [flags]",
           {InputFlags(),
            {"Request", {"model", "variant", "top_k"}},
            CommonFlags()},
           "Example:\n  quantctl predict --shard=test.bin --index=3 "
           "--variant=int8\n",
           0},
          Run};
}

}  // namespace quantserve
