#include "server/rpc/config.h"

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/flags/reflection.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quantserve/v1/config.pb.h"
#include "server/rpc/flags.h"
#include "server/rpc/status_mapping.h"

namespace quantserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + name;
  std::ofstream(path) << text;
  return path;
}

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

// Options from a command line.
absl::StatusOr<ServerOptions> FromFlags(
    const std::vector<std::string>& arguments) {
  absl::FlagSaver saver;
  const auto parsed = Parse(ServerCommandLine(), arguments);
  if (!parsed.ok()) return parsed.status();
  const auto config = ConfigFromFlags(parsed->given);
  if (!config.ok()) return config.status();
  return ToServerOptions(*config);
}

TEST(ConfigTest, FlagsAndFileSayTheSame) {
  const std::string path = WriteFile("same.textproto", R"(
    model: "dir/net.pt"
    model_name: "net"
    sample_shape: [3, 32, 32]
    mean: [0.1, 0.2, 0.3]
    std: 2
    scale: 0.5
    engine: "torchscript"
    shard { name: "more" path: "more.npy" }
    calibration_shard: "a.bin"
    test_shard: "t=b.bin"
    range_method: "percentile"
    resize: 40
    crop: 32
    interpolation: "bicubic"
    max_samples: 1000
    max_sample_bytes: 100000
    draw_seed: 7
    samples: 100
    bias_correction: "analytic"
    equalize: "off"
    keep_fp32: ["stem", "head.0"]
    max_drop: 0.01
    budget_sqnr_db: 15
    min_speedup: 1.5
    max_accuracy_drop: 0.02
    address: "::1"
    port: 1
    metrics_port: 2
    workers: 3
    queue: 4
    max_batch: 5
    max_message_bytes: 6000
    drain_seconds: 7
    keepalive_seconds: 8
    max_connection_idle_seconds: 9
    max_connection_age_seconds: 0
    reply_timeout_seconds: 0.5
    receive_buffer_bytes: 2000000
  )");
  const auto file = FromFlags({"--config=" + path});
  const auto flags = FromFlags({"--model=dir/net.pt",
                                "--model_name=net",
                                "--sample_shape=3,32,32",
                                "--mean=0.1,0.2,0.3",
                                "--std=2",
                                "--scale=0.5",
                                "--engine=torchscript",
                                "--shard=more=more.npy",
                                "--calibration_shard=a.bin",
                                "--test_shard=t=b.bin",
                                "--range_method=percentile",
                                "--resize=40",
                                "--crop=32",
                                "--interpolation=bicubic",
                                "--max_samples=1000",
                                "--max_sample_bytes=100000",
                                "--draw_seed=7",
                                "--samples=100",
                                "--bias_correction=analytic",
                                "--equalize=off",
                                "--keep_fp32=stem,head.0",
                                "--max_drop=0.01",
                                "--budget_sqnr_db=15",
                                "--min_speedup=1.5",
                                "--max_accuracy_drop=0.02",
                                "--address=::1",
                                "--port=1",
                                "--metrics_port=2",
                                "--workers=3",
                                "--queue=4",
                                "--max_batch=5",
                                "--max_message_bytes=6000",
                                "--drain_seconds=7",
                                "--keepalive_seconds=8",
                                "--max_connection_idle_seconds=9",
                                "--max_connection_age_seconds=0",
                                "--reply_timeout_seconds=0.5",
                                "--receive_buffer_bytes=2000000"});
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(flags.ok()) << flags.status();
  for (const ServerOptions& o : {*file, *flags}) {
    EXPECT_EQ(o.models[0].model.path, "dir/net.pt");
    EXPECT_EQ(o.models[0].model.name, "net");
    EXPECT_EQ(InputSpecsString(o.models[0].model.inputs), "3,32,32");
    EXPECT_THAT(o.models[0].model.preprocessing.mean,
                ElementsAre(0.1, 0.2, 0.3));
    EXPECT_THAT(o.models[0].model.preprocessing.std, ElementsAre(2));
    EXPECT_EQ(o.models[0].model.preprocessing.scale, 0.5);
    EXPECT_EQ(o.models[0].model.engine, EngineChoice::kTorchScript);
    ASSERT_EQ(o.models[0].quantization.shards.size(), 3);
    EXPECT_EQ(o.models[0].quantization.shards[0].path, "more.npy");
    EXPECT_EQ(o.models[0].quantization.calibration_shard, "calibration");
    EXPECT_EQ(o.models[0].quantization.shards[1].path, "a.bin");
    EXPECT_EQ(o.models[0].quantization.test_shard, "t");
    EXPECT_EQ(o.models[0].quantization.shards[2].path, "b.bin");
    EXPECT_EQ(o.models[0].quantization.options.ranges.method,
              RangeMethod::kPercentile);
    EXPECT_EQ(o.models[0].quantization.reading.images.resize, 40);
    EXPECT_EQ(o.models[0].quantization.reading.images.crop, 32);
    EXPECT_EQ(o.models[0].quantization.reading.images.interpolation,
              Interpolation::kBicubic);
    EXPECT_EQ(o.models[0].quantization.reading.max_samples, 1000);
    EXPECT_EQ(o.models[0].quantization.reading.max_sample_bytes, 100000);
    EXPECT_EQ(o.models[0].quantization.reading.seed, 7);
    EXPECT_EQ(o.models[0].quantization.options.samples, 100);
    const QuantizeOptions& quantize = o.models[0].quantization.options;
    EXPECT_EQ(quantize.bias_correction, BiasCorrection::kAnalytic);
    EXPECT_EQ(quantize.equalize, EqualizeMode::kOff);
    EXPECT_THAT(quantize.keep_fp32, ElementsAre("stem", "head.0"));
    EXPECT_EQ(quantize.max_drop, 0.01);
    EXPECT_EQ(quantize.min_sqnr_db, 15);
    EXPECT_EQ(quantize.min_speedup, 1.5);
    EXPECT_EQ(o.models[0].quantization.gate.max_accuracy_drop, 0.02);
    EXPECT_EQ(o.network.address, "::1");
    EXPECT_EQ(o.network.port, 1);
    EXPECT_EQ(o.network.metrics_port, 2);
    EXPECT_EQ(o.serving.workers, 3);
    EXPECT_EQ(o.serving.queue_capacity, 4);
    EXPECT_EQ(o.models[0].model.max_batch, 5);
    EXPECT_EQ(o.network.max_message_bytes, 6000);
    EXPECT_EQ(o.network.drain, absl::Seconds(7));
    const ConnectionConfig& connections = o.network.connections;
    EXPECT_EQ(connections.keepalive, absl::Seconds(8));
    EXPECT_EQ(connections.max_idle, absl::Seconds(9));
    EXPECT_EQ(connections.max_age, absl::ZeroDuration());
    EXPECT_EQ(connections.reply_timeout, absl::Milliseconds(500));
    EXPECT_EQ(connections.receive_buffer_bytes, 2000000);
  }
}

