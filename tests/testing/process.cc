#include "tests/testing/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

extern char** environ;

namespace quantserve::testing {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Process::Process(const std::vector<std::string>& command) {
  static std::atomic<int> count{0};
  const std::string base =
      absl::StrCat(::testing::TempDir(), "process.", getpid(), ".", ++count);
  out_path_ = base + ".out";
  err_path_ = base + ".err";
  std::vector<char*> argv;
  for (const std::string& word : command) {
    argv.push_back(const_cast<char*>(word.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
  posix_spawn_file_actions_addopen(&actions, 1, out_path_.c_str(), kFlags,
                                   0600);
  posix_spawn_file_actions_addopen(&actions, 2, err_path_.c_str(), kFlags,
                                   0600);
  over_ = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(),
                       environ) != 0;
  EXPECT_FALSE(over_) << "cannot start " << command[0];
  posix_spawn_file_actions_destroy(&actions);
}

Process::~Process() {
  if (running()) {
    Signal(SIGKILL);
    Wait(absl::Seconds(10));
  }
  unlink(out_path_.c_str());
  unlink(err_path_.c_str());
}

void Process::Signal(int signal) const {
  if (!over_) kill(pid_, signal);
}

bool Process::running() {
  if (over_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  over_ = true;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

int Process::Wait(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (running()) {
    if (absl::Now() > deadline) {
      Signal(SIGKILL);
      waitpid(pid_, nullptr, 0);
      over_ = true;
      return code_ = -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return code_;
}

std::string Process::out() const { return ReadAll(out_path_); }
std::string Process::err() const { return ReadAll(err_path_); }

Finished RunProcess(const std::vector<std::string>& command,
                    absl::Duration timeout) {
  Process process(command);
  Finished finished;
  finished.code = process.Wait(timeout);
  finished.out = process.out();
  finished.err = process.err();
  return finished;
}

bool HasProgram(const std::string& name) {
  return RunProcess({"sh", "-c", "command -v " + name}).code == 0;
}

}  // namespace quantserve::testing
