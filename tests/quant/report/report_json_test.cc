#include <nlohmann/json.hpp>

#include "gtest/gtest.h"
#include "quant/report/report.h"
#include "tests/quant/report/sample_document.h"

namespace quantserve {
namespace {

using nlohmann::json;

TEST(ReportJsonTest, HasTheFieldsOfTheDocument) {
  const ReportDocument document = SampleDocument();
  const json object = json::parse(ReportJson(document));
  EXPECT_EQ(object.at("format"), kReportFormat);
  EXPECT_EQ(object.at("title"), document.title);
  EXPECT_EQ(object.at("model_path"), document.model_path);
  EXPECT_EQ(object.at("model_sha256"), document.model_sha256);
  EXPECT_EQ(object.at("shard_path"), document.shard_path);
  EXPECT_EQ(object.at("shard_sha256"), document.shard_sha256);
  EXPECT_EQ(object.at("evaluated_on"), document.evaluated_on);
  EXPECT_EQ(object.at("created"), "2026-03-14T15:09:26.000Z");
  EXPECT_EQ(object.at("facts").at(1),
            (json{{"name", "LibTorch"}, {"value", "1.13.1"}}));
}

TEST(ReportJsonTest, HasTheVariantsWithUnits) {
  const json object = json::parse(ReportJson(SampleDocument()));
  const json& int8 = object.at("variants").at(2);
  EXPECT_EQ(int8, (json{{"name", "int8"},
                        {"engine", "onednn"},
                        {"accuracy", 0.7319},
                        {"agreement", 0.9844},
                        {"sqnr_db", 30.28},
                        {"latency_p50_us", 17380.0},
                        {"latency_p99_us", 19604.0},
                        {"size_bytes", 22413004}}));
  // FP32 against itself has no noise.
  EXPECT_TRUE(object.at("variants").at(1).at("sqnr_db").is_null());
}

TEST(ReportJsonTest, HasTheQuantization) {
  const ReportDocument document = SampleDocument();
  const QuantizationReport& report = document.quantization;
  const json object = json::parse(ReportJson(document)).at("quantization");
  EXPECT_EQ(object.at("range_method"), "mse");
  EXPECT_EQ(object.at("shard"), report.shard);
  EXPECT_EQ(object.at("samples"), 512);
  EXPECT_EQ(object.at("held_out"), 512);
  EXPECT_EQ(object.at("weight_bits"), 8);
  EXPECT_EQ(object.at("int8_macs_share"), report.int8_macs_share);
  EXPECT_EQ(object.at("digest"), report.digest);
  EXPECT_EQ(object.at("artifact"), report.artifact);
  EXPECT_EQ(object.at("notes"), json(report.notes));
  EXPECT_EQ(object.at("budget"), (json{{"wanted", report.budget->wanted},
                                       {"achieved", report.budget->achieved},
                                       {"reached", true}}));
  EXPECT_EQ(object.at("trials").at(4), (json{{"what", "ranges mse"},
                                             {"sqnr_db", 28.44},
                                             {"agreement", 0.9766},
                                             {"accuracy", 0.7285},
                                             {"kept", true}}));
  EXPECT_EQ(object.at("phases").at(0),
            (json{{"name", "load"}, {"time_us", 840000.0}}));
}

TEST(ReportJsonTest, HasEveryLayer) {
  const ReportDocument document = SampleDocument();
  const json layers =
      json::parse(ReportJson(document)).at("quantization").at("layers");
  ASSERT_EQ(layers.size(), document.quantization.layers.size());
  const LayerReport& first = document.quantization.layers[0];
  const json& layer = layers.at(0);
  EXPECT_EQ(layer.at("name"), "conv1");
  EXPECT_EQ(layer.at("op"), "Conv2d + ReLU");
  EXPECT_EQ(layer.at("quantized"), true);
  EXPECT_EQ(layer.at("reason"), "");
  EXPECT_EQ(layer.at("output_shape"), json({1, 64, 112, 112}));
  EXPECT_EQ(layer.at("macs"), first.macs);
  EXPECT_EQ(layer.at("local_sqnr_db"), *first.local_sqnr_db);
  EXPECT_EQ(layer.at("cumulative_sqnr_db"), *first.cumulative_sqnr_db);
  EXPECT_EQ(layer.at("fp32_time_us"),
            absl::ToDoubleMicroseconds(*first.fp32_time));
  EXPECT_EQ(layer.at("int8_time_us"),
            absl::ToDoubleMicroseconds(*first.int8_time));
  const json& activation = layer.at("activation");
  EXPECT_EQ(activation.at("range").at("hi").get<float>(),
            first.activation->range.hi);
  EXPECT_EQ(activation.at("scale").get<float>(), first.activation->scale);
  EXPECT_EQ(activation.at("zero_point"), first.activation->zero_point);
  EXPECT_EQ(activation.at("clipped_share"), first.activation->clipped_share);
  EXPECT_EQ(activation.at("histogram").at("counts"),
            json(first.activation->histogram.counts));
  EXPECT_EQ(activation.at("histogram").at("zeros"),
            first.activation->histogram.zeros);
  EXPECT_TRUE(layers.back().at("activation").is_null());
}

TEST(ReportJsonTest, AnEmptyDocumentHasEmptyLists) {
  const json object = json::parse(ReportJson({}));
  EXPECT_EQ(object.at("variants"), json::array());
  EXPECT_EQ(object.at("quantization").at("layers"), json::array());
  EXPECT_TRUE(object.at("quantization").at("budget").is_null());
}

TEST(ReportJsonTest, HostileNumbersAreNullAndHostileBytesAreReplaced) {
  const json object = json::parse(ReportJson(HostileDocument()));
  const json& fp32 = object.at("variants").at(0);
  EXPECT_TRUE(fp32.at("accuracy").is_null());
  EXPECT_TRUE(fp32.at("agreement").is_null());
  EXPECT_TRUE(fp32.at("latency_p50_us").is_null());
  const json& layer = object.at("quantization").at("layers").at(0);
  EXPECT_TRUE(layer.at("local_sqnr_db").is_null());
  EXPECT_TRUE(layer.at("activation").at("range").at("lo").is_null());
  EXPECT_NE(object.at("title").get<std::string>().find("\ufffd"),
            std::string::npos);
}

}  // namespace
}  // namespace quantserve
