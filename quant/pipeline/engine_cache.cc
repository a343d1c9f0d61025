#include "quant/pipeline/engine_cache.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace quantserve {

namespace fs = std::filesystem;

std::string EngineCache::Load(const std::string& key) const {
  constexpr uintmax_t kMaxBytes = 16 << 20;
  if (directory_.empty()) return "";
  const fs::path path = fs::path(directory_) / key;
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error || size > kMaxBytes) return "";
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return in ? text.str() : "";
}

void EngineCache::Store(const std::string& key, const std::string& text) const {
  if (directory_.empty()) return;
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) return;
  const fs::path path = fs::path(directory_) / key;
  const fs::path partial = absl::StrCat(path.string(), ".", getpid());
  std::ofstream out(partial, std::ios::binary);
  out << text;
  out.close();
  if (out) fs::rename(partial, path, error);
  if (!out || error) fs::remove(partial, error);
}

}  // namespace quantserve
