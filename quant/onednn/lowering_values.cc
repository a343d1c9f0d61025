// Nodes that change the form of numbers: onto a grid, off it, through a table.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/lowerer.h"
#include "quant/onednn/parallel.h"
#include "quant/plan/reference.h"

namespace quantserve::onednn {

std::shared_ptr<const UnaryTable> Lowerer::Requantize(
    ValueId in, ValueId out, const std::optional<Clamp>& clamp) const {
  const ByteGrid from = Grid(in), to = Grid(out);
  auto table = std::make_shared<UnaryTable>();
  bool identity = true;
  for (int byte = 0; byte < 256; ++byte) {
    double real = static_cast<double>(from.scale) *
                  ((byte ^ from.flip) - from.zero_point);
    if (clamp) {
      real = std::min<double>(std::max<double>(real, clamp->lo), clamp->hi);
    }
    (*table)[byte] = static_cast<uint8_t>(
        QuantizeReal(real, *plan().value(out).quant) ^ to.flip);
    identity = identity && (*table)[byte] == byte;
  }
  if (identity) return nullptr;
  return table;
}

void Lowerer::AddLookUp(const std::string& name,
                        std::shared_ptr<const UnaryTable> table,
                        int64_t elements, BufferId in, BufferId out) {
  const int threads = options_.threads;
  program_.AddKernel(name, {in, out},
                     [table = std::move(table), elements, in, out,
                      threads](const RunArgs& run) {
                       ParallelRows(threads, elements, [&](Rows rows) {
                         Kernels().look_up(table->data(), rows.end - rows.begin,
                                           run.at<uint8_t>(in) + rows.begin,
                                           run.at<uint8_t>(out) + rows.begin);
                       });
                       return absl::OkStatus();
                     });
}

absl::Status Lowerer::LowerFrame(const Node& node, const Frame& frame,
                                 ValueId out) {
  const ByteGrid grid = Grid(out);
  const FrameShape shape = frame.shape;
  const int threads = options_.threads;
  const int index =
      forms_[frame.image].empty() ? input_index_[frame.image] : -1;
  BufferId in = kNoBuffer;
  if (index < 0) {
    QS_ASSIGN_OR_RETURN(in, Read(frame.image, Layout::kRowMajor));
  }
  const int64_t row = shape.width * shape.channels;
  const BufferId scratch = program_.NewBuffer(threads * row);
  const int64_t frame_bytes =
      shape.frame_height() * shape.frame_width() * shape.frame_channels;
  const BufferId to = program_.NewBuffer(options_.batch * frame_bytes);
  SetForm(out, {Layout::kChannelsLast, Native(out), to});
  std::vector<BufferId> buffers = {scratch, to};
  if (in != kNoBuffer) buffers.push_back(in);
  program_.AddKernel(
      absl::StrCat(node.name, " frame"), std::move(buffers),
      [=](const RunArgs& run) {
        const float* images =
            index >= 0 ? run.inputs[index] : run.at<float>(in);
        for (int64_t n = 0; n < run.batch; ++n) {
          ParallelRows(threads, shape.frame_height(), [&](Rows rows) {
            const int64_t thread = threads > 1 ? omp_get_thread_num() : 0;
            Kernels().quantize_frame(grid, shape, rows,
                                     images + n * row * shape.height,
                                     run.at<uint8_t>(scratch) + thread * row,
                                     run.at<uint8_t>(to) + n * frame_bytes);
          });
        }
        return absl::OkStatus();
      });
  return absl::OkStatus();
}

absl::Status Lowerer::LowerQuantize(const Node& node,
                                    const NodeLayouts& layouts) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  for (const auto& [read, frame] : lowered_.frames) {
    if (frame.quantized == out) return LowerFrame(node, frame, read);
  }
  const Shape& shape = ShapeOf(in);
  if (shape.size() == 4 && layouts.in[0] == Layout::kRowMajor &&
      !SameBytes(shape, Layout::kRowMajor, Layout::kChannelsLast)) {
    Frame plain;
    plain.image = in;
    plain.quantized = out;
    plain.shape.channels = plain.shape.frame_channels = shape[1];
    plain.shape.height = shape[2];
    plain.shape.width = shape[3];
    return LowerFrame(node, plain, out);
  }
  const bool direct = forms_[in].empty() && layouts.in[0] == Layout::kRowMajor;
  const int index = direct ? input_index_[in] : -1;
  BufferId from = kNoBuffer;
  if (!direct) {
    QS_ASSIGN_OR_RETURN(from, Read(in, layouts.in[0]));
  }
  const BufferId to = Write(out, layouts.out);
  std::vector<BufferId> buffers = {to};
  if (!direct) buffers.push_back(from);
  const ByteGrid grid = Grid(out);
  const int64_t sample = plan().value(in).elements();
  const int threads = options_.threads;
  program_.AddKernel(
      absl::StrCat(node.name, " quantize"), std::move(buffers),
      [=](const RunArgs& run) {
        const float* x = index >= 0 ? run.inputs[index] : run.at<float>(from);
        ParallelRows(threads, run.batch * sample, [&](Rows rows) {
          Kernels().quantize(grid, rows.end - rows.begin, x + rows.begin,
                             run.at<uint8_t>(to) + rows.begin);
        });
        return absl::OkStatus();
      });
  return absl::OkStatus();
}

