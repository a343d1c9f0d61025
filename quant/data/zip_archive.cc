#include "quant/data/zip_archive.h"

#include <zip.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/data/file.h"

namespace quantserve {
namespace {

constexpr zip_int64_t kMaxEntries = 4096;
constexpr size_t kMaxName = 512;
// Deflate can't do better than 1032 to 1; what claims more is a bomb.
constexpr uint64_t kMaxRatio = 1100;

absl::Status Bad(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("is not a whole ZIP archive: ", what));
}

// Names are looked up, never used as paths; odd ones mean a foreign file.
bool SaneName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
}

absl::Status BadEntry(absl::string_view name, absl::string_view what) {
  return Bad(absl::StrCat("entry \"", name, "\": ", what));
}

class EntryStream : public ByteStream {
 public:
  EntryStream(std::string name, zip_file_t* file, uint64_t size)
      : ByteStream(static_cast<int64_t>(size)),
        name_(std::move(name)),
        file_(file, zip_fclose) {}

  absl::Status Finish() override {
    QS_RETURN_IF_ERROR(ByteStream::Finish());
    // The checksum is compared when the end is reached, so read up to it.
    char beyond;
    const zip_int64_t n = zip_fread(file_.get(), &beyond, 1);
    if (n < 0) return BadEntry(name_, zip_file_strerror(file_.get()));
    if (n > 0) {
      return BadEntry(name_, "it is longer than the directory says");
    }
    return absl::OkStatus();
  }

 private:
  absl::Status DoRead(absl::Span<char> to) override {
    while (!to.empty()) {
      const zip_int64_t n = zip_fread(file_.get(), to.data(), to.size());
      if (n < 0) return BadEntry(name_, zip_file_strerror(file_.get()));
      if (n == 0) {
        return BadEntry(name_, "it is shorter than the directory says");
      }
      to.remove_prefix(n);
    }
    return absl::OkStatus();
  }

  const std::string name_;
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file_;
};

}  // namespace

void ZipArchive::Discard::operator()(zip* archive) const {
  zip_discard(archive);
}

absl::StatusOr<ZipArchive> ZipArchive::OpenFile(const std::string& path,
                                                int64_t max_bytes) {
  uint64_t file_bytes = 0;
  {
    QS_ASSIGN_OR_RETURN(const auto file, FileStream::Open(path));
    file_bytes = file->remaining();
  }
  if (max_bytes < 0 || file_bytes > static_cast<uint64_t>(max_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", file_bytes, " bytes, at most ", max_bytes, " are allowed"));
  }
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source =
      zip_source_file_create(path.c_str(), 0, -1, &error);
  zip_t* const opened =
      source == nullptr
          ? nullptr
          : zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
  if (opened == nullptr) {
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    if (source != nullptr) zip_source_free(source);
    return Bad(why);
  }
  zip_error_fini(&error);
  ZipArchive archive;
  archive.zip_.reset(opened);

  const zip_int64_t entries = zip_get_num_entries(opened, 0);
  if (entries < 1 || entries > kMaxEntries) {
    return Bad(absl::StrCat(entries, " entries, expected 1 to ", kMaxEntries));
  }
  std::set<std::string> seen;
  uint64_t total = 0;
  for (zip_int64_t i = 0; i < entries; ++i) {
    zip_stat_t stat;
    constexpr zip_uint64_t kWanted = ZIP_STAT_NAME | ZIP_STAT_SIZE |
                                     ZIP_STAT_COMP_SIZE |
                                     ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(opened, i, 0, &stat) != 0 ||
        (stat.valid & kWanted) != kWanted || !SaneName(stat.name)) {
      return Bad(absl::StrCat("entry ", i, " has no usable name or size"));
    }
    if (!seen.insert(stat.name).second) {
      return Bad(absl::StrCat("two entries are called \"", stat.name, "\""));
    }
    if (stat.encryption_method != ZIP_EM_NONE) {
      return Bad(absl::StrCat("entry \"", stat.name, "\" is encrypted"));
    }
    if (stat.comp_size > file_bytes || stat.size / kMaxRatio > stat.comp_size) {
      return Bad(absl::StrCat("entry \"", stat.name, "\" claims to unpack ",
                              stat.comp_size, " bytes to ", stat.size));
    }
    // comp_size is bounded, so neither the size nor the sum overflows.
    total += stat.size;
    if (max_bytes < 0 || total > static_cast<uint64_t>(max_bytes)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "unpacks to more than the allowed ", max_bytes, " bytes"));
    }
    archive.names_.push_back(stat.name);
    archive.sizes_.push_back(stat.size);
  }
  return archive;
}

bool ZipArchive::Has(absl::string_view name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

absl::StatusOr<std::unique_ptr<ByteStream>> ZipArchive::Open(
    absl::string_view name) {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has no entry \"", name, "\""));
  }
  const size_t index = found - names_.begin();
  zip_file_t* const file = zip_fopen_index(zip_.get(), index, 0);
  if (file == nullptr) return BadEntry(name, zip_strerror(zip_.get()));
  return std::make_unique<EntryStream>(std::string(name), file, sizes_[index]);
}

absl::StatusOr<std::string> ZipArchive::Read(absl::string_view name) {
  constexpr int64_t kMaxBytes = 2 << 20;
  QS_ASSIGN_OR_RETURN(const auto stream, Open(name));
  if (stream->remaining() > kMaxBytes) {
    return BadEntry(name, absl::StrCat("it has ", stream->remaining(),
                                       " bytes, expected at most ", kMaxBytes));
  }
  std::string content(stream->remaining(), '\0');
  QS_RETURN_IF_ERROR(stream->Read(absl::MakeSpan(content)));
  QS_RETURN_IF_ERROR(stream->Finish());
  return content;
}

}  // namespace quantserve
