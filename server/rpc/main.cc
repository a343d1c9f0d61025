// quantserve_server: flags, start, wait, stop.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/config.h"
#include "server/rpc/flags.h"
#include "server/rpc/log.h"
#include "server/rpc/quant_server.h"
#include "server/rpc/stop_signal.h"
#include "server/rpc/version.h"
#include "spdlog/spdlog.h"

namespace quantserve {
namespace {

enum ExitCode { kOk = 0, kFailed = 1, kUsage = 2 };

int Fail(const absl::Status& status, ExitCode code) {
  std::fprintf(stderr, "quantserve_server: %s\n",
               std::string(status.message()).c_str());
  return code;
}

// Of what nothing can be done about where it is thrown: the system has no more
// memory or threads. Anything else is our bug, and keeps its core.
[[noreturn]] void OnTerminate() {
  const char* what = nullptr;
  try {
    const std::exception_ptr thrown = std::current_exception();
    if (thrown != nullptr) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    what = "out of memory";
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again) {
      what = "too little memory for another thread, or too many threads";
    }
  } catch (...) {
  }
  if (what == nullptr) std::abort();
  std::fprintf(stderr, "quantserve_server: %s\n", what);
  std::_Exit(kFailed);
}

// The same once the log is set up: a reader of JSON gets JSON.
int Fail(const absl::Status& status, const LogConfig& log) {
  if (log.format == LogFormat::kPlain) return Fail(status, kFailed);
  spdlog::error("{}", std::string(status.message()));
  return kFailed;
}

int Serve(ServerOptions options) {
  StopSignal stop;
  auto parts = LoadParts(&options);
  if (!parts.ok()) return Fail(parts.status(), options.log);
  auto server = QuantServer::Listen(options, *std::move(parts));
  if (!server.ok()) return Fail(server.status(), options.log);

  stop.OnStop([&server] {
    spdlog::info("stopping: finishing what is in flight");
    (*server)->BeginShutdown();
  });
  const absl::Status started = (*server)->StartUp();
  if (started.ok()) {
    stop.Await();
  } else if (!stop.came()) {
    stop.Disarm();
    return Fail(started, options.log);
  }
  stop.Disarm();
  if (!(*server)->Shutdown()) {
    spdlog::warn("stopped with requests unfinished: the time was over");
  } else {
    spdlog::info("stopped");
  }
  return kOk;
}

int Main(const std::vector<std::string>& arguments) {
  std::set_terminate(OnTerminate);
  // Debian builds Abseil with its search for cycles of locks, which watches
  // every lock that gRPC takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  SetUpLog({});
  const CommandLine& line = ServerCommandLine();
  const auto parsed = Parse(line, arguments);
  if (!parsed.ok()) return Fail(parsed.status(), kUsage);
  if (parsed->help) {
    std::fputs(UsagePage(line).c_str(), stdout);
    return kOk;
  }
  if (VersionRequested()) {
    std::printf("quantserve_server %s\n", kVersion);
    return kOk;
  }
  const auto config = ConfigFromFlags(parsed->given);
  if (!config.ok()) return Fail(config.status(), kUsage);
  auto options = ToServerOptions(*config);
  if (!options.ok()) return Fail(options.status(), kUsage);
  SetUpLog(options->log);
  return Serve(*std::move(options));
}

}  // namespace
}  // namespace quantserve

int main(int argc, char** argv) {
  return quantserve::Main({argv + 1, argv + argc});
}
