// Programs started by tests.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace quantserve::testing {

// A running program, its output kept in files. Killed at the end, if it still
// runs. Not thread-safe.
class Process {
 public:
  // Looked up in PATH if the name has no slash.
  explicit Process(const std::vector<std::string>& command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal) const;
  pid_t pid() const { return pid_; }
  bool running();
  // The exit code; 128 + the signal that ended it; -1 if `timeout` passed, and
  // then it is killed.
  int Wait(absl::Duration timeout);

  std::string out() const;
  std::string err() const;

 private:
  std::string out_path_, err_path_;
  pid_t pid_ = -1;
  bool over_ = false;
  int code_ = -1;
};

struct Finished {
  int code = -1;
  std::string out, err;
};

// Runs a program to its end.
Finished RunProcess(const std::vector<std::string>& command,
                    absl::Duration timeout = absl::Minutes(2));

// Whether PATH has a program of that name.
bool HasProgram(const std::string& name);

}  // namespace quantserve::testing
