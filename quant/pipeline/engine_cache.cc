#include "quant/pipeline/engine_cache.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "quant/base/atomic_file.h"

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
  WriteFileAtomically((fs::path(directory_) / key).string(), text)
      .IgnoreError();  // it costs time only
}

}  // namespace quantserve
