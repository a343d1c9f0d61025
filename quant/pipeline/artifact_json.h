// The parts of an artifact as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "quant/pipeline/artifact.h"
#include "quant/pipeline/json_field.h"

namespace quantserve {

nlohmann::json ToJson(const ArtifactInputs& inputs);
nlohmann::json ToJson(const Recipe& recipe);
nlohmann::json ToJson(const QuantizationReport& report);

// Throw MalformedJson.
ArtifactInputs InputsFromJson(const JsonField& field);
Recipe RecipeFromJson(const JsonField& field);
QuantizationReport ReportFromJson(const JsonField& field);

}  // namespace quantserve
