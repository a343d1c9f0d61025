#include "quant/data/arrays.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

absl::Status Wrong(const StoredArray& array, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(array.where, what));
}

absl::Status CheckInput(const StoredArray& input, const StoredArray& first) {
  DType dtype;
  if (!SampleDType(input.type, &dtype)) {
    return Wrong(
        input, absl::StrCat("has samples ", input.type_name,
                            ", expected uint8, float32, float64 or integers"));
  }
  if (input.shape.empty() || input.elements == 0) {
    return Wrong(input,
                 absl::StrCat("has samples of shape ", ShapeString(input.shape),
                              ", expected [N, ...] with at least one sample"));
  }
  if (input.shape[0] != first.shape[0]) {
    return Wrong(input,
                 absl::StrCat("has ", input.shape[0], " samples, expected ",
                              first.shape[0], " as ", first.name, " has"));
  }
  return absl::OkStatus();
}

absl::Status CheckLabels(const StoredArray& labels, int64_t samples) {
  const Shape& shape = labels.shape;
  if (shape.size() != 1 && !(shape.size() == 2 && shape[1] == 1)) {
    return Wrong(labels,
                 absl::StrCat("has labels of shape ", ShapeString(shape),
                              ", expected one number for each sample"));
  }
  if (labels.type.kind != 'i' && labels.type.kind != 'u') {
    return Wrong(labels, absl::StrCat("has labels ", labels.type_name,
                                      ", expected integers"));
  }
  if (labels.elements == 0) {
    return Wrong(labels, "has no labels, expected one for each sample");
  }
  if (labels.elements != samples) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", labels.elements, " labels for ", samples, " samples"));
  }
  return absl::OkStatus();
}

// Of one sample in memory, all inputs together.
absl::StatusOr<int64_t> SampleBytes(const std::vector<StoredArray>& inputs) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 2;
  int64_t total = 0;
  for (const StoredArray& input : inputs) {
    DType dtype = DType::kU8;
    SampleDType(input.type, &dtype);
    const int64_t bytes = input.elements / input.shape[0] *
                          static_cast<int64_t>(DTypeSize(dtype));
    if (bytes > kMax - total) {
      return Wrong(input, "has too many elements in a sample");
    }
    total += bytes;
  }
  return total;
}

// Skipping what is compressed takes time: `report` is called now and then, and
// its error returned.
absl::Status Skip(ByteStream* stream, int64_t bytes,
                  const std::function<absl::Status()>& report) {
  constexpr int64_t kPiece = int64_t{64} << 20;
  for (; bytes > kPiece; bytes -= kPiece) {
    QS_RETURN_IF_ERROR(stream->Skip(kPiece));
    QS_RETURN_IF_ERROR(report());
  }
  return stream->Skip(bytes);
}

absl::StatusOr<Tensor> ReadSamples(const StoredArray& input,
                                   const DrawnSamples& drawn,
                                   const JobControl& control) {
  Shape shape = input.shape;
  shape[0] = drawn.size();
  DType dtype = DType::kU8;
  SampleDType(input.type, &dtype);
  Tensor samples(dtype, std::move(shape));
  int64_t done = 0;
  QS_RETURN_IF_ERROR(ReadRows(
      input.stream.get(), input.elements / input.shape[0] * input.type.width,
      drawn, control, [&](absl::string_view piece) {
        StoreElements(input.type, piece, done, &samples);
        done += static_cast<int64_t>(piece.size()) / input.type.width;
        return absl::OkStatus();
      }));
  return samples;
}

}  // namespace

absl::Status ReadRows(
    ByteStream* stream, int64_t row_bytes, const DrawnSamples& drawn,
    const JobControl& control,
    const std::function<absl::Status(absl::string_view)>& sink) {
  constexpr int64_t kPiece = 1 << 20;
  const int64_t piece_rows = std::max<int64_t>(1, kPiece / row_bytes);
  std::string buffer(
      std::min(kPiece, std::min(piece_rows, drawn.size()) * row_bytes), '\0');
  int64_t i = 0;     // rows passed on
  int64_t next = 0;  // the row that the stream stands on
  const auto report = [&] { return control.Report("read", i, drawn.size()); };
  while (i < drawn.size()) {
    int64_t run = 1;  // neighbours are read in one go
    while (run < piece_rows && i + run < drawn.size() &&
           drawn[i + run] == drawn[i] + run) {
      ++run;
    }
    QS_RETURN_IF_ERROR(Skip(stream, (drawn[i] - next) * row_bytes, report));
    for (int64_t left = run * row_bytes; left > 0;) {
      const auto piece = absl::MakeSpan(buffer).first(
          std::min<int64_t>(left, static_cast<int64_t>(buffer.size())));
      QS_RETURN_IF_ERROR(stream->Read(piece));
      QS_RETURN_IF_ERROR(sink(absl::string_view(piece.data(), piece.size())));
      left -= static_cast<int64_t>(piece.size());
    }
    next = drawn[i] + run;
    i += run;
    QS_RETURN_IF_ERROR(report());
  }
  QS_RETURN_IF_ERROR(Skip(stream, stream->remaining(), report));
  return stream->Finish();
}

absl::StatusOr<RawShard> ReadArrays(const std::vector<StoredArray>& inputs,
                                    const StoredArray* labels,
                                    const ReadShardOptions& options) {
  for (const StoredArray& input : inputs) {
    QS_RETURN_IF_ERROR(CheckInput(input, inputs[0]));
  }
  const int64_t population = inputs[0].shape[0];
  if (labels != nullptr) QS_RETURN_IF_ERROR(CheckLabels(*labels, population));
  QS_ASSIGN_OR_RETURN(const int64_t sample_bytes, SampleBytes(inputs));
  RawShard shard;
  QS_ASSIGN_OR_RETURN(shard.drawn,
                      DrawSamples(population, sample_bytes, options));
  for (const StoredArray& input : inputs) {
    absl::StatusOr<Tensor> samples =
        ReadSamples(input, shard.drawn, options.control);
    if (absl::IsCancelled(samples.status())) return samples.status();
    if (!samples.ok()) return Wrong(input, samples.status().message());
    shard.inputs.push_back({input.name, *std::move(samples)});
  }
  if (labels == nullptr) return shard;
  const absl::Status read =
      ReadRows(labels->stream.get(), labels->type.width, shard.drawn, {},
               [&](absl::string_view piece) {
                 AppendLabels(labels->type, piece, &shard.labels);
                 return absl::OkStatus();
               });
  if (!read.ok()) return Wrong(*labels, read.message());
  return shard;
}

}  // namespace quantserve