TEST(ConfigTest, AFlagWinsOverTheFile) {
  const std::string path = WriteFile(
      "base.textproto", "model: \"a.pt\" sample_shape: 8 mean: 1 port: 5");
  const auto options =
      FromFlags({"--config", path, "--port=6", "--mean=2", "--model=b.pt"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->network.port, 6);
  EXPECT_EQ(options->models[0].model.path, "b.pt");
  EXPECT_EQ(options->models[0].model.name, "b");
  EXPECT_THAT(options->models[0].model.preprocessing.mean, ElementsAre(2));
  EXPECT_EQ(options->network.metrics_port, 8002);
}

TEST(ConfigTest, SeveralInputsAndIntegersAreShapesToo) {
  const std::string path = WriteFile(
      "shapes.textproto",
      "model: \"a.pt\" sample_shapes: \"i64:16;3,32,32\" mean: [1, 2, 3]");
  for (const auto& options :
       {FromFlags({"--config", path}),
        FromFlags({"--model=a.pt", "--sample_shape=i64:16;3,32,32"})}) {
    ASSERT_TRUE(options.ok()) << options.status();
    ASSERT_EQ(options->models[0].model.inputs.size(), 2);
    EXPECT_TRUE(options->models[0].model.inputs[0].integers);
    EXPECT_THAT(options->models[0].model.inputs[1].shape,
                ElementsAre(3, 32, 32));
  }
  const auto flag = FromFlags({"--config", path, "--sample_shape=3,8,8"});
  ASSERT_TRUE(flag.ok()) << flag.status();
  EXPECT_EQ(InputSpecsString(flag->models[0].model.inputs), "3,8,8");
  EXPECT_THAT(Message(FromFlags({"--config",
                                 WriteFile("both.textproto",
                                           "model: \"a.pt\" sample_shape: 3 "
                                           "sample_shapes: \"3\"")})
                          .status()),
              HasSubstr("want one of them"));
}

TEST(ConfigTest, TheFlagsDefaultsAreTheOptionsDefaults) {
  const auto options = FromFlags({"--model=m.pt", "--sample_shape=4"});
  ASSERT_TRUE(options.ok()) << options.status();
  absl::FlagSaver saver;
  std::set<std::string> all;
  for (const FlagGroup& group : ServerCommandLine().groups) {
    for (const std::string& flag : group.flags) {
      if (flag != "config" && flag != "model" && flag != "sample_shape" &&
          flag != "model_name") {
        all.insert(flag);
      }
    }
  }
  // As if every flag had been given with its default.
  auto config = ConfigFromFlags(all);
  ASSERT_TRUE(config.ok()) << config.status();
  config->set_model("m.pt");
  config->add_sample_shape(4);
  const auto same = ToServerOptions(*config);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->network.port, options->network.port);
  EXPECT_EQ(same->network.drain, options->network.drain);
  EXPECT_EQ(same->network.address, options->network.address);
  EXPECT_EQ(same->serving.queue_capacity, options->serving.queue_capacity);
  EXPECT_EQ(same->models[0].quantization.options.ranges.method,
            options->models[0].quantization.options.ranges.method);
  EXPECT_EQ(same->models[0].quantization.options.bias_correction,
            options->models[0].quantization.options.bias_correction);
  EXPECT_FALSE(same->models[0].quantization.options.max_drop.has_value());
  EXPECT_EQ(same->models[0].quantization.reading.max_sample_bytes,
            options->models[0].quantization.reading.max_sample_bytes);
  EXPECT_EQ(same->models[0].quantization.reading.images.interpolation,
            options->models[0].quantization.reading.images.interpolation);
  EXPECT_EQ(same->models[0].quantization.gate.min_sqnr_db,
            options->models[0].quantization.gate.min_sqnr_db);
  EXPECT_EQ(same->models[0].model.preprocessing.scale,
            options->models[0].model.preprocessing.scale);
}

