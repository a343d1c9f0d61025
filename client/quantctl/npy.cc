#include "client/quantctl/npy.h"

#include <zip.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace quantserve {
namespace {

constexpr int64_t kMaxHeader = 1 << 16;
constexpr int64_t kMaxSample = int64_t{1} << 28;  // bytes
constexpr int kMaxInputs = 64;

// Fills so many bytes; false if there are not as many.
using ReadFn = std::function<bool(char*, int64_t)>;

absl::Status Bad(const std::string& what) {
  return absl::InvalidArgumentError(what);
}

struct Header {
  char kind = 0;  // 'f', 'i', 'u', 'b'
  int64_t width = 0;
  std::vector<int64_t> shape;
};

// What follows 'key': in the header, which is a Python dict.
std::string Value(const std::string& header, const std::string& key) {
  const size_t at = header.find(absl::StrCat("'", key, "':"));
  if (at == std::string::npos) return "";
  const size_t from = header.find_first_not_of(' ', at + key.size() + 3);
  if (from == std::string::npos) return "";
  const char* end = header[from] == '(' ? ")" : ",}";
  return header.substr(from, header.find_first_of(end, from) - from);
}

absl::StatusOr<Header> ReadHeader(const ReadFn& read) {
  char start[12] = {};
  if (!read(start, 10) || std::memcmp(start, "\x93NUMPY", 6) != 0 ||
      start[6] < 1 || start[6] > 3) {
    return Bad("is no .npy array, expected what numpy.save writes");
  }
  uint32_t length = static_cast<uint8_t>(start[8]) |
                    uint32_t{static_cast<uint8_t>(start[9])} << 8;
  if (start[6] > 1) {
    if (!read(start + 10, 2)) return Bad("is cut off in its header");
    length |= uint32_t{static_cast<uint8_t>(start[10])} << 16 |
              uint32_t{static_cast<uint8_t>(start[11])} << 24;
  }
  if (length > kMaxHeader) return Bad("has a header that is too long");
  std::string text(length, '\0');
  if (!read(text.data(), length)) return Bad("is cut off in its header");

  Header header;
  const std::string type = Value(text, "descr");
  // '<f4', quotes included.
  const bool plain = type.size() == 5 && (type[1] == '<' || type[1] == '|') &&
                     std::strchr("fiub", type[2]) != nullptr &&
                     std::strchr("1248", type[3]) != nullptr;
  if (!plain || (type[2] == 'f' && type[3] < '4')) {
    return Bad(
        absl::StrCat("has elements of type ",
                     absl::StrReplaceAll(absl::CHexEscape(type.substr(0, 32)),
                                         {{"\\'", "'"}}),  // those around it
                     ", expected <f4, <f8 or integers"));
  }
  header.kind = type[2];
  header.width = type[3] - '0';
  if (Value(text, "fortran_order") != "False") {
    return Bad("is in Fortran order, expected numpy.ascontiguousarray's");
  }
  std::string dims = Value(text, "shape");
  dims.erase(0, 1);  // "("
  for (absl::string_view part :
       absl::StrSplit(dims, ',', absl::SkipWhitespace())) {
    int64_t dim = 0;
    if (!absl::SimpleAtoi(part, &dim) || dim < 0) {
      return Bad("has a shape that is none");
    }
    header.shape.push_back(dim);
  }
  if (header.shape.empty() || header.shape.size() > 16) {
    return Bad("holds no samples, expected the shape [N, ...]");
  }
  return header;
}

template <typename From, typename To>
std::string Convert(const std::string& from) {
  std::string to(from.size() / sizeof(From) * sizeof(To), '\0');
  for (size_t i = 0; i < from.size() / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, from.data() + i * sizeof(From), sizeof(From));
    const To converted = static_cast<To>(value);
    std::memcpy(to.data() + i * sizeof(To), &converted, sizeof(To));
  }
  return to;
}

void SetElements(const Header& header, std::string bytes, NpySample* sample) {
  const bool is_signed = header.kind == 'i';
  sample->dtype = v1::INT64;
  if (header.kind == 'f') {
    sample->dtype = v1::FP32;
    sample->data =
        header.width == 4 ? std::move(bytes) : Convert<double, float>(bytes);
  } else if (header.width == 8) {
    sample->data = std::move(bytes);
  } else if (header.width == 4) {
    sample->data = is_signed ? Convert<int32_t, int64_t>(bytes)
                             : Convert<uint32_t, int64_t>(bytes);
  } else if (header.width == 2) {
    sample->data = is_signed ? Convert<int16_t, int64_t>(bytes)
                             : Convert<uint16_t, int64_t>(bytes);
  } else if (is_signed) {
    sample->data = Convert<int8_t, int64_t>(bytes);
  } else {
    sample->dtype = v1::UINT8;
    sample->data = std::move(bytes);
  }
}

