#include "quant/data/npy.h"

#include <cstring>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "quant/base/status_macros.h"
#include "quant/data/elements.h"

namespace quantserve {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// NumPy's own limit for headers that it trusts.
constexpr size_t kMaxHeader = 10000;

// Reads the header's dict, a Python literal with three known keys.
class HeaderParser {
 public:
  explicit HeaderParser(absl::string_view text) : text_(text) {}

  bool Literal(absl::string_view token) {
    Skip();
    return absl::ConsumePrefix(&text_, token);
  }
  std::optional<std::string> String() {
    Skip();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return {};
    const size_t end = text_.find(text_[0], 1);
    if (end == absl::string_view::npos) return {};
    std::string value(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return value;
  }
  std::optional<bool> Bool() {
    if (Literal("True")) return true;
    if (Literal("False")) return false;
    return {};
  }
  // "(3, 4)", "(3,)", "()".
  std::optional<Shape> Tuple() {
    if (!Literal("(")) return {};
    Shape shape;
    while (!Literal(")")) {
      Skip();
      size_t digits = 0;
      while (digits < text_.size() && absl::ascii_isdigit(text_[digits])) {
        ++digits;
      }
      int64_t dim = 0;
      if (!absl::SimpleAtoi(text_.substr(0, digits), &dim)) return {};
      text_.remove_prefix(digits);
      shape.push_back(dim);
      if (Literal(",")) continue;
      if (!Literal(")")) return {};
      break;
    }
    return shape;
  }
  bool AtEnd() {
    Skip();
    return text_.empty();
  }

 private:
  void Skip() { text_ = absl::StripLeadingAsciiWhitespace(text_); }
  absl::string_view text_;
};

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;
};

std::optional<Header> ParseHeader(absl::string_view text) {
  HeaderParser parser(text);
  Header header;
  if (!parser.Literal("{")) return {};
  while (!parser.Literal("}")) {
    const auto key = parser.String();
    if (!key || !parser.Literal(":")) return {};
    if (*key == "descr") {
      header.descr = parser.String();
      // A list: fields of a structured array.
      if (!header.descr) header.descr = "a structure";
      if (*header.descr == "a structure") return header;
    } else if (*key == "fortran_order") {
      header.fortran_order = parser.Bool();
      if (!header.fortran_order) return {};
    } else if (*key == "shape") {
      header.shape = parser.Tuple();
      if (!header.shape) return {};
    } else {
      return {};
    }
    if (parser.Literal(",")) continue;
    if (!parser.Literal("}")) return {};
    break;
  }
  if (!parser.AtEnd()) return {};
  return header;
}

// "<f4" to kind and width; false for what isn't little-endian numbers.
bool ParseDescr(absl::string_view descr, NpyArray* array) {
  if (descr.size() != 3) return false;
  const char order = descr[0];
  array->kind = descr[1];
  array->width = descr[2] - '0';
  if (order != '<' && !(order == '|' && array->width == 1)) return false;
  switch (array->kind) {
    case 'u':
    case 'i':
      return array->width == 1 || array->width == 2 || array->width == 4 ||
             array->width == 8;
    case 'f':
      return array->width == 4 || array->width == 8;
    case 'b':
      return array->width == 1;
  }
  return false;
}

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("is not a whole .npy array: ", what));
}

}  // namespace

absl::StatusOr<NpyArray> ParseNpy(absl::string_view bytes) {
  if (!absl::StartsWith(bytes, kMagic) || bytes.size() < 12) {
    return Malformed("it does not start as NumPy's files do");
  }
  const int major = static_cast<uint8_t>(bytes[6]);
  if (major < 1 || major > 3) {
    return Malformed(
        absl::StrCat("format version ", major, ", expected 1, 2 or 3"));
  }
  const size_t length_bytes = major == 1 ? 2 : 4;
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) {
    length |= size_t{static_cast<uint8_t>(bytes[8 + i])} << (8 * i);
  }
  bytes.remove_prefix(8 + length_bytes);
  if (length > kMaxHeader || length > bytes.size()) {
    return Malformed(absl::StrCat("the header's length is ", length, ", but ",
                                  bytes.size(), " bytes follow and at most ",
                                  kMaxHeader, " are allowed"));
  }
  const std::optional<Header> header = ParseHeader(bytes.substr(0, length));
  if (!header || !header->descr) {
    return Malformed("its header can't be read");
  }
  bytes.remove_prefix(length);
  NpyArray array;
  if (!ParseDescr(*header->descr, &array)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has the element type ", *header->descr,
        ", expected little-endian numbers such as |u1, <f4, <f8 or <i8"));
  }
  if (!header->fortran_order || !header->shape) {
    return Malformed("its header lacks fortran_order or shape");
  }
  array.shape = *header->shape;
  if (*header->fortran_order && array.shape.size() > 1) {
    return absl::InvalidArgumentError(
        "is in Fortran order, expected C order (numpy.ascontiguousarray)");
  }
  QS_ASSIGN_OR_RETURN(array.elements, NumElements(array.shape));
  const int64_t want = array.elements * array.width;
  if (static_cast<int64_t>(bytes.size()) != want) {
    return Malformed(absl::StrCat(bytes.size(), " bytes of data, shape ",
                                  ShapeString(array.shape), " of ",
                                  *header->descr, " has ", want));
  }
  array.data = bytes;
  return array;
}

absl::StatusOr<Tensor> NpySamples(const NpyArray& array) {
  if (array.kind == 'u' && array.width == 1) {
    return CopySamples<uint8_t>(array.shape, array.data);
  }
  if (array.kind == 'f' && array.width == 4) {
    return CopySamples<float>(array.shape, array.data);
  }
  if (array.kind == 'f' && array.width == 8) {
    return CopySamples<double>(array.shape, array.data);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("has samples of type ", std::string(1, array.kind),
                   array.width, ", expected u1, f4 or f8"));
}

absl::StatusOr<std::vector<int64_t>> NpyLabels(const NpyArray& array) {
  QS_RETURN_IF_ERROR(CheckLabelShape(array.shape));
  const bool is_signed = array.kind == 'i';
  if (is_signed || array.kind == 'u') {
    switch (array.width) {
      case 1:
        return is_signed ? CopyLabels<int8_t>(array.data)
                         : CopyLabels<uint8_t>(array.data);
      case 2:
        return is_signed ? CopyLabels<int16_t>(array.data)
                         : CopyLabels<uint16_t>(array.data);
      case 4:
        return is_signed ? CopyLabels<int32_t>(array.data)
                         : CopyLabels<uint32_t>(array.data);
      case 8:
        return is_signed ? CopyLabels<int64_t>(array.data)
                         : CopyLabels<uint64_t>(array.data);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("has labels of type ", std::string(1, array.kind),
                   array.width, ", expected integers"));
}

absl::StatusOr<RawShard> ReadNpyShard(absl::string_view bytes) {
  QS_ASSIGN_OR_RETURN(const NpyArray array, ParseNpy(bytes));
  RawShard shard;
  QS_ASSIGN_OR_RETURN(shard.samples, NpySamples(array));
  return shard;
}

}  // namespace quantserve
