// Models that are not one picture in: token ids, and ids beside a picture,
// through the real server and quantctl.
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_process.h"

namespace quantserve {
namespace {

using testing::Finished;
using ::testing::HasSubstr;
using testing::RunProcess;
using testing::ServerProcess;
using testing::TestModel;

class InputsTest : public ::testing::Test {
 protected:
  Finished Ctl(const ServerProcess& server,
               std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     absl::StrCat(QUANTSERVE_BIN_DIR, "/quantctl"));
    arguments.push_back("--server=" + server.target());
    return RunProcess(arguments);
  }

  static v1::Tensor Ids(std::vector<int64_t> ids) {
    v1::Tensor tensor;
    tensor.set_dtype(v1::INT64);
    tensor.add_shape(1);
    tensor.add_shape(static_cast<int64_t>(ids.size()));
    tensor.set_data(ids.data(), ids.size() * sizeof(int64_t));
    return tensor;
  }

  static std::vector<float> Logits(const v1::PredictResponse& response) {
    const std::string& data = response.outputs(0).data();
    std::vector<float> logits(data.size() / sizeof(float));
    std::memcpy(logits.data(), data.data(), data.size());
    return logits;
  }

  const std::string dir_ = testing::OddModels();
};

TEST_F(InputsTest, TokenIdsAreServedQuantizedAndEvaluated) {
  const TestModel model = testing::OddModel("tokens");
  ServerProcess server(model, {"--shard=words=" + dir_ +
                               "/tokens.npy,more=" + dir_ + "/pair.npz"});
  server.AwaitReady();
  const auto client = server.NewClient();
  const auto status = client->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  const v1::ModelStatus& served = status->models(0);
  ASSERT_EQ(served.inputs_size(), 1);
  EXPECT_EQ(served.inputs(0).dtype(), v1::INT64);
  EXPECT_EQ(served.default_variant(), "int8");
  EXPECT_EQ(served.outputs(0).dtype(), v1::FP32);

  v1::PredictRequest request;
  *request.add_inputs() = Ids(std::vector<int64_t>(12, 49));
  for (const char* variant : {"fp32", "int8"}) {
    request.set_variant(variant);
    const auto answer = client->Predict(request);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(Logits(*answer).size(), 4);
  }
  // A word that the model does not know is an answer's failure, no crash.
  *request.mutable_inputs(0) = Ids(std::vector<int64_t>(12, 1000));
  EXPECT_FALSE(client->Predict(request).ok());
  *request.mutable_inputs(0) = Ids(std::vector<int64_t>(12, 1 << 25));
  EXPECT_THAT(std::string(client->Predict(request).status().message()),
              HasSubstr("has 33554432 as element 0 of sample 0"));
  request.mutable_inputs(0)->set_dtype(v1::FP32);
  EXPECT_THAT(std::string(client->Predict(request).status().message()),
              HasSubstr("want INT64 (3)"));

  v1::QuantizeRequest quantize;
  quantize.set_calibration_shard("words");
  const auto again = client->Quantize(quantize, nullptr);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->generation(), 2);
  quantize.set_calibration_shard("more");
  EXPECT_THAT(
      std::string(client->Quantize(quantize, nullptr).status().message()),
      HasSubstr("shard more\" has samples for 2 inputs, expected 1"));
  v1::EvaluateRequest evaluate;
  evaluate.set_shard("words");
  evaluate.set_variant("int8");
  const auto evaluated = client->Evaluate(evaluate);
  ASSERT_TRUE(evaluated.ok()) << evaluated.status();
  EXPECT_EQ(evaluated->evaluation().samples(), 96);

