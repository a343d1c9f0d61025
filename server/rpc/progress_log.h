// The progress of jobs in the log: each phase's start, and a line every few
// seconds.
#pragma once

#include <functional>
#include <string>

#include "quant/base/job_control.h"

namespace quantserve {

// To be called from one thread.
std::function<void(const std::string& job, const Progress&)> ProgressLog();

}  // namespace quantserve
