#include "quant/data/pt_tensor.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

using Kind = PickleValue::Kind;

struct StorageType {
  const char* name;
  ElementType type;
};
constexpr StorageType kStorages[] = {
    {"torch ByteStorage", {'u', 1}},  {"torch CharStorage", {'i', 1}},
    {"torch ShortStorage", {'i', 2}}, {"torch IntStorage", {'i', 4}},
    {"torch LongStorage", {'i', 8}},  {"torch FloatStorage", {'f', 4}},
    {"torch DoubleStorage", {'f', 8}}};

absl::Status BadTensor(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("holds a tensor that can't be read: ", what));
}

std::optional<Shape> IntTuple(const PickleValue& value) {
  if (value.kind != Kind::kTuple) return {};
  Shape numbers;
  for (const PickleValue* item : value.items) {
    if (item->kind != Kind::kInt) return {};
    numbers.push_back(item->number);
  }
  return numbers;
}

bool IsRowMajor(const Shape& shape, const Shape& stride) {
  int64_t expected = 1;
  for (size_t d = shape.size(); d > 0; --d) {
    if (shape[d - 1] != 1 && stride[d - 1] != expected) return false;
    expected *= shape[d - 1];
  }
  return true;
}

// Copies the elements that shape and stride select, in row-major order. All
// offsets have been checked.
std::string Gather(absl::string_view data, int width, int64_t elements,
                   const Shape& shape, const Shape& stride) {
  std::string out;
  out.reserve(elements * width);
  Shape index(shape.size(), 0);
  int64_t at = 0;
  for (int64_t i = 0; i < elements; ++i) {
    out.append(data.data() + at * width, width);
    for (size_t d = shape.size(); d > 0; --d) {
      at += stride[d - 1];
      if (++index[d - 1] < shape[d - 1]) break;
      at -= stride[d - 1] * shape[d - 1];
      index[d - 1] = 0;
    }
  }
  return out;
}

// The elements of a storage that a tensor covers.
struct View {
  int64_t offset = 0;
  Shape shape;
  Shape stride;
  int64_t elements = 0;
};

// INVALID_ARGUMENT unless every element lies inside `storage_elements`.
absl::Status CheckView(const View& view, int64_t storage_elements) {
  int64_t last = view.offset;
  if (view.offset < 0 || view.offset > storage_elements ||
      view.stride.size() != view.shape.size()) {
    return BadTensor("its offset or strides are wrong");
  }
  for (size_t d = 0; d < view.shape.size(); ++d) {
    const int64_t steps = view.shape[d] - 1;
    const int64_t room = storage_elements - 1 - last;
    if (view.stride[d] < 0 || (view.elements > 0 && view.stride[d] > 0 &&
                               steps > room / view.stride[d])) {
      return BadTensor(absl::StrCat("shape ", ShapeString(view.shape),
                                    " with strides ", ShapeString(view.stride),
                                    " from ", view.offset, " on leaves its ",
                                    storage_elements, " elements"));
    }
    if (view.elements > 0) last += steps * view.stride[d];
  }
  if (view.elements > 0 && last >= storage_elements) {
    return BadTensor("it begins behind its elements");
  }
  return absl::OkStatus();
}

// storage: the persistent id ("storage", type, key, location, elements).
absl::StatusOr<StoredArray> OpenView(const PickleValue& storage,
                                     const View& view,
                                     const std::string& folder,
                                     const ReadShardOptions& options,
                                     ZipArchive* archive) {
  if (storage.kind != Kind::kPersistent ||
      storage.items[0]->kind != Kind::kTuple ||
      storage.items[0]->items.size() < 5) {
    return BadTensor("it has no storage");
  }
  const auto& id = storage.items[0]->items;
  StoredArray array;
  for (const StorageType& type : kStorages) {
    if (id[1]->text == type.name) array.type = type.type;
  }
  const int width = array.type.width;
  if (width == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("holds a tensor in a ", id[1]->text,
                     ", expected uint8, float32, float64 or integers"));
  }
  const auto too_large = [&](int64_t max_bytes, absl::string_view hint) {
    return BadTensor(absl::StrCat("shape ", ShapeString(view.shape),
                                  " needs more than the allowed ", max_bytes,
                                  " bytes", hint));
  };
  // An expanded tensor has more elements than its storage has.
  if (view.elements > options.max_bytes / width) {
    return too_large(options.max_bytes, "");
  }
  QS_ASSIGN_OR_RETURN(
      array.stream, archive->Open(absl::StrCat(folder, "data/", id[2]->text)));
  // The record's own size counts, not the one that the pickle claims.
  const int64_t bytes = array.stream->remaining();
  const int64_t storage_elements = bytes / width;
  if (id[4]->kind != Kind::kInt || id[4]->number != storage_elements) {
    return BadTensor(absl::StrCat("its record has ", storage_elements,
                                  " elements, the pickle says ",
                                  id[4]->number));
  }
  QS_RETURN_IF_ERROR(CheckView(view, storage_elements));
  array.type_name = absl::StrCat("in a ", id[1]->text);
  array.shape = view.shape;
  array.elements = view.elements;
  QS_RETURN_IF_ERROR(array.stream->Skip(view.offset * width));
  if (IsRowMajor(view.shape, view.stride)) return array;
  const int64_t rest = array.stream->remaining();
  if (std::max(view.elements * width, rest) > options.max_sample_bytes) {
    return too_large(options.max_sample_bytes,
                     " to be put in order, expected a contiguous tensor "
                     "(torch.Tensor.contiguous)");
  }
  std::string record(rest, '\0');
  QS_RETURN_IF_ERROR(array.stream->Read(absl::MakeSpan(record)));
  QS_RETURN_IF_ERROR(array.stream->Finish());
  array.bytes_in_memory = view.elements * width;
  array.stream = std::make_unique<MemoryStream>(
      Gather(record, width, view.elements, view.shape, view.stride));
  return array;
}

}  // namespace

// _rebuild_tensor_v2(storage, offset, shape, stride, …), perhaps inside a
// _rebuild_parameter(tensor, …).
absl::StatusOr<StoredArray> OpenPtTensor(const PickleValue& outer,
                                         const std::string& folder,
                                         const ReadShardOptions& options,
                                         ZipArchive* archive) {
  const PickleValue& value = outer.IsCall("torch._utils _rebuild_parameter", 1)
                                 ? outer.argument(0)
                                 : outer;
  if (!value.IsCall("torch._utils _rebuild_tensor_v2", 4)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "holds ",
        value.kind == Kind::kCall ? absl::StrCat("a ", value.items[0]->text)
                                  : "something else",
        " where a tensor is expected"));
  }
  const std::optional<Shape> shape = IntTuple(value.argument(2));
  const std::optional<Shape> stride = IntTuple(value.argument(3));
  if (value.argument(1).kind != Kind::kInt || !shape || !stride) {
    return BadTensor("its offset, shape or strides are no numbers");
  }
  View view{value.argument(1).number, *shape, *stride, 0};
  // Nobody takes the step of a dimension of one element: it may be any number,
  // and must not take part in sums.
  for (size_t d = 0; d < std::min(shape->size(), stride->size()); ++d) {
    if (view.shape[d] == 1) view.stride[d] = 0;
  }
  QS_ASSIGN_OR_RETURN(view.elements, NumElements(view.shape));
  return OpenView(value.argument(0), view, folder, options, archive);
}

}  // namespace quantserve