  // quantctl sends the sample that it names: the last 12 numbers of the file.
  const std::string file = testing::ReadBytes(dir_ + "/tokens.npy");
  std::vector<int64_t> last(12);
  std::memcpy(last.data(), file.data() + file.size() - 96, 96);
  *request.mutable_inputs(0) = Ids(last);
  request.set_variant("fp32");
  const auto answer = client->Predict(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  for (const char* shard : {"tokens.npy", "tokens.npz"}) {
    const Finished predict =
        Ctl(server, {"predict", absl::StrCat("--shard=", dir_, "/", shard),
                     "--index=95", "--variant=fp32", "--format=json"});
    ASSERT_EQ(predict.code, 0) << predict.err;
    const auto json = nlohmann::json::parse(predict.out);
    EXPECT_EQ(json["samples"][0]["top_k"].size(), 4);
    EXPECT_EQ(json["outputs"].begin().value()["data"], Logits(*answer));
  }
  EXPECT_EQ(Ctl(server, {"bench", "--requests=50"}).code, 0);
  const std::pair<std::vector<std::string>, const char*> mistakes[] = {
      {{"predict", "--shard=" + dir_ + "/tokens.npy", "--index=96"},
       "has 96 samples, flag --index is 96"},
      {{"predict", "--shard=" + dir_ + "/pair.npz"}, "for 2 inputs"},
      {{"predict", "--shard=" + dir_ + "/nan.npz"}, "takes [12] of INT64"},
      {{"predict", "--shard=" + dir_ + "/no.npy"}, "cannot read"},
      {{"predict", "--shard=" + model.test, "--raw=x"}, "give one of"},
      {{"predict", "--raw=" + model.test}, "give --shard=FILE.npy"}};
  for (const auto& [arguments, message] : mistakes) {
    const Finished run = Ctl(server, arguments);
    EXPECT_EQ(run.code, 2) << message;
    EXPECT_THAT(run.err, HasSubstr(message));
  }
}

TEST_F(InputsTest, IdsBesideAPictureAreServedByName) {
  const TestModel model = testing::OddModel("pair");
  ServerProcess server(model, {"--sample_shape=i64:12;3,8,8"});
  server.AwaitReady();
  const auto client = server.NewClient();
  const auto status = client->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  const v1::ModelStatus& served = status->models(0);
  ASSERT_EQ(served.inputs_size(), 2);
  EXPECT_EQ(served.inputs(0).dtype(), v1::INT64);
  EXPECT_EQ(served.inputs(1).dtype(), v1::FP32);
  EXPECT_EQ(served.default_variant(), "int8");

  // In any order, by name.
  v1::PredictRequest request;
  v1::Tensor* picture = request.add_inputs();
  picture->set_name(served.inputs(1).name());
  picture->set_dtype(v1::FP32);
  for (int64_t dim : {1, 3, 8, 8}) picture->add_shape(dim);
  picture->set_data(std::string(3 * 8 * 8 * 4, '\0'));
  *request.add_inputs() = Ids(std::vector<int64_t>(12, 3));
  request.mutable_inputs(1)->set_name(served.inputs(0).name());
  const auto answer = client->Predict(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  request.mutable_inputs(0)->set_name("nobody");
  EXPECT_THAT(std::string(client->Predict(request).status().message()),
              HasSubstr("no input \"nobody\""));

  EXPECT_EQ(client->Quantize({}, nullptr)->generation(), 2);
  EXPECT_TRUE(client->Evaluate({}).ok());
  const Finished predict =
      Ctl(server, {"predict", "--shard=" + dir_ + "/pair.npz", "--index=7"});
  EXPECT_EQ(predict.code, 0) << predict.err;
  EXPECT_EQ(Ctl(server, {"compare", "--requests=50"}).code, 0);
}

TEST_F(InputsTest, ImagesOfAFolderAreCutToTheModelsSize) {
  const std::string images = "--shard=images=" + dir_ + "/folder";
  v1::EvaluateRequest evaluate;
  evaluate.set_shard("images");
  v1::QuantizeRequest quantize;
  quantize.set_calibration_shard("images");
  quantize.set_dry_run(true);
  {
    ServerProcess server(
        testing::SmallModel(),
        {images, "--resize=36", "--crop=32", "--interpolation=bicubic",
         "--max_samples=20", "--max_accuracy_drop=1"});
    server.AwaitReady();
    const auto client = server.NewClient();
    const auto evaluated = client->Evaluate(evaluate);
    ASSERT_TRUE(evaluated.ok()) << evaluated.status();
    EXPECT_EQ(evaluated->evaluation().samples(), 20);
    EXPECT_TRUE(evaluated->evaluation().has_accuracy());
    const auto quantized = client->Quantize(quantize, nullptr);
    ASSERT_TRUE(quantized.ok()) << quantized.status();
    EXPECT_EQ(quantized->report().samples(), 20);
  }
  ServerProcess server(testing::SmallModel(), {images});
  server.AwaitReady();
  const auto refused = server.NewClient()->Evaluate(evaluate);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("a crop makes sizes equal"));
}

// The labels are FP32's own answers: a sample, its token ids and its answer
// belong together only if all of them come through in order.
TEST_F(InputsTest, IdsAndPicturesStayTogether) {
  ServerProcess server(testing::OddModel("pair"));
  server.AwaitReady();
  v1::EvaluateRequest evaluate;
  evaluate.set_variant("fp32");
  const auto evaluated = server.NewClient()->Evaluate(evaluate);
  ASSERT_TRUE(evaluated.ok()) << evaluated.status();
  EXPECT_EQ(evaluated->evaluation().accuracy(), 1);
}

}  // namespace
}  // namespace quantserve
