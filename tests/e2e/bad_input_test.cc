// What users get wrong: each mistake is one clear line that names the thing,
// and a running server goes on serving.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
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

// A .npy file of floats, [count,3,size,size], all of them `value`.
std::string Npy(float value, int count = 1, int size = 32) {
  std::string header =
      absl::StrCat("{'descr': '<f4', 'fortran_order': False, 'shape': (", count,
                   ", 3, ", size, ", ", size, "), }");
  header.resize(117, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00\x76\x00", 10);
  bytes += header;
  for (int i = 0; i < count * 3 * size * size; ++i) {
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
      {{"--bias_correction=magic"}, 2, "magic"},
      {{"--equalize=maybe"}, 2, "maybe"},
      {{"--max_drop=1.5"}, 2, "max_drop is 1.5, want 0 to 1"},
      {{"--min_speedup=0"}, 2, "min_speedup is 0, want above 0"},
      {{"--interpolation=nearest"}, 2, "nearest"},
      {{"--sample_shape=i64:x"}, 2, "sample shape \"i64:x\""},
      {{"--sample_shape=i64:3,32,32"}, 1, "expected int64"},
      {{"--sample_shape=3,32,32;4"}, 1, "samples for 1 inputs, expected 2"},
      {{"--model=" + testing::OddModels() + "/no_tensor.pt"},
       1,
       "no_tensor.pt"},
      {{"--model=" + testing::OddModels() + "/nothing.pt"}, 1, "nothing.pt"},
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

// Whatever is wrong with what is asked for, what runs is served on.
TEST_F(BadInputTest, ABadQuantizationChangesNothing) {
  const std::string shard = ReadBytes(model_.test);
  std::string one_class;
  for (int i = 0; i < 64; ++i) {
    one_class += shard.substr(i * 3073, 3073);
    one_class[i * 3073] = 3;
  }
  ServerProcess server(
      model_,
      {"--shard=one=" + WriteBytes("one.bin", shard.substr(0, 3073)) +
       ",class=" + WriteBytes("class.bin", one_class) +
       ",constant=" + WriteBytes("constant.npy", Npy(0.25F, 16)) +
       ",small=" + WriteBytes("small.npy", Npy(0.25F, 4, 16)) + ",nan=" +
       WriteBytes("nan.npy", Npy(std::numeric_limits<float>::quiet_NaN()))});
  server.AwaitReady();
  const auto client = server.NewClient();
  v1::PredictRequest good;
  *good.add_inputs() = testing::ReadSamples(model_.test, 0, 1);
  good.set_variant("int8");
  const auto before = client->Predict(good);
  ASSERT_TRUE(before.ok()) << before.status();

  using Code = absl::StatusCode;
  using Change = std::function<void(v1::QuantizeRequest*)>;
  const auto on = [](const char* name) -> Change {
    return [name](v1::QuantizeRequest* r) { r->set_calibration_shard(name); };
  };
  const struct {
    Change change;
    Code code;
    const char* message;
  } kCases[] = {
      {[](auto* r) { r->set_range_method("median"); }, Code::kInvalidArgument,
       "median"},
      {[](auto* r) { r->set_bias_correction("magic"); }, Code::kInvalidArgument,
       "magic"},
      {[](auto* r) { r->set_equalize("maybe"); }, Code::kInvalidArgument,
       "maybe"},
      {[](auto* r) { r->set_equalize(std::string(100000, 'x')); },
       Code::kInvalidArgument, "equalize has 100000 bytes"},
      {[](auto* r) { r->set_max_drop(-0.5); }, Code::kInvalidArgument,
       "max_drop is -0.5"},
      {[](auto* r) { r->set_min_sqnr_db(NAN); }, Code::kInvalidArgument,
       "min_sqnr_db is nan"},
      {[](auto* r) { r->set_min_speedup(-1); }, Code::kInvalidArgument,
       "min_speedup is -1"},
      {[](auto* r) { r->add_keep_fp32("no.such.layer"); },
       Code::kInvalidArgument, "no.such.layer"},
      {[](auto* r) { r->set_samples(-1); }, Code::kInvalidArgument,
       "samples is -1"},
      // Each alone is possible, together they are not.
      {[](auto* r) {
         r->set_min_sqnr_db(200);
         r->set_min_speedup(1000);
       },
       Code::kFailedPrecondition, "budget not reachable"},
      {on("nan"), Code::kInvalidArgument, "nan"},
      {on("small"), Code::kInvalidArgument, "[3,16,16]"},
      {on("no"), Code::kNotFound, "no shard is named \"no\""},
  };
  for (const auto& c : kCases) {
    v1::QuantizeRequest request;
    c.change(&request);
    const auto result = client->Quantize(request, nullptr);
    EXPECT_EQ(result.status().code(), c.code) << result.status();
    const std::string message(result.status().message());
    EXPECT_THAT(message, HasSubstr(c.message));
    EXPECT_LT(message.size(), 1000);
    const auto after = client->Predict(good);
    ASSERT_TRUE(after.ok()) << c.message << after.status();
    EXPECT_EQ(after->generation(), 1) << c.message;
    EXPECT_EQ(after->outputs(0).data(), before->outputs(0).data());
  }
  // Little to go by is no mistake: a result, or the gate's refusal.
  for (const char* name : {"one", "class", "constant"}) {
    v1::QuantizeRequest request;
    request.set_calibration_shard(name);
    request.set_dry_run(true);
    v1::QuantizeResult refused;
    const auto result = client->Quantize(request, nullptr, &refused);
    if (!result.ok()) {
      EXPECT_THAT(std::string(result.status().message()),
                  HasSubstr("the gate refused the new variant: "));
      EXPECT_TRUE(refused.has_gate());
    }
    EXPECT_GT((result.ok() ? *result : refused).report().samples(), 0) << name;
    EXPECT_EQ(client->Predict(good)->generation(), 1) << name;
  }
}

TEST_F(BadInputTest, AModelOfNaNsIsServedInFp32AndNotQuantized) {
  ServerProcess server(testing::OddModel("nan"));
  server.AwaitReady();
  const auto client = server.NewClient();
  v1::PredictRequest request;
  v1::Tensor* x = request.add_inputs();
  x->set_dtype(v1::FP32);
  for (int64_t dim : {1, 8}) x->add_shape(dim);
  x->set_data(std::string(32, '\0'));
  EXPECT_EQ(client->Predict(request)->variant(), "fp32");
  const auto status = client->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  const std::string reason = status->models(0).variants(1).unavailable_reason();
  EXPECT_THAT(reason, HasSubstr("value \""));
  EXPECT_THAT(reason, HasSubstr("NaN or infinite"));
  const auto again = client->Quantize({}, nullptr);
  EXPECT_THAT(std::string(again.status().message()),
              HasSubstr("NaN or infinite"));
  EXPECT_EQ(client->Predict(request)->variant(), "fp32");
}

// A file where the folder should be; a folder that can't be made.
TEST_F(BadInputTest, AnArtifactFolderThatIsNoneCostsANoteOnly) {
  for (const std::string& dir :
       {WriteBytes("file", "x"), std::string("/proc/no/such")}) {
    ServerProcess server(model_, {"--artifact_dir=" + dir});
    server.AwaitReady();
    EXPECT_THAT(server.process().err(),
                HasSubstr("the artifact could not be kept: "));
    const auto result = server.NewClient()->Quantize({}, nullptr);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->generation(), 2);
  }
}

}  // namespace
}  // namespace quantserve
