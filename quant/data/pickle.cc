#include "quant/data/pickle.h"

#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace quantserve {

namespace {
using Kind = PickleValue::Kind;
constexpr size_t kMaxBytes = 1 << 20;
// Of a module or of something in it. Names that are put together from others
// would otherwise grow beyond all bounds.
constexpr size_t kMaxName = 256;
}  // namespace

// The stack machine of https://docs.python.org/3/library/pickletools.html.
// Every step returns false if the pickle is malformed.
class PickleMachine {
 public:
  explicit PickleMachine(absl::string_view bytes) : bytes_(bytes) {}

  absl::StatusOr<Pickle> Run() {
    while (at_ < bytes_.size()) {
      const size_t start = at_;
      const uint8_t op = bytes_[at_++];
      if (op == '.') {
        if (stack_.size() != 1 || stack_[0] == nullptr) return Malformed(start);
        pickle_.root_ = stack_[0];
        return std::move(pickle_);
      }
      if (!Step(op)) return Malformed(start);
    }
    return absl::InvalidArgumentError("holds a truncated pickle");
  }

 private:
  static absl::Status Malformed(size_t at) {
    return absl::InvalidArgumentError(absl::StrCat(
        "holds a pickle that can't be read, from byte ", at, " on"));
  }

  bool Step(uint8_t op) {
    switch (op) {
      case 0x80:  // PROTO
        return Number(1) >= 2;
      case 0x95:  // FRAME
        return Take(8).size() == 8;
      case 'N':
        return Push(Kind::kNone);
      case 0x88:
        return Push(Kind::kBool, 1);
      case 0x89:
        return Push(Kind::kBool, 0);
      case 'K':
        return PushInt(1);
      case 'M':
        return PushInt(2);
      case 'J':
        return PushInt(4);
      case 0x8a:  // LONG1
        return PushLong();
      case 'G':  // BINFLOAT
        return Take(8).size() == 8 && Push(Kind::kFloat);
      case 'X':  // BINUNICODE
      case 'B':  // BINBYTES
        return PushString(4);
      case 0x8c:  // SHORT_BINUNICODE
      case 'C':   // SHORT_BINBYTES
        return PushString(1);
      default:
        return Structure(op);
    }
  }

  bool Structure(uint8_t op) {
    switch (op) {
      case '(':
        stack_.push_back(nullptr);
        return true;
      case ')':
        return Push(Kind::kTuple);
      case ']':
        return Push(Kind::kList);
      case '}':
        return Push(Kind::kDict);
      case 0x85:
      case 0x86:
      case 0x87:  // TUPLE1, TUPLE2, TUPLE3
        return Tuple(op - 0x84);
      case 't':
        return TupleFromMark();
      case 'a':
        return Extend(Kind::kList, 1, false);
      case 'e':
        return Extend(Kind::kList, SizeAboveMark(), true);
      case 's':
        return Extend(Kind::kDict, 2, false);
      case 'u':
        return Extend(Kind::kDict, SizeAboveMark(), true);
      case 'q':
        return Put(Number(1));
      case 'r':
        return Put(Number(4));
      case 0x94:  // MEMOIZE
        return Put(static_cast<int64_t>(memo_.size()));
      case 'h':
        return Get(Number(1));
      case 'j':
        return Get(Number(4));
      case 'c':
        return Global();
      case 0x93:
        return StackGlobal();
      case 'R':
      case 0x81:  // NEWOBJ: a class called without its initialiser
        return Call();
      case 'b':  // BUILD: attributes, which nothing here looks at
        return Pop() != nullptr && Top() != nullptr;
      case 'Q':
        return Persistent();
      default:
        return false;
    }
  }

  // The next n bytes, or fewer at the end.
  absl::string_view Take(size_t n) {
    const absl::string_view taken = bytes_.substr(at_, n);
    at_ += taken.size();
    return taken;
  }

  // An unsigned little-endian number; -1 at the end of the bytes.
  int64_t Number(size_t width) {
    const absl::string_view raw = Take(width);
    if (raw.size() != width) return -1;
    int64_t value = 0;
    for (size_t i = 0; i < width; ++i) {
      value |= int64_t{static_cast<uint8_t>(raw[i])} << (8 * i);
    }
    return value;
  }

  PickleValue* New(Kind kind, int64_t number = 0) {
    pickle_.values_.emplace_back();
    pickle_.values_.back().kind = kind;
    pickle_.values_.back().number = number;
    return &pickle_.values_.back();
  }
  bool Push(Kind kind, int64_t number = 0) {
    stack_.push_back(New(kind, number));
    return true;
  }
  // The uppermost value; null if there is none or a mark is in the way.
  PickleValue* Top() { return stack_.empty() ? nullptr : stack_.back(); }
  PickleValue* Pop() {
    PickleValue* const top = Top();
    if (top != nullptr) stack_.pop_back();
    return top;
  }

