#include "server/core/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "quant/base/memory.h"

namespace quantserve {
namespace {

prometheus::MetricFamily Family(const char* name, const char* help,
                                prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return {name, help, type, {metric}};
}

// Fields of /proc/self/stat, numbered from 0 behind the command's name; see
// proc(5), whose numbers are larger by 3.
std::vector<double> ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  // The name may hold anything, so the last parenthesis counts.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string state;
  fields >> state;
  std::vector<double> numbers = {0};
  for (double number; fields >> number;) numbers.push_back(number);
  return numbers;
}

double BootTime() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("btime ", 0) == 0) return std::stod(line.substr(6));
  }
  return 0;
}

double OpenFiles() {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return 0;
  double count = -3;  // ".", ".." and the directory itself
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

}  // namespace

ProcessMetrics::ProcessMetrics(std::function<int64_t()> queue_depth,
                               std::function<int64_t()> busy_workers)
    : queue_depth_(std::move(queue_depth)),
      busy_workers_(std::move(busy_workers)) {}

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  constexpr auto kGauge = prometheus::MetricType::Gauge;
  constexpr auto kCounter = prometheus::MetricType::Counter;
  std::vector<prometheus::MetricFamily> families;
  const std::vector<double> stat = ReadStat();
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  if (stat.size() > 21) {
    families.push_back(Family("process_cpu_seconds_total",
                              "User and system time spent.", kCounter,
                              (stat[11] + stat[12]) / ticks));
    families.push_back(Family("process_start_time_seconds",
                              "Start of the process since the Unix epoch.",
                              kGauge, BootTime() + stat[19] / ticks));
    families.push_back(Family("process_virtual_memory_bytes",
                              "Virtual memory size.", kGauge, stat[20]));
    families.push_back(
        Family("process_resident_memory_bytes", "Resident memory size.", kGauge,
               stat[21] * static_cast<double>(sysconf(_SC_PAGESIZE))));
  }
  if (const auto memory = ReadProcessMemory(); memory.ok()) {
    families.push_back(
        Family("quantserve_peak_resident_memory_bytes",
               "Largest resident memory size so far.", kGauge,
               static_cast<double>(memory->peak_resident_bytes)));
    families.push_back(
        Family("quantserve_private_memory_bytes",
               "Resident memory without the pages of program files.", kGauge,
               static_cast<double>(memory->private_bytes)));
  }
  families.push_back(Family("process_open_fds", "Open file descriptors.",
                            kGauge, OpenFiles()));
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  families.push_back(Family("process_max_fds",
                            "Largest number of open file descriptors.", kGauge,
                            static_cast<double>(limit.rlim_cur)));
  if (queue_depth_) {
    families.push_back(Family("quantserve_queue_depth",
                              "Requests that wait for a worker.", kGauge,
                              static_cast<double>(queue_depth_())));
  }
  if (busy_workers_) {
    families.push_back(Family("quantserve_busy_workers",
                              "Workers that run a batch.", kGauge,
                              static_cast<double>(busy_workers_())));
  }
  return families;
}

}  // namespace quantserve
