#include "quant/data/npy.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "quant/base/status_macros.h"
#include "quant/data/readers.h"

namespace quantserve {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// NumPy's own limit for headers that it trusts.
constexpr int64_t kMaxHeader = 10000;

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
bool ParseDescr(absl::string_view descr, ElementType* type) {
  if (descr.size() != 3) return false;
  const char order = descr[0];
  type->kind = descr[1];
  type->width = descr[2] - '0';
  const int width = type->width;
  if (order != '<' && !(order == '|' && width == 1)) return false;
  switch (type->kind) {
    case 'u':
    case 'i':
      return width == 1 || width == 2 || width == 4 || width == 8;
    case 'f':
      return width == 4 || width == 8;
    case 'b':
      return width == 1;
  }
  return false;
}

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("is not a whole .npy array: ", what));
}

// The header's text; the stream stands on the first element afterwards.
absl::StatusOr<std::string> ReadHeaderText(ByteStream* stream) {
  constexpr size_t kFixed = 8;  // magic, version
  std::string fixed(kFixed, '\0');
  if (stream->remaining() < 12) {
    return Malformed("it does not start as NumPy's files do");
  }
  QS_RETURN_IF_ERROR(stream->Read(absl::MakeSpan(fixed)));
  if (!absl::StartsWith(fixed, kMagic)) {
    return Malformed("it does not start as NumPy's files do");
  }
  const int major = static_cast<uint8_t>(fixed[6]);
  if (major < 1 || major > 3) {
    return Malformed(
        absl::StrCat("format version ", major, ", expected 1, 2 or 3"));
  }
  std::string raw(major == 1 ? 2 : 4, '\0');
  QS_RETURN_IF_ERROR(stream->Read(absl::MakeSpan(raw)));
  int64_t length = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    length |= int64_t{static_cast<uint8_t>(raw[i])} << (8 * i);
  }
  if (length > kMaxHeader || length > stream->remaining()) {
    return Malformed(absl::StrCat(
        "the header's length is ", length, ", but ", stream->remaining(),
        " bytes follow and at most ", kMaxHeader, " are allowed"));
  }
  std::string text(length, '\0');
  QS_RETURN_IF_ERROR(stream->Read(absl::MakeSpan(text)));
  return text;
}

}  // namespace

absl::StatusOr<StoredArray> OpenNpy(std::unique_ptr<ByteStream> stream) {
  QS_ASSIGN_OR_RETURN(const std::string text, ReadHeaderText(stream.get()));
  const std::optional<Header> header = ParseHeader(text);
  if (!header || !header->descr) {
    return Malformed("its header can't be read");
  }
  StoredArray array;
  if (!ParseDescr(*header->descr, &array.type)) {
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
  const int64_t want = array.elements * array.type.width;
  if (stream->remaining() != want) {
    return Malformed(absl::StrCat(stream->remaining(), " bytes of data, shape ",
                                  ShapeString(array.shape), " of ",
                                  *header->descr, " has ", want));
  }
  array.name = kOnlyInput;
  array.type_name = absl::StrCat("of type ", std::string(1, array.type.kind),
                                 array.type.width);
  array.stream = std::move(stream);
  return array;
}

absl::StatusOr<RawShard> ReadNpyShard(std::unique_ptr<ByteStream> file,
                                      const ReadShardOptions& options) {
  std::vector<StoredArray> inputs(1);
  QS_ASSIGN_OR_RETURN(inputs[0], OpenNpy(std::move(file)));
  return ReadArrays(inputs, nullptr, options);
}

}  // namespace quantserve
