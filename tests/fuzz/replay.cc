// Runs a fuzz target without libFuzzer, for compilers that have none and as a
// regression test: every seed as it is, and each with a few hundred mutations,
// the same at every run.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) size_t LLVMFuzzerCustomMutator(
    uint8_t* data, size_t size, size_t max_size, unsigned int seed);
// What libFuzzer has for targets' own mutators to call.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

constexpr unsigned int kMutations = 200;
constexpr size_t kLargest = 1 << 16;

std::minstd_rand& Random() {
  static std::minstd_rand random;
  return random;
}

std::string Read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void Run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()),
                         input.size());
}

std::string Mutated(std::string input, unsigned int seed) {
  const size_t size = input.size();
  input.resize(std::max(kLargest, size));
  auto* const data = reinterpret_cast<uint8_t*>(input.data());
  input.resize(LLVMFuzzerCustomMutator != nullptr
                   ? LLVMFuzzerCustomMutator(data, size, input.size(), seed)
                   : LLVMFuzzerMutate(data, size, input.size()));
  return input;
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size,
                                   size_t max_size) {
  std::minstd_rand& random = Random();
  const size_t at = size == 0 ? 0 : random() % size;
  switch (random() % 3) {
    case 0:  // one byte more
      if (size == max_size) return size;
      std::copy_backward(data + at, data + size, data + size + 1);
      data[at] = static_cast<uint8_t>(random());
      return size + 1;
    case 1:  // a few fewer
      return size - std::min<size_t>(size, random() % 8);
    default:
      if (size > 0) data[at] = static_cast<uint8_t>(random());
      return size;
  }
}

// usage: replay FILE_OR_DIRECTORY...
int main(int argc, char** argv) {
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      paths.emplace_back(argv[i]);
      continue;
    }
    for (const auto& file : std::filesystem::directory_iterator(argv[i])) {
      paths.push_back(file.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) {
    // Before it is run: the last one named is the one that failed.
    std::fprintf(stderr, "%s\n", path.c_str());
    const std::string input = Read(path);
    Run(input);
    Random().seed(1);
    for (unsigned int i = 0; i < kMutations; ++i) {
      Run(Mutated(input, i));
    }
  }
  std::fprintf(stderr, "%zu seeds\n", paths.size());
  return paths.empty() ? 1 : 0;
}