// Piece by piece: no memory is taken for what a short file only claims.
bool ReadBytes(const ReadFn& read, int64_t size, std::string* bytes) {
  constexpr int64_t kPiece = 1 << 20;
  bytes->clear();
  for (int64_t at = 0; at < size; at += kPiece) {
    const int64_t piece = std::min(kPiece, size - at);
    bytes->resize(static_cast<size_t>(at + piece));
    if (!read(bytes->data() + at, piece)) return false;
  }
  return true;
}

absl::StatusOr<NpySample> ReadSample(const ReadFn& read, int64_t index) {
  const auto header = ReadHeader(read);
  if (!header.ok()) return header.status();
  if (index < 0 || index >= header->shape[0]) {
    return Bad(absl::StrCat("has ", header->shape[0],
                            " samples, flag --index is ", index));
  }
  NpySample sample;
  sample.shape.assign(header->shape.begin() + 1, header->shape.end());
  int64_t size = header->width;
  for (int64_t dim : sample.shape) {
    if (dim > 0 && size > kMaxSample / dim) {
      return Bad(absl::StrCat("has samples larger than ", kMaxSample,
                              " bytes, expected fewer"));
    }
    size *= dim;
  }
  // Nor could one ever get to the end of them.
  if (size == 0) return Bad("has samples without elements");
  std::string bytes;
  for (int64_t i = 0; i <= index; ++i) {
    if (!ReadBytes(read, size, &bytes)) {
      return Bad(absl::StrCat("is cut off in sample ", i));
    }
  }
  SetElements(*header, std::move(bytes), &sample);
  return sample;
}

using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;
using Member = std::unique_ptr<zip_file_t, decltype(&zip_fclose)>;

// Nothing if there is no such member.
absl::StatusOr<std::vector<NpySample>> ReadMember(zip_t* archive,
                                                  const std::string& name,
                                                  int64_t index) {
  const Member member(zip_fopen(archive, (name + ".npy").c_str(), 0),
                      zip_fclose);
  if (member == nullptr) return std::vector<NpySample>{};
  auto sample = ReadSample(
      [&member](char* to, int64_t count) {
        return zip_fread(member.get(), to, static_cast<zip_uint64_t>(count)) ==
               count;
      },
      index);
  if (!sample.ok()) {
    return Bad(
        absl::StrCat("holds ", name, ", which ", sample.status().message()));
  }
  return std::vector<NpySample>{*std::move(sample)};
}

absl::StatusOr<std::vector<NpySample>> ReadArchive(const std::string& path,
                                                   int64_t index) {
  const Archive archive(zip_open(path.c_str(), ZIP_RDONLY, nullptr),
                        zip_discard);
  if (archive == nullptr) return Bad("is no .npz archive");
  std::vector<NpySample> samples;
  for (int i = 0; i < kMaxInputs; ++i) {
    auto next = ReadMember(archive.get(), absl::StrCat("input_", i), index);
    if (!next.ok()) return next.status();
    if (next->empty()) break;
    samples.push_back(std::move(next->front()));
  }
  for (const char* name : {"x", "images", "inputs", "data"}) {
    if (!samples.empty()) return samples;
    auto only = ReadMember(archive.get(), name, index);
    if (!only.ok()) return only.status();
    samples = *std::move(only);
  }
  if (!samples.empty()) return samples;
  return Bad("holds no samples, expected \"x\" or \"input_0\", \"input_1\" …");
}

}  // namespace

bool IsNumPyFile(const std::string& path) {
  return absl::EndsWith(path, ".npy") || absl::EndsWith(path, ".npz");
}

absl::StatusOr<std::vector<NpySample>> ReadNumPyFile(const std::string& path,
                                                     int64_t index) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  absl::StatusOr<std::vector<NpySample>> samples;
  if (absl::EndsWith(path, ".npz")) {
    samples = ReadArchive(path, index);
  } else {
    auto sample = ReadSample(
        [&file](char* to, int64_t count) {
          return static_cast<bool>(file.read(to, count));
        },
        index);
    if (sample.ok()) {
      samples = std::vector<NpySample>{*std::move(sample)};
    } else {
      samples = sample.status();
    }
  }
  if (samples.ok()) return samples;
  return Bad(absl::StrCat(path, " ", samples.status().message()));
}

}  // namespace quantserve