TEST(ConfigTest, EveryFieldOfTheFileIsAFlagAndTheOtherWayRound) {
  std::set<std::string> flags, fields;
  for (const FlagGroup& group : ServerCommandLine().groups) {
    for (const std::string& flag : group.flags) {
      EXPECT_NE(absl::FindCommandLineFlag(flag), nullptr) << flag;
      flags.insert(flag);
    }
  }
  const auto* descriptor = v1::ServerConfig::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    fields.insert(descriptor->field(i)->name());
  }
  for (const char* own : {"config", "verbose", "version"}) flags.erase(own);
  // --sample_shape says that, too.
  EXPECT_EQ(fields.erase("sample_shapes"), 1);
  // The command line has room for one model.
  EXPECT_EQ(fields.erase("models"), 1);
  EXPECT_EQ(flags, fields);
}

TEST(ConfigTest, MistakesInTheFileAreOneLineWithItsNameAndPlace) {
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"model: \"a.pt\"\nfoo: 1\n", "line 2, column 4"},
      {"model: 1", "line 1, column 8"},
      {"port: \"http\"", "line 1"},
      {"port: 99999999999", "line 1"},
      {"shard { nome: \"a\" }", "\"nome\""},
      {"model: \"a", "line 1"},
      {"\x01\x02", "line 1"},
  };
  for (const Case& c : cases) {
    const std::string path = WriteFile("bad.textproto", c.text);
    const auto config = ReadConfigFile(path);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(config.status()), HasSubstr(path));
    EXPECT_THAT(Message(config.status()), HasSubstr(c.message));
    EXPECT_THAT(Message(config.status()), Not(HasSubstr("\n")));
  }
  EXPECT_EQ(ReadConfigFile("/no/such/file").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadConfigFile("/tmp").status().code(),
            absl::StatusCode::kNotFound);
}

// Whoever writes it, a file has neither the stack nor the memory to itself.
TEST(ConfigTest, RefusesDepthAndNumbersWithoutBound) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "models{";
  const auto config = ReadConfigFile(WriteFile("deep.textproto", deep));
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(config.status()), HasSubstr("too deep"));

  // Each model inherits 512 KiB: 25 GiB of them.
  v1::ServerConfig many;
  for (int i = 0; i < 1 << 16; ++i) many.add_mean(1);
  for (int i = 0; i < 50000; ++i) many.add_models()->set_model("m.pt");
  EXPECT_THAT(Message(ToServerOptions(many).status()),
              HasSubstr("there are 50000 models, want 1 to 64"));
}

