#include <zip.h>

#include <memory>
#include <utility>
#include <vector>

#include "tests/fuzz/mutate.h"

namespace quantserve::fuzz {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;
using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;

constexpr zip_uint64_t kLargestEntry = 1 << 16;
constexpr zip_int64_t kMostEntries = 64;

Archive Open(zip_source_t* source, int flags) {
  zip_error_t error;
  zip_error_init(&error);
  Archive archive(
      source == nullptr ? nullptr : zip_open_from_source(source, flags, &error),
      zip_discard);
  if (archive == nullptr) zip_source_free(source);
  zip_error_fini(&error);
  return archive;
}

// None if it is no archive, or one with entries that are too large.
Entries Unpack(const uint8_t* data, size_t size) {
  const Archive archive =
      Open(zip_source_buffer_create(data, size, 0, nullptr), ZIP_RDONLY);
  if (archive == nullptr) return {};
  Entries entries;
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < std::min(count, kMostEntries); ++i) {
    const auto index = static_cast<zip_uint64_t>(i);
    zip_stat_t about;
    if (zip_stat_index(archive.get(), index, 0, &about) != 0 ||
        about.size > kLargestEntry) {
      return {};
    }
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(
        zip_fopen_index(archive.get(), index, 0), zip_fclose);
    std::string content(about.size, '\0');
    // What can't be read is zeros from there on.
    if (file != nullptr) zip_fread(file.get(), content.data(), content.size());
    entries.emplace_back(about.name, std::move(content));
  }
  return entries;
}

std::string Pack(const Entries& entries) {
  zip_source_t* const source = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  Archive archive = Open(source, ZIP_CREATE | ZIP_TRUNCATE);
  if (archive == nullptr) return "";
  zip_source_keep(source);
  const std::unique_ptr<zip_source_t, decltype(&zip_source_free)> kept(
      source, zip_source_free);
  for (const auto& [name, content] : entries) {
    const zip_int64_t index = zip_file_add(
        archive.get(), name.c_str(),
        zip_source_buffer(archive.get(), content.data(), content.size(), 0),
        ZIP_FL_OVERWRITE);
    if (index < 0) continue;
    const auto at = static_cast<zip_uint64_t>(index);
    zip_set_file_compression(archive.get(), at, ZIP_CM_STORE, 0);
    zip_file_set_mtime(archive.get(), at, 0, 0);
  }
  if (zip_close(archive.get()) != 0) return "";
  archive.release();  // closing was the end of it
  zip_stat_t about;
  if (zip_source_stat(source, &about) != 0 || zip_source_open(source) != 0) {
    return "";
  }
  std::string bytes(about.size, '\0');
  zip_source_read(source, bytes.data(), bytes.size());
  zip_source_close(source);
  return bytes;
}

}  // namespace

size_t MutateZip(uint8_t* data, size_t size, size_t max_size,
                 unsigned int seed) {
  std::minstd_rand random(seed);
  if (random() % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Entries entries = Unpack(data, size);
  if (entries.empty()) return LLVMFuzzerMutate(data, size, max_size);
  const size_t i = random() % entries.size();
  switch (random() % 16) {
    case 0:
      MutateText(64, &entries[i].first);
      break;
    case 1:
      entries.emplace_back(entries[i].first + "_", entries[i].second);
      break;
    case 2:
      entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    default:
      MutateText(kLargestEntry, &entries[i].second);
  }
  const size_t put = Put(Pack(entries), data, max_size);
  return put > 0 ? put : LLVMFuzzerMutate(data, size, max_size);
}

}  // namespace quantserve::fuzz
