#include "quant/data/zip_archive.h"

#include <zip.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

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

}  // namespace

void ZipArchive::Discard::operator()(zip* archive) const {
  zip_discard(archive);
}

absl::StatusOr<ZipArchive> ZipArchive::Open(const std::string& bytes,
                                            int64_t max_bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source =
      zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
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
    if (stat.comp_size > bytes.size() ||
        stat.size / kMaxRatio > stat.comp_size) {
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

absl::StatusOr<std::string> ZipArchive::Read(absl::string_view name) {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has no entry \"", name, "\""));
  }
  const size_t index = found - names_.begin();
  const auto broken = [&](absl::string_view what) {
    return Bad(absl::StrCat("entry \"", name, "\": ", what));
  };
  zip_file_t* const file = zip_fopen_index(zip_.get(), index, 0);
  if (file == nullptr) return broken(zip_strerror(zip_.get()));
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> closer(file,
                                                                 zip_fclose);
  std::string content(sizes_[index], '\0');
  size_t done = 0;
  while (done < content.size()) {
    const zip_int64_t n =
        zip_fread(file, content.data() + done, content.size() - done);
    if (n < 0) return broken(zip_file_strerror(file));
    if (n == 0) return broken("it is shorter than the directory says");
    done += n;
  }
  // The checksum is compared when the end is reached, so read up to it.
  char beyond;
  const zip_int64_t n = zip_fread(file, &beyond, 1);
  if (n < 0) return broken(zip_file_strerror(file));
  if (n > 0) return broken("it is longer than the directory says");
  return content;
}

}  // namespace quantserve
