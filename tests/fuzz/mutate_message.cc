#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <vector>

#include "google/protobuf/text_format.h"
#include "tests/fuzz/models.h"
#include "tests/fuzz/mutate.h"

namespace quantserve::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::TextFormat;
using Random = std::minstd_rand;

constexpr size_t kLongestText = 4096;

template <typename T>
T Mutated(T value, Random* random) {
  constexpr T kEdges[] = {T{0}, T{1}, T{3}, std::numeric_limits<T>::lowest(),
                          std::numeric_limits<T>::max()};
  if ((*random)() % 2 == 0) return kEdges[(*random)() % std::size(kEdges)];
  LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(&value), sizeof(value),
                   sizeof(value));
  return value;
}

bool Mutated(bool value, Random*) { return !value; }

std::string Mutated(std::string text, Random*) {
  MutateText(kLongestText, &text);
  return text;
}

void Change(Message* message, Random* random);

// One place where a value stands: a field, or an element of a repeated one.
struct Place {
  Message* message;
  const Reflection* reflection;
  const FieldDescriptor* field;
  int element;  // -1: not repeated
};

#define QS_CHANGE(TYPE, NAME)                                                \
  case FieldDescriptor::CPPTYPE_##TYPE:                                      \
    if (at.element < 0) {                                                    \
      at.reflection->Set##NAME(                                              \
          at.message, at.field,                                              \
          Mutated(at.reflection->Get##NAME(*at.message, at.field), random)); \
    } else {                                                                 \
      at.reflection->SetRepeated##NAME(                                      \
          at.message, at.field, at.element,                                  \
          Mutated(at.reflection->GetRepeated##NAME(*at.message, at.field,    \
                                                   at.element),              \
                  random));                                                  \
    }                                                                        \
    return

void ChangeValue(const Place& at, Random* random) {
  switch (at.field->cpp_type()) {
    QS_CHANGE(INT32, Int32);
    QS_CHANGE(INT64, Int64);
    QS_CHANGE(UINT32, UInt32);
    QS_CHANGE(UINT64, UInt64);
    QS_CHANGE(DOUBLE, Double);
    QS_CHANGE(FLOAT, Float);
    QS_CHANGE(BOOL, Bool);
    QS_CHANGE(ENUM, EnumValue);
    QS_CHANGE(STRING, String);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      Change(at.element < 0
                 ? at.reflection->MutableMessage(at.message, at.field)
                 : at.reflection->MutableRepeatedMessage(at.message, at.field,
                                                         at.element),
             random);
  }
}
#undef QS_CHANGE

void AddElement(const Place& at) {
  switch (at.field->cpp_type()) {
#define QS_ADD(TYPE, NAME, ZERO)        \
  case FieldDescriptor::CPPTYPE_##TYPE: \
    return at.reflection->Add##NAME(at.message, at.field, ZERO)
    QS_ADD(INT32, Int32, 0);
    QS_ADD(INT64, Int64, 0);
    QS_ADD(UINT32, UInt32, 0);
    QS_ADD(UINT64, UInt64, 0);
    QS_ADD(DOUBLE, Double, 0);
    QS_ADD(FLOAT, Float, 0);
    QS_ADD(BOOL, Bool, false);
    QS_ADD(ENUM, EnumValue, 0);
    QS_ADD(STRING, String, "");
#undef QS_ADD
    case FieldDescriptor::CPPTYPE_MESSAGE:
      at.reflection->AddMessage(at.message, at.field);
  }
}

void ChangeRepeated(Place at, Random* random) {
  const int size = at.reflection->FieldSize(*at.message, at.field);
  const unsigned int what = (*random)() % 6;
  if (size == 0 || what == 0) {
    AddElement(at);
    at.element = size;
    return ChangeValue(at, random);
  }
  at.element = static_cast<int>((*random)() % static_cast<unsigned int>(size));
  if (what == 1) {
    at.reflection->SwapElements(at.message, at.field, at.element, size - 1);
    return at.reflection->RemoveLast(at.message, at.field);
  }
  if (what == 2 && at.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    const Message& element =
        at.reflection->GetRepeatedMessage(*at.message, at.field, at.element);
    const std::unique_ptr<Message> copy(element.New());
    copy->CopyFrom(element);
    at.reflection->AddMessage(at.message, at.field)->CopyFrom(*copy);
    return;
  }
  ChangeValue(at, random);
}

void Change(Message* message, Random* random) {
  const auto& descriptor = *message->GetDescriptor();
  const Reflection* reflection = message->GetReflection();
  // What is set more often than what is not: there are many fields.
  std::vector<const FieldDescriptor*> set;
  reflection->ListFields(*message, &set);
  const FieldDescriptor* field =
      !set.empty() && (*random)() % 4 != 0
          ? set[(*random)() % set.size()]
          : descriptor.field(static_cast<int>(
                (*random)() %
                static_cast<unsigned int>(descriptor.field_count())));
  const Place at{message, reflection, field, -1};
  if ((*random)() % 16 == 0) return reflection->ClearField(message, field);
  if (field->is_repeated()) return ChangeRepeated(at, random);
  ChangeValue(at, random);
}

}  // namespace

size_t MutateMessage(uint8_t* data, size_t size, size_t max_size,
                     unsigned int seed, Message* prototype,
                     const std::function<void(Message*)>& mend) {
  Random random(seed);
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (random() % 8 == 0 || !ParseText(text, prototype)) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  for (unsigned int i = random() % 3 + 1; i > 0; --i) {
    Change(prototype, &random);
  }
  if (mend != nullptr && random() % 4 != 0) mend(prototype);
  std::string changed;
  TextFormat::PrintToString(*prototype, &changed);
  const size_t put = Put(changed, data, max_size);
  return put > 0 ? put : LLVMFuzzerMutate(data, size, max_size);
}

}  // namespace quantserve::fuzz
