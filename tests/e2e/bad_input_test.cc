// What users get wrong: each mistake is one clear line that names the thing,
// and a running server goes on serving.
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"

namespace quantserve {
namespace {

using testing::Finished;
using ::testing::HasSubstr;
using testing::ReadBytes;
using testing::RunProcess;
using testing::ServerProcess;
using testing::TestModel;
using testing::WriteBytes;

// A .npy file of floats, [1,3,32,32], all of them `value`.
std::string Npy(float value) {
  std::string header =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }";
  header.resize(117, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00\x76\x00", 10);
  bytes += header;
  for (int i = 0; i < 3072; ++i) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return bytes;
}

class BadInputTest : public ::testing::Test {
 protected:
  // The command with flags replaced or added.
  std::vector<std::string> With(const std::vector<std::string>& flags) const {
    std::vector<std::string> command = model_.Command();
    command.insert(command.end(), {"--port=0", "--metrics_port=0"});
    command.insert(command.end(), flags.begin(), flags.end());
    return command;
  }

  const TestModel& model_ = testing::SmallModel();
};

TEST_F(BadInputTest, StopsTheServerWithOneLine) {
  const std::string model = ReadBytes(model_.model);
  const std::string shard = ReadBytes(model_.test);
  std::string bad_label = shard.substr(0, 3073 * 2);
  bad_label[3073] = 77;
  struct Case {
    std::vector<std::string> flags;
    int code;
    const char* message;
  };
  const Case cases[] = {
      {{"--frobnicate"}, 2, "unknown flag --frobnicate"},
      {{"--port=http"}, 2, "flag --port has the value \"http\""},
      {{"--port=70000"}, 2, "port is 70000, want 0 to 65535"},
      {{"--max_batch=0"}, 2, "max_batch is 0"},
      {{"--range_method=median"}, 2, "median"},
      {{"--std=0"}, 2, "std"},
      {{"--engine=quantum"}, 2, "quantum"},
      {{"--config=/no/such.textproto"}, 2, "/no/such.textproto"},
      {{"--config=" + WriteBytes("c.textproto", "port: 1\nfrob: 2\n")},
       2,
       "line 2"},
      {{"--model=/no/such.pt"}, 1, "/no/such.pt"},
      {{"--model=" + WriteBytes("empty.pt", "")}, 1, "empty.pt"},
      {{"--model=" + WriteBytes("half.pt", model.substr(0, model.size() / 2))},
       1,
       "half.pt"},
      {{"--model=" + WriteBytes("text.pt", "no model at all\n")}, 1, "text.pt"},
      {{"--calibration_shard=/no/such.bin"}, 1, "/no/such.bin"},
      {{"--calibration_shard=" + WriteBytes("empty.bin", "")}, 1, "empty.bin"},
      {{"--calibration_shard=" + WriteBytes("cut.bin", shard.substr(0, 5000))},
       1,
       "cut.bin"},
      {{"--test_shard=" + WriteBytes("foreign.txt", "hello")},
       1,
       "foreign.txt"},
      {{"--test_shard=" + WriteBytes("foreign.npy", "hello")},
       1,
       "foreign.npy"},
      {{"--test_shard=" +
        WriteBytes("nan.npy", Npy(std::numeric_limits<float>::quiet_NaN()))},
       1,
       "nan.npy"},
      {{"--test_shard=" + WriteBytes("label.bin", bad_label)}, 1, "label"},
      {{"--sample_shape=3,16,16"}, 1, "[3,32,32]"},
      {{"--labels=" + WriteBytes("two", "cat\ndog\n")},
       1,
       "has 2 class names, the model has 10 outputs"},
      {{"--port_file=/no/such/dir/ports"}, 1, "/no/such/dir/ports"},
      {{"--address=203.0.113.1"}, 1, "cannot listen on 203.0.113.1"},
  };
  for (const Case& c : cases) {
    const Finished run = RunProcess(With(c.flags));
    EXPECT_EQ(run.code, c.code) << c.flags[0] << "\n" << run.err;
    std::vector<std::string> said;
    for (absl::string_view line : absl::StrSplit(run.err, '\n')) {
      // The log's own lines start with a date.
      if (!line.empty() && !absl::StartsWith(line, "20")) {
        said.emplace_back(line);
      }
    }
    ASSERT_EQ(said.size(), 1) << c.flags[0] << "\n" << run.err;
    EXPECT_THAT(said[0], HasSubstr("quantserve_server: "));
    EXPECT_THAT(said[0], HasSubstr(c.message));
    EXPECT_EQ(run.out, "");
  }
}

TEST_F(BadInputTest, APortInUseStopsTheSecondServerOnly) {
  ServerProcess server(model_);
  server.AwaitReady();
  for (const std::string& flag :
       {absl::StrCat("--port=", server.port()),
        absl::StrCat("--metrics_port=", server.metrics_port())}) {
    const Finished second = RunProcess(With({flag}));
    EXPECT_EQ(second.code, 1) << second.err;
    EXPECT_THAT(second.err, HasSubstr("the port is in use"));
  }
  EXPECT_TRUE(server.NewClient()->GetStatus().ok());
}

TEST_F(BadInputTest, LeavesARunningServerServing) {
  const std::string shard = ReadBytes(model_.test);
  ServerProcess server(
      model_,
      {"--max_message_bytes=100000",
       "--shard=cut=" + WriteBytes("c.bin", shard.substr(0, 5000)) +
           ",gone=/no/such.bin,nan=" +
           WriteBytes("n.npy", Npy(std::numeric_limits<float>::infinity()))});
  server.AwaitReady();
  const auto client = server.NewClient();

  v1::PredictRequest good;
  *good.add_inputs() = testing::ReadSamples(model_.test, 0, 1);
  const auto code = [&client](const v1::PredictRequest& request) {
    return client->Predict(request).status().code();
  };
  EXPECT_EQ(code(good), absl::StatusCode::kOk);
  v1::PredictRequest bad = good;
  bad.set_variant("int4");
  EXPECT_EQ(code(bad), absl::StatusCode::kNotFound);
  bad = good;
  bad.mutable_inputs(0)->set_dtype(static_cast<v1::DataType>(9));
  EXPECT_EQ(code(bad), absl::StatusCode::kInvalidArgument);
  bad = good;
  bad.mutable_inputs(0)->mutable_shape()->RemoveLast();
  EXPECT_EQ(code(bad), absl::StatusCode::kInvalidArgument);
  bad = good;
  bad.mutable_inputs(0)->set_shape(3, 33);
  EXPECT_EQ(code(bad), absl::StatusCode::kInvalidArgument);
  bad = good;
  bad.mutable_inputs(0)->mutable_data()->pop_back();
  EXPECT_EQ(code(bad), absl::StatusCode::kInvalidArgument);
  bad = good;
  bad.mutable_inputs(0)->set_shape(0, int64_t{1} << 62);
  EXPECT_EQ(code(bad), absl::StatusCode::kInvalidArgument);
  bad = good;
  bad.mutable_inputs(0)->set_data(std::string(200000, 'x'));
  EXPECT_EQ(code(bad), absl::StatusCode::kResourceExhausted);
  // Floats that are no numbers give nonsense, never a crash.
  v1::PredictRequest nan = good;
  nan.mutable_inputs(0)->set_dtype(v1::FP32);
  nan.mutable_inputs(0)->set_data(
      Npy(std::numeric_limits<float>::quiet_NaN()).substr(128));
  for (const char* variant : {"fp32", "int8"}) {
    nan.set_variant(variant);
    nan.set_top_k(3);
    EXPECT_EQ(code(nan), absl::StatusCode::kOk) << variant;
  }

  const struct {
    const char* shard;
    absl::StatusCode code;
  } shards[] = {{"cut", absl::StatusCode::kInvalidArgument},
                {"nan", absl::StatusCode::kInvalidArgument},
                {"gone", absl::StatusCode::kFailedPrecondition},
                {"none", absl::StatusCode::kNotFound},
                {"../test", absl::StatusCode::kNotFound}};
  for (const auto& c : shards) {
    v1::QuantizeRequest quantize;
    quantize.set_calibration_shard(c.shard);
    const auto result = client->Quantize(quantize, nullptr);
    EXPECT_EQ(result.status().code(), c.code) << c.shard << result.status();
    EXPECT_FALSE(
        absl::StrContains(result.status().message(), ::testing::TempDir()))
        << result.status();
    v1::EvaluateRequest evaluate;
    evaluate.set_shard(c.shard);
    EXPECT_EQ(client->Evaluate(evaluate).status().code(), c.code) << c.shard;
  }
  const auto after = client->Predict(good);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->generation(), 1);
  EXPECT_EQ(after->variant(), "int8");
}

}  // namespace
}  // namespace quantserve
