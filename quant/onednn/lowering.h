// From a plan to a Program: which layouts, which primitives, in which buffers.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "quant/onednn/frames.h"
#include "quant/onednn/product.h"
#include "quant/onednn/program.h"
#include "quant/onednn/weight_store.h"
#include "quant/plan/plan.h"

namespace quantserve::onednn {

struct LoweringOptions {
  int64_t batch = 1;
  int threads = 1;
  bool bf16 = false;  // products of an FP32 plan compute in BF16
};

// A plan with what every batch size needs to know about it. `plan` has its
// padding explicit where a zero point is not 0.
struct LoweredPlan {
  explicit LoweredPlan(Plan p);
  Plan plan;
  FrameMap frames;
  std::vector<ElementType> types;  // of each value as its node writes it
  // Whether a kConv2d or kLinear reads the value.
  std::vector<bool> read_by_product;
};

bool IsProduct(const Node& node);

// What a product is for this batch size: scales, zero points and bias folded.
ProductShape ShapeOfProduct(const LoweredPlan& lowered, const Node& node,
                            const LoweringOptions& options);

// The weights of `node` as `shape` wants them: widened where a frame is. Either
// the plan's own memory or `storage`.
const void* PlainWeights(const Node& node, const ProductShape& shape,
                         std::vector<int8_t>* storage);

// The layouts that a node reads and writes, given what its inputs were written
// in. `choice` is the candidate of a product, else null.
struct NodeLayouts {
  std::vector<Layout> in;
  Layout out = Layout::kRowMajor;
};
NodeLayouts LayoutsOf(const Plan& plan, const Node& node,
                      const std::vector<Layout>& written,
                      const Candidate* choice);

// `choices[i]` is the candidate of plan.nodes[i], null for other nodes. The
// program refers to `lowered` and `store`; both must outlive it.
absl::StatusOr<Program> Lower(const LoweredPlan& lowered,
                              const std::vector<const Candidate*>& choices,
                              const LoweringOptions& options,
                              WeightStore* store);

}  // namespace quantserve::onednn
