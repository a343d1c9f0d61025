// Which implementation each product uses, kept between runs of the program: a
// restart does not measure again.
#pragma once

#include <map>
#include <string>

namespace quantserve::onednn {

// Keyed by node and shape, see ChoiceKey. Valid only for the oneDNN version,
// the instruction set, the processor and the thread count that it was measured
// with.
class Choices {
 public:
  explicit Choices(int threads) : threads_(threads) {}

  // Reads what ToJson wrote. Anything else (another version, another
  // processor, damaged text) leaves no choices: they are only a hint.
  void Load(const std::string& json);
  std::string ToJson() const;

  // Empty if not known.
  std::string Find(const std::string& key) const;
  void Set(const std::string& key, const std::string& candidate);

 private:
  const int threads_;
  std::map<std::string, std::string> candidates_;
};

}  // namespace quantserve::onednn
