#include "server/rpc/stop_signal.h"

#include <pthread.h>

#include <cstdlib>
#include <utility>

namespace quantserve {
namespace {
constexpr int kQuit = SIGUSR1;  // the destructor's own
}  // namespace

StopSignal::StopSignal() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, kQuit);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  thread_ = std::thread([this] { Loop(); });
}

StopSignal::~StopSignal() {
  Disarm();
  pthread_kill(thread_.native_handle(), kQuit);
  thread_.join();
}

void StopSignal::OnStop(std::function<void()> action) {
  {
    MutexLock lock(&mu_);
    if (!came_) {
      action_ = std::move(action);
      return;
    }
  }
  action();
}

void StopSignal::Disarm() {
  MutexLock lock(&mu_);
  action_ = nullptr;
  while (acting_) changed_.Wait(&mu_);
}

void StopSignal::Await() {
  MutexLock lock(&mu_);
  while (!came_) changed_.Wait(&mu_);
}

bool StopSignal::came() const {
  MutexLock lock(&mu_);
  return came_;
}

void StopSignal::Loop() {
  pthread_setname_np(pthread_self(), "signals");
  while (true) {
    int signal = 0;
    if (sigwait(&signals_, &signal) != 0) continue;
    if (signal == kQuit) return;
    std::function<void()> action;
    {
      MutexLock lock(&mu_);
      if (came_) std::_Exit(1);
      came_ = true;
      acting_ = true;
      action.swap(action_);
    }
    changed_.NotifyAll();
    if (action) action();
    {
      MutexLock lock(&mu_);
      acting_ = false;
    }
    changed_.NotifyAll();
  }
}

}  // namespace quantserve