TEST(ConfigTest, MistakesAreOneLineWhateverTheyRepeat) {
  v1::ServerConfig config;
  config.set_model("m.pt");
  config.add_sample_shape(1);
  config.set_model_name("a\nb");
  EXPECT_THAT(Message(ToServerOptions(config).status()),
              HasSubstr("model_name \"a?b\" is not a name"));
  config.set_model_name(std::string(100000, 'a'));
  EXPECT_LT(Message(ToServerOptions(config).status()).size(), 1100);
}

TEST(ConfigTest, MistakesInFlagsAreNamed) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  const Case cases[] = {
      {{}, "no model"},
      {{"--model=m.pt"}, "--sample_shape"},
      {{"--model=m.pt", "--sample_shape=3,x"}, "--sample_shape has \"x\""},
      {{"--model=m.pt", "--sample_shape=3", "--mean=a"}, "--mean has \"a\""},
      {{"--model=m.pt", "--sample_shape=i32:4"}, "sample shape \"i32:4\""},
      {{"--model=m.pt", "--sample_shape=4;"}, "sample shape \"4;\""},
      {{"--model=m.pt", "--sample_shape=3", "--crop=99999"}, "crop is 99999"},
      {{"--model=m.pt", "--sample_shape=3", "--interpolation=near"}, "near"},
      {{"--model=m.pt", "--sample_shape=3", "--std=0"}, "std"},
      {{"--model=m.pt", "--sample_shape=3", "--engine=gpu"}, "gpu"},
      {{"--model=m.pt", "--sample_shape=3", "--range_method=max"}, "max"},
      {{"--model=m.pt", "--sample_shape=3", "--port=70000"}, "port is 70000"},
      {{"--model=m.pt", "--sample_shape=3", "--drain_seconds=nan"}, "drain"},
      {{"--model=m.pt", "--sample_shape=3", "--keepalive_seconds=0"},
       "keepalive_seconds is 0, want 1 to 3600"},
      {{"--model=m.pt", "--sample_shape=3", "--reply_timeout_seconds=inf"},
       "reply_timeout_seconds is inf, want 0.1 to 86400"},
      {{"--model=m.pt", "--sample_shape=3", "--receive_buffer_bytes=1"},
       "receive_buffer_bytes is 1, want 1048576"},
      {{"--model=m.pt", "--sample_shape=3", "--shard=a=1,a=2"},
       "\"a\" is given twice"},
      {{"--model=live.pt", "--sample_shape=3"}, "model_name is \"live\""},
      {{"--model=m.pt", "--modle=x"}, "unknown flag --modle=x"},
  };
  for (const Case& c : cases) {
    const auto options = FromFlags(c.arguments);
    ASSERT_FALSE(options.ok()) << c.message;
    EXPECT_THAT(Message(options.status()), HasSubstr(c.message));
  }
}

TEST(ConfigTest, AShardIsAPathOrANameAndAPath) {
  EXPECT_EQ(ParseNamedShard("a=b/c.bin").name, "a");
  EXPECT_EQ(ParseNamedShard("a=b/c.bin").path, "b/c.bin");
  EXPECT_EQ(ParseNamedShard("dir/c d.bin").name, "c_d");
  EXPECT_EQ(ParseNamedShard("dir/c d.bin").path, "dir/c d.bin");
  EXPECT_EQ(ParseNamedShard("dir/x=y.bin").path, "dir/x=y.bin");
}