  bool PushInt(size_t width) {
    const int64_t value = Number(width);
    // Only the four-byte form is signed.
    return value >= 0 &&
           Push(Kind::kInt, width == 4 ? static_cast<int32_t>(value) : value);
  }
  bool PushLong() {
    const int64_t width = Number(1);
    if (width < 0 || width > 8) return false;
    const absl::string_view raw = Take(width);
    if (static_cast<int64_t>(raw.size()) != width) return false;
    uint64_t value = 0;
    for (int64_t i = 0; i < width; ++i) {
      value |= uint64_t{static_cast<uint8_t>(raw[i])} << (8 * i);
    }
    const bool negative = width > 0 && (raw[width - 1] & 0x80) != 0;
    if (negative && width < 8) value |= ~uint64_t{0} << (8 * width);
    return Push(Kind::kInt, static_cast<int64_t>(value));
  }
  bool PushString(size_t width) {
    const int64_t length = Number(width);
    if (length < 0) return false;
    const absl::string_view text = Take(length);
    if (static_cast<int64_t>(text.size()) != length) return false;
    Push(Kind::kString);
    Top()->text = std::string(text);
    return true;
  }

  // How many values lie above the last mark; -1 without one.
  int64_t SizeAboveMark() const {
    for (size_t i = stack_.size(); i > 0; --i) {
      if (stack_[i - 1] == nullptr) return stack_.size() - i;
    }
    return -1;
  }
  // Moves the uppermost `count` values to `to`.
  bool MoveItems(int64_t count, PickleValue* to) {
    if (count < 0 || count > static_cast<int64_t>(stack_.size())) return false;
    for (size_t i = stack_.size() - count; i < stack_.size(); ++i) {
      if (stack_[i] == nullptr) return false;
      to->items.push_back(stack_[i]);
    }
    stack_.resize(stack_.size() - count);
    return true;
  }
  bool Tuple(int64_t count) {
    PickleValue* const tuple = New(Kind::kTuple);
    if (!MoveItems(count, tuple)) return false;
    stack_.push_back(tuple);
    return true;
  }
  bool TupleFromMark() {
    PickleValue* const tuple = New(Kind::kTuple);
    if (!MoveItems(SizeAboveMark(), tuple)) return false;
    stack_.back() = tuple;  // in the mark's place
    return true;
  }
  // Adds the uppermost `count` values to the container below them.
  bool Extend(Kind kind, int64_t count, bool mark) {
    if (kind == Kind::kDict && count % 2 != 0) return false;
    const size_t below = count + (mark ? 1 : 0);
    if (count < 0 || stack_.size() <= below) return false;
    PickleValue* const container = stack_[stack_.size() - below - 1];
    if (container == nullptr || container->kind != kind) return false;
    if (!MoveItems(count, container)) return false;
    if (mark) stack_.pop_back();
    return true;
  }

  bool Put(int64_t key) {
    if (key < 0 || Top() == nullptr) return false;
    memo_[key] = Top();
    return true;
  }
  bool Get(int64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) return false;
    stack_.push_back(found->second);
    return true;
  }

  bool Global() {
    const size_t first = bytes_.find('\n', at_);
    if (first == absl::string_view::npos) return false;
    const size_t second = bytes_.find('\n', first + 1);
    if (second == absl::string_view::npos) return false;
    Push(Kind::kGlobal);
    Top()->text = absl::StrCat(bytes_.substr(at_, first - at_), " ",
                               bytes_.substr(first + 1, second - first - 1));
    at_ = second + 1;
    return true;
  }
  bool StackGlobal() {
    const PickleValue* const name = Pop();
    const PickleValue* const module = Pop();
    for (const PickleValue* part : {name, module}) {
      if (part == nullptr || part->kind != Kind::kString ||
          part->text.size() > kMaxName) {
        return false;
      }
    }
    Push(Kind::kGlobal);
    Top()->text = absl::StrCat(module->text, " ", name->text);
    return true;
  }
  bool Call() {
    const PickleValue* const arguments = Pop();
    const PickleValue* const callable = Pop();
    if (arguments == nullptr || callable == nullptr ||
        arguments->kind != Kind::kTuple) {
      return false;
    }
    // The one call whose result is filled afterwards.
    if (callable->text == "collections OrderedDict" &&
        arguments->items.empty()) {
      return Push(Kind::kDict);
    }
    Push(Kind::kCall);
    Top()->items = {callable, arguments};
    return true;
  }
  bool Persistent() {
    const PickleValue* const id = Pop();
    if (id == nullptr) return false;
    Push(Kind::kPersistent);
    Top()->items = {id};
    return true;
  }

  const absl::string_view bytes_;
  size_t at_ = 0;
  Pickle pickle_;
  std::vector<PickleValue*> stack_;  // null: a mark
  std::unordered_map<int64_t, PickleValue*> memo_;
};

bool PickleValue::IsCall(absl::string_view name, size_t arguments) const {
  return kind == Kind::kCall && items[0]->kind == Kind::kGlobal &&
         items[0]->text == name && items[1]->items.size() >= arguments;
}

absl::StatusOr<Pickle> Pickle::Parse(absl::string_view bytes) {
  if (bytes.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("holds a pickle of ", bytes.size(), " bytes, at most ",
                     kMaxBytes, " are allowed"));
  }
  return PickleMachine(bytes).Run();
}

}  // namespace quantserve
