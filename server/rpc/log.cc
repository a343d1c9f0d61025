#include "server/rpc/log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <atomic>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace quantserve {
namespace {

constexpr size_t kMostBytes = 4096;

// What the entry that this thread is writing is about; null: no call.
thread_local const CallRecord* entry_call = nullptr;

std::atomic<bool> grpc_errors_are_news{true};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

const char* NameOf(spdlog::level::level_enum level) {
  if (level >= spdlog::level::err) return "error";
  if (level == spdlog::level::warn) return "warn";
  return level == spdlog::level::info ? "info" : "debug";
}

std::string CodeOf(const CallRecord& call) {
  return absl::StatusCodeToString(call.status.code());
}

std::string MessageOf(const CallRecord& call) {
  const absl::string_view message = call.status.message();
  return {message.data(), message.size()};
}

class PlainFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& entry,
              spdlog::memory_buf_t& out) override {
    std::string line =
        absl::FormatTime("%Y-%m-%d %H:%M:%E3S", absl::FromChrono(entry.time),
                         absl::LocalTimeZone());
    absl::StrAppend(
        &line, " ", std::string(1, absl::ascii_toupper(NameOf(entry.level)[0])),
        " ", EscapeForLog({entry.payload.data(), entry.payload.size()}), "\n");
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<formatter> clone() const override {
    return std::make_unique<PlainFormatter>();
  }
};

class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& entry,
              spdlog::memory_buf_t& out) override {
    nlohmann::ordered_json line;
    line["time"] =
        absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", absl::FromChrono(entry.time),
                         absl::UTCTimeZone());
    line["level"] = NameOf(entry.level);
    const CallRecord* const call = entry_call;
    line["message"] =
        Cut(call == nullptr
                ? absl::string_view(entry.payload.data(), entry.payload.size())
                : call->status.message());
    if (call != nullptr) AddCall(*call, &line);
    // ASCII only, and what is no UTF-8 replaced: every reader takes it.
    const std::string text =
        line.dump(-1, ' ', /*ensure_ascii=*/true,
                  nlohmann::ordered_json::error_handler_t::replace) +
        "\n";
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }

 private:
  static std::string Cut(absl::string_view text) {
    return std::string(text.substr(0, kMostBytes));
  }
  static void AddCall(const CallRecord& call, nlohmann::ordered_json* line) {
    (*line)["rpc"] = Cut(call.rpc);
    (*line)["code"] = CodeOf(call);
    (*line)["duration"] = absl::ToDoubleSeconds(call.duration);
    (*line)["peer"] = Cut(call.peer);
    if (!call.model.empty()) (*line)["model"] = Cut(call.model);
    if (!call.variant.empty()) (*line)["variant"] = Cut(call.variant);
    if (!call.id.empty()) (*line)["id"] = Cut(call.id);
  }
};

void LogGrpc(gpr_log_func_args* args) {
  const bool error = args->severity == GPR_LOG_SEVERITY_ERROR;
  const bool news = error && grpc_errors_are_news.load();
  spdlog::log(news ? spdlog::level::warn : spdlog::level::debug, "grpc: {}",
              args->message);
}

// Says, among other things, that a caller's string is no UTF-8.
void LogProtobuf(google::protobuf::LogLevel level, const char*, int,
                 const std::string& message) {
  spdlog::log(level == google::protobuf::LOGLEVEL_FATAL ? spdlog::level::err
                                                        : spdlog::level::debug,
              "protobuf: {}", message);
}

}  // namespace

void SetUpLog(const LogConfig& config) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("quantserve", sink);
  if (config.format == LogFormat::kJson) {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_formatter(std::make_unique<PlainFormatter>());
  }
  logger->set_level(ToSpdlog(config.level));
  spdlog::set_default_logger(std::move(logger));
  gpr_set_log_function(LogGrpc);
  google::protobuf::SetLogHandler(LogProtobuf);
}

bool LogsAt(LogLevel level) {
  return spdlog::default_logger_raw()->should_log(ToSpdlog(level));
}

void LogCall(LogLevel level, const CallRecord& call) {
  std::string text = absl::StrCat(
      call.rpc, " from ", call.peer, ": ", CodeOf(call), " after ",
      absl::FormatDuration(absl::Trunc(call.duration, absl::Microseconds(1))));
  if (!call.model.empty()) absl::StrAppend(&text, ", model ", call.model);
  if (!call.variant.empty()) absl::StrAppend(&text, ", variant ", call.variant);
  if (!call.id.empty()) absl::StrAppend(&text, ", id \"", call.id, "\"");
  if (!call.status.ok()) absl::StrAppend(&text, ": ", MessageOf(call));
  entry_call = &call;
  spdlog::log(ToSpdlog(level), "{}", text);
  entry_call = nullptr;
}

QuietGrpc::QuietGrpc() { grpc_errors_are_news = false; }
QuietGrpc::~QuietGrpc() { grpc_errors_are_news = true; }

std::string EscapeForLog(absl::string_view text) {
  std::string escaped;
  for (const char c : text.substr(0, kMostBytes)) {
    if (c == '\\') {
      escaped += "\\\\";
    } else if (c == '\n') {
      escaped += "\\n";
    } else if (c == '\r') {
      escaped += "\\r";
    } else if (c == '\t') {
      escaped += "\\t";
    } else if (absl::ascii_isprint(static_cast<unsigned char>(c))) {
      escaped += c;
    } else {
      absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

}  // namespace quantserve
