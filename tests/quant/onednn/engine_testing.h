// Runs a plan in the oneDNN engine and in the reference interpreter.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "quant/onednn/onednn_engine.h"
#include "quant/plan/reference.h"
#include "tests/testing/plan_builder.h"

namespace quantserve::testing {

// Two threads, except under ThreadSanitizer: the distribution's OpenMP library
// is not instrumented, so its barriers look like races.
#if defined(__SANITIZE_THREAD__)
constexpr int kTwoThreads = 1;
#else
constexpr int kTwoThreads = 2;
#endif

using Outputs = std::vector<std::vector<float>>;

inline std::vector<const float*> Pointers(
    const std::vector<std::vector<float>>& data) {
  std::vector<const float*> pointers;
  for (const auto& d : data) pointers.push_back(d.data());
  return pointers;
}

inline Outputs EmptyOutputs(const Plan& plan, int64_t batch) {
  Outputs outputs;
  for (ValueId id : plan.outputs) {
    outputs.emplace_back(batch * plan.value(id).elements(), -12345.0f);
  }
  return outputs;
}

inline std::vector<float*> Pointers(Outputs* outputs) {
  std::vector<float*> pointers;
  for (auto& o : *outputs) pointers.push_back(o.data());
  return pointers;
}

inline std::unique_ptr<OneDnnEngine> Compiled(const Plan& plan,
                                              std::vector<int64_t> ladder = {1},
                                              OneDnnOptions options = {},
                                              int threads = 1) {
  EngineOptions engine_options;
  engine_options.ladder = std::move(ladder);
  engine_options.threads = threads;
  auto engine = CompileOneDnn(plan, engine_options, options);
  EXPECT_TRUE(engine.ok()) << engine.status() << "\n" << plan.DebugString();
  if (!engine.ok()) return nullptr;
  return *std::move(engine);
}

inline Outputs RunEngine(const Engine& engine, const Plan& plan, int64_t batch,
                         const std::vector<std::vector<float>>& inputs) {
  Outputs outputs = EmptyOutputs(plan, batch);
  auto context = engine.NewContext();
  EXPECT_TRUE(context.ok()) << context.status();
  const absl::Status status =
      (*context)->Run(batch, Pointers(inputs), Pointers(&outputs));
  EXPECT_TRUE(status.ok()) << status;
  return outputs;
}

inline Outputs RunOracle(const Plan& plan, int64_t batch,
                         const std::vector<std::vector<float>>& inputs) {
  Outputs outputs = EmptyOutputs(plan, batch);
  const absl::Status status =
      RunReference(plan, batch, Pointers(inputs), Pointers(&outputs));
  EXPECT_TRUE(status.ok()) << status;
  return outputs;
}

// The largest difference, in units of `step`.
inline double MaxSteps(const std::vector<float>& a, const std::vector<float>& b,
                       double step) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double steps = std::abs(double{a[i]} - double{b[i]}) / step;
    most = std::isnan(steps) ? 1e30 : std::max(most, steps);
  }
  return most;
}

inline double MaxAbs(const std::vector<float>& a) {
  double most = 0;
  for (float x : a) most = std::max(most, std::abs(double{x}));
  return most;
}

// The grid that output `o` was on before it was dequantized. If it never was,
// three times the largest number over 255
// (where an input on the edge between two codes was rounded the other way, a
// product shows it as more than one such step).
inline double OutputStep(const Plan& plan, size_t o,
                         const std::vector<float>& numbers) {
  for (const Node& node : plan.nodes) {
    if (node.outputs[0] == plan.outputs[o] &&
        node.kind == OpKind::kDequantize) {
      return plan.value(node.inputs[0]).quant->scale;
    }
  }
  return 3 * MaxAbs(numbers) / 255;
}

// Every output, of every batch size up to the ladder's end, within `steps` of
// its grid.
inline void ExpectInt8MatchesOracle(const Plan& plan, double steps = 1.001,
                                    int threads = 1) {
  const auto engine = Compiled(plan, {1, 4}, {}, threads);
  ASSERT_NE(engine, nullptr);
  for (int64_t batch : {1, 3, 4}) {
    const auto inputs = RandomInputs(plan, batch, 99);
    const Outputs got = RunEngine(*engine, plan, batch, inputs);
    const Outputs want = RunOracle(plan, batch, inputs);
    for (size_t o = 0; o < want.size(); ++o) {
      EXPECT_LE(MaxSteps(got[o], want[o], OutputStep(plan, o, want[o])), steps)
          << "batch " << batch << ", output " << o << "\n"
          << engine->plan().DebugString();
    }
  }
}

inline void ExpectFp32MatchesOracle(const Plan& plan, double tolerance = 1e-5,
                                    int threads = 1) {
  const auto engine = Compiled(plan, {1, 4}, {}, threads);
  ASSERT_NE(engine, nullptr);
  for (int64_t batch : {1, 3, 4}) {
    const auto inputs = RandomInputs(plan, batch, 99);
    const Outputs got = RunEngine(*engine, plan, batch, inputs);
    const Outputs want = RunOracle(plan, batch, inputs);
    for (size_t o = 0; o < want.size(); ++o) {
      EXPECT_LE(MaxSteps(got[o], want[o], MaxAbs(want[o]) + 1e-30), tolerance)
          << "batch " << batch << ", output " << o << "\n"
          << engine->plan().DebugString();
    }
  }
}

}  // namespace quantserve::testing
