#include "quant/tensor/tensor.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(DTypeTest, HasSizesAndNames) {
  const struct {
    DType dtype;
    size_t size;
    const char* name;
  } kCases[] = {
      {DType::kF32, 4, "float32"}, {DType::kF64, 8, "float64"},
      {DType::kU8, 1, "uint8"},    {DType::kS8, 1, "int8"},
      {DType::kS32, 4, "int32"},   {DType::kI64, 8, "int64"},
      {DType::kBool, 1, "bool"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(DTypeSize(c.dtype), c.size) << c.name;
    EXPECT_STREQ(DTypeName(c.dtype), c.name);
  }
}

TEST(ShapeTest, IsPrintedAsAList) {
  EXPECT_EQ(ShapeString({1, 3, 32, 32}), "[1,3,32,32]");
  EXPECT_EQ(ShapeString({}), "[]");
}

TEST(NumElementsTest, MultipliesDimensions) {
  EXPECT_EQ(*NumElements({}), 1);
  EXPECT_EQ(*NumElements({7}), 7);
  EXPECT_EQ(*NumElements({2, 3, 4}), 24);
  EXPECT_EQ(*NumElements({2, 0, 4}), 0);
  EXPECT_EQ(*NumElements({kMax / 8}), kMax / 8);
}

TEST(NumElementsTest, RefusesNegativeAndOverflowingShapes) {
  const Shape kBad[] = {
      {-1},
      {2, -3},
      {0, -1},
      {kMax},
      {kMax / 8 + 1},
      {int64_t{1} << 32, int64_t{1} << 32},
      {int64_t{1} << 31, int64_t{1} << 31, 4},
      {kMax, 0},  // a zero hides nothing
      {0, int64_t{1} << 32, int64_t{1} << 32},
      {std::numeric_limits<int64_t>::min()},
  };
  for (const Shape& shape : kBad) {
    EXPECT_EQ(NumElements(shape).status().code(),
              absl::StatusCode::kInvalidArgument)
        << ShapeString(shape);
  }
}

TEST(TensorTest, IsZeroedAlignedAndMovable) {
  Tensor tensor(DType::kF32, {3, 5});
  EXPECT_EQ(tensor.elements(), 15);
  EXPECT_EQ(tensor.bytes(), 60u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data<float>()) % 64, 0u);
  EXPECT_TRUE(std::all_of(tensor.span<float>().begin(),
                          tensor.span<float>().end(),
                          [](float x) { return x == 0; }));
  tensor.data<float>()[14] = 2;
  const Tensor moved = std::move(tensor);
  EXPECT_EQ(moved.data<float>()[14], 2);
  EXPECT_EQ(moved.shape(), (Shape{3, 5}));
}

TEST(TensorTest, MayBeEmpty) {
  EXPECT_EQ(Tensor().elements(), 0);
  const Tensor empty(DType::kU8, {4, 0});
  EXPECT_EQ(empty.elements(), 0);
  EXPECT_EQ(empty.span<uint8_t>().size(), 0u);
}

}  // namespace
}  // namespace quantserve