absl::Status Lowerer::LowerDequantize(const Node& node,
                                      const NodeLayouts& layouts) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  QS_ASSIGN_OR_RETURN(const BufferId from, Read(in, layouts.in[0]));
  const BufferId to = Write(out, layouts.out);
  const ByteGrid grid = Grid(in);
  const int64_t elements = Bytes(in, layouts.in[0], ElementType::kU8);
  const int threads = options_.threads;
  program_.AddKernel(absl::StrCat(node.name, " dequantize"), {from, to},
                     [=](const RunArgs& run) {
                       ParallelRows(threads, elements, [&](Rows rows) {
                         Kernels().dequantize(
                             grid, rows.end - rows.begin,
                             run.at<uint8_t>(from) + rows.begin,
                             run.at<float>(to) + rows.begin);
                       });
                       return absl::OkStatus();
                     });
  return absl::OkStatus();
}

absl::Status Lowerer::LowerClamp(const Node& node, const NodeLayouts& layouts) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  QS_ASSIGN_OR_RETURN(const BufferId from, Read(in, layouts.in[0]));
  const int64_t elements =
      StoredElements(ShapeOf(in), options_.batch, layouts.in[0]);
  if (plan().value(in).quant) {
    auto table = Requantize(in, out, node.clamp);
    if (!table) {
      SetForm(out, {layouts.out, Native(out), from});
      return absl::OkStatus();
    }
    AddLookUp(absl::StrCat(node.name, " clamp"), std::move(table), elements,
              from, Write(out, layouts.out));
    return absl::OkStatus();
  }
  const BufferId to = Write(out, layouts.out);
  const Clamp clamp = *node.clamp;
  const int threads = options_.threads;
  program_.AddKernel(
      absl::StrCat(node.name, " clamp"), {from, to}, [=](const RunArgs& run) {
        ParallelRows(threads, elements, [&](Rows rows) {
          Kernels().clamp_f32(clamp.lo, clamp.hi, rows.end - rows.begin,
                              run.at<float>(from) + rows.begin,
                              run.at<float>(to) + rows.begin);
        });
        return absl::OkStatus();
      });
  return absl::OkStatus();
}

absl::Status Lowerer::LowerUnary(const Node& node, const NodeLayouts& layouts) {
  const ValueId in = node.inputs[0], out = node.outputs[0];
  const auto& attrs = std::get<UnaryAttrs>(node.attrs);
  QS_ASSIGN_OR_RETURN(const BufferId from, Read(in, layouts.in[0]));
  const BufferId to = Write(out, layouts.out);
  if (plan().value(in).quant) {
    // The plan's table is over codes; ours is over the bytes that are held.
    auto table = std::make_shared<UnaryTable>();
    const uint8_t flip_in = Grid(in).flip, flip_out = Grid(out).flip;
    for (int byte = 0; byte < 256; ++byte) {
      (*table)[byte] =
          static_cast<uint8_t>((*attrs.table)[byte ^ flip_in] ^ flip_out);
    }
    AddLookUp(absl::StrCat(node.name, " table"), std::move(table),
              Bytes(in, layouts.in[0], ElementType::kU8), from, to);
    return absl::OkStatus();
  }
  // Elementwise, so the order of the elements does not matter to it.
  const Shape shape = ShapeOf(in);
  const std::shared_ptr<const Island> island = attrs.island;
  program_.AddKernel(absl::StrCat(node.name, " ", attrs.function), {from, to},
                     [=](const RunArgs& run) {
                       Shape batch_shape = shape;
                       batch_shape[0] = run.batch;
                       return island->Run({run.at<const float>(from)},
                                          {batch_shape}, {run.at<float>(to)},
                                          {batch_shape});
                     });
  return absl::OkStatus();
}

}  // namespace quantserve::onednn
