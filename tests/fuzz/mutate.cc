#include "tests/fuzz/mutate.h"

#include <algorithm>

namespace quantserve::fuzz {

void MutateText(size_t max_size, std::string* text) {
  const size_t size = text->size();
  const size_t room = std::min(max_size, size + size / 2 + 16);
  if (size > room) return;
  text->resize(room);
  text->resize(
      LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text->data()), size, room));
}

size_t Put(const std::string& text, uint8_t* data, size_t max_size) {
  if (text.size() > max_size) return 0;
  std::copy(text.begin(), text.end(), data);
  return text.size();
}

}  // namespace quantserve::fuzz