TEST(ConfigTest, CalibrationCanNameAListedShard) {
  const auto options = FromFlags({"--model=m.pt", "--shard=a=1.bin,b=2.bin",
                                  "--calibration_shard=b", "--test_shard=a"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->models[0].quantization.calibration_shard, "b");
  EXPECT_EQ(options->models[0].quantization.test_shard, "a");
  EXPECT_EQ(options->models[0].quantization.shards.size(), 2);
}

TEST(LabelsTest, AreLinesOfAFile) {
  const auto labels =
      ReadLabels(WriteFile("labels", "cat\r\n  dog \nfish\n\n"));
  ASSERT_TRUE(labels.ok()) << labels.status();
  EXPECT_THAT(*labels, ElementsAre("cat", "dog", "fish"));
  EXPECT_THAT(Message(ReadLabels(WriteFile("gap", "cat\n\nfish\n")).status()),
              HasSubstr("line 2 is empty"));
  EXPECT_THAT(Message(ReadLabels(WriteFile("none", "\n")).status()),
              HasSubstr("has 0 class names"));
  EXPECT_EQ(ReadLabels("/no/labels").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ConfigTest, SeveralModelsInheritWhatTheyDontSay) {
  const std::string path = WriteFile("models.textproto", R"(
    mean: [0.5, 0.5, 0.5]
    max_batch: 4
    workers: 2
    shard { name: "common" path: "common.npy" }
    models { model: "a.pt" calibration_shard: "common" }
    models {
      model: "dir/b.pt" model_name: "second" max_batch: 16 mean: 0.1
      shard { name: "own" path: "own.npy" } calibration_shard: "own"
    })");
  const auto options = FromFlags({"--config=" + path});
  ASSERT_TRUE(options.ok()) << options.status();
  ASSERT_EQ(options->models.size(), 2);
  const ServedModelConfig& a = options->models[0];
  const ServedModelConfig& b = options->models[1];
  EXPECT_EQ(a.model.name, "a");
  EXPECT_EQ(a.model.max_batch, 4);
  EXPECT_THAT(a.model.preprocessing.mean, ElementsAre(0.5, 0.5, 0.5));
  EXPECT_EQ(a.quantization.shards.size(), 1);
  EXPECT_EQ(b.model.name, "second");
  EXPECT_EQ(b.model.path, "dir/b.pt");
  EXPECT_EQ(b.model.max_batch, 16);
  EXPECT_THAT(b.model.preprocessing.mean, ElementsAre(0.1));
  EXPECT_EQ(b.quantization.shards.size(), 2);
  EXPECT_EQ(b.quantization.calibration_shard, "own");
  EXPECT_EQ(options->serving.workers, 2);
}

TEST(ConfigTest, RefusesModelsThatContradict) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(model: "c.pt" models { model: "a.pt" sample_shape: 1 })",
       "set beside models"},
      {R"(models { model: "a.pt" sample_shape: 1 port: 5 })",
       "port is set in models { }, but it is of the whole server"},
      {R"(models { model: "a.pt" sample_shape: 1 models { } })",
       "models is set in models { }"},
      {R"(models { model: "a.pt" sample_shape: 1 }
          models { model: "b/a.pt" sample_shape: 1 })",
       "two models are named \"a\""},
      {R"(models { model: "a.pt" sample_shape: 1 samples: -1 }
          models { model: "b.pt" sample_shape: 1 })",
       "model a: samples is -1"},
  };
  for (const auto& [text, error] : cases) {
    const std::string path = WriteFile("models.textproto", text);
    EXPECT_THAT(std::string(FromFlags({"--config=" + path}).status().message()),
                HasSubstr(error));
  }
}

TEST(StatusMappingTest, KeepsCodesAndMessagesOfWhatCallersDid) {
  const auto mapped =
      ToGrpcStatus(absl::InvalidArgumentError("input \"x\" is bad"));
  EXPECT_EQ(mapped.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(mapped.error_message(), "input \"x\" is bad");
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(ToGrpcStatus(absl::AbortedError("busy")).error_code(),
            grpc::StatusCode::ABORTED);
}

TEST(StatusMappingTest, KeepsPathsAndPointersToItself) {
  for (const absl::Status& status :
       {absl::InternalError("/secret at 0x7fff"),
        absl::UnknownError("/secret at 0x7fff"),
        absl::DataLossError("/secret at 0x7fff")}) {
    const auto mapped = ToGrpcStatus(status);
    EXPECT_EQ(mapped.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_THAT(mapped.error_message(), Not(HasSubstr("secret")));
    EXPECT_THAT(mapped.error_message(), Not(HasSubstr("0x")));
    EXPECT_THAT(mapped.error_message(), HasSubstr("see the server's log"));
  }
}

TEST(ConfigTest, LogFormatsAndLevelsAreParsed) {
  EXPECT_EQ(*ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(*ParseLogLevel("warn"), LogLevel::kWarn);
  EXPECT_EQ(
      ParseLogFormat("xml").status(),
      absl::InvalidArgumentError("log_format is \"xml\", want plain or json"));
  EXPECT_EQ(ParseLogLevel("loud").status(),
            absl::InvalidArgumentError(
                "log_level is \"loud\", want debug, info, warn or error"));
}

}  // namespace
}  // namespace quantserve
