// Mutations that keep an input's outer form, so that fuzzing gets behind the
// parsers of foreign formats: protobuf's text format and ZIP with its
// checksums. All return the new size, at most `max_size`, for
// LLVMFuzzerCustomMutator to return, and are the same for the same `seed`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>

#include "absl/types/span.h"
#include "google/protobuf/message.h"

// libFuzzer's own mutation.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace quantserve::fuzz {

// libFuzzer's own mutation of a text.
void MutateText(size_t max_size, std::string* text);

// Puts `text` into `data`; 0, and nothing is put, if it is longer than
// `max_size`.
size_t Put(const std::string& text, uint8_t* data, size_t max_size);

// A message in text format: something in it is set, changed, cleared, added,
// removed or doubled, then `mend`, if there is one, may repair it. `prototype`
// says of which type, and is changed.
size_t MutateMessage(
    uint8_t* data, size_t size, size_t max_size, unsigned int seed,
    google::protobuf::Message* prototype,
    const std::function<void(google::protobuf::Message*)>& mend = nullptr);

// A ZIP archive: one of its entries is mutated, renamed, doubled or removed.
size_t MutateZip(uint8_t* data, size_t size, size_t max_size,
                 unsigned int seed);

}  // namespace quantserve::fuzz
