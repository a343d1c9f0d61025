// The wall: the one place where LibTorch's exceptions become statuses.
// Include it in quant/torch only.
#pragma once

#include <torch/script.h>

#include <exception>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace quantserve {

// The first line of a LibTorch message, without source locations and stack.
std::string FirstLine(const std::exception& error);

// Runs `fn`, which returns a Status or StatusOr, in inference mode, and turns
// any exception into `code` with `what` in front. Inference mode is everywhere:
// LibTorch 2.6 fails without it in mkldnn tensors' max_pool2d, and a module
// that was loaded inside it fails outside it.
template <typename Fn>
auto BehindWall(absl::StatusCode code, absl::string_view what, Fn&& fn)
    -> decltype(fn()) {
  try {
    c10::InferenceMode guard;
    return std::forward<Fn>(fn)();
  } catch (const std::exception& error) {
    return absl::Status(code, absl::StrCat(what, ": ", FirstLine(error)));
  } catch (...) {
    return absl::Status(code, absl::StrCat(what, ": unknown exception"));
  }
}

}  // namespace quantserve
