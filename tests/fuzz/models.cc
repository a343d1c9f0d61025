#include "tests/fuzz/models.h"

#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace quantserve::fuzz {
namespace {

class Silent : public google::protobuf::io::ErrorCollector {
  void AddError(int, google::protobuf::io::ColumnNumber,
                const std::string&) override {}
};

Model Image() {
  Model model{{{"x", {3, 2, 2}}}, {{"scores", {5}}}, {}};
  model.preprocessing.mean = {0.1, 0.2, 0.3};
  return model;
}

Model Tokens() {
  Model model{{{"ids", {4}, true}, {"weights", {2, 3}}},
              {{"scores", {3}}, {"mask", {2, 2}}},
              {}};
  // Of three channels, which no input of bytes here has.
  model.preprocessing.std = {1, 2, 3};
  return model;
}

}  // namespace

const std::vector<Model>& Models() {
  static const auto& models = *new std::vector<Model>{
      Image(), Tokens(), Model{{{"x", {}}}, {{"y", {}}}, {}}};
  return models;
}

bool ParseText(const std::string& text, google::protobuf::Message* message) {
  google::protobuf::TextFormat::Parser parser;
  Silent silent;
  parser.RecordErrorsTo(&silent);
  return parser.ParseFromString(text, message);
}

}  // namespace quantserve::fuzz
