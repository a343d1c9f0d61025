#include "server/rpc/tensor_codec.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<TensorSpec>& Image() {
  static const auto& specs = *new std::vector<TensorSpec>{{"x", {3, 32, 32}}};
  return specs;
}

v1::PredictRequest GoodRequest(int64_t batch = 1) {
  v1::PredictRequest request;
  v1::Tensor* tensor = request.add_inputs();
  tensor->set_name("x");
  tensor->set_dtype(v1::FP32);
  for (int64_t dim : {batch, int64_t{3}, int64_t{32}, int64_t{32}}) {
    tensor->add_shape(dim);
  }
  tensor->set_data(std::string(batch * 3 * 32 * 32 * 4, '\0'));
  return request;
}

void SetShape(v1::Tensor* tensor, std::vector<int64_t> shape) {
  *tensor->mutable_shape() = {shape.begin(), shape.end()};
}

TEST(TensorCodecTest, PointsIntoTheRequest) {
  const v1::PredictRequest request = GoodRequest(3);
  const auto decoded = DecodeInputs(request, Image(), {}, 8);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->batch, 3);
  ASSERT_EQ(decoded->inputs.size(), 1);
  EXPECT_EQ(decoded->inputs[0].dtype, DType::kF32);
  EXPECT_EQ(decoded->inputs[0].data, request.inputs(0).data().data());
}

TEST(TensorCodecTest, TakesRawPixelsAndAnEmptyNameForTheOnlyInput) {
  v1::PredictRequest request = GoodRequest();
  v1::Tensor* tensor = request.mutable_inputs(0);
  tensor->set_name("");
  tensor->set_dtype(v1::UINT8);
  tensor->set_data(std::string(3 * 32 * 32, 'a'));
  const auto decoded = DecodeInputs(request, Image(), {}, 8);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->inputs[0].dtype, DType::kU8);
}

TEST(TensorCodecTest, EachBadInputIsNamedWithWhatWasExpected) {
  using Change = std::function<void(v1::PredictRequest*)>;
  struct Case {
    Change change;
    const char* message;
  };
  const auto shape = [](std::vector<int64_t> dims) -> Change {
    return
        [dims](v1::PredictRequest* r) { SetShape(r->mutable_inputs(0), dims); };
  };
  const int64_t huge = int64_t{1} << 62;
  const Case cases[] = {
      {[](v1::PredictRequest* r) { r->clear_inputs(); },
       "the request has 0 inputs, model wants 1"},
      {[](v1::PredictRequest* r) { *r->add_inputs() = r->inputs(0); },
       "the request has 2 inputs, model wants 1"},
      {[](v1::PredictRequest* r) { r->mutable_inputs(0)->set_name("y\n"); },
       "the model has no input \"y\\n\", its inputs are: x"},
      {[](v1::PredictRequest* r) { r->mutable_inputs(0)->clear_dtype(); },
       "input \"x\" has dtype 0, want FP32 (1) or UINT8 (2)"},
      {[](v1::PredictRequest* r) {
         r->mutable_inputs(0)->set_dtype(static_cast<v1::DataType>(77));
       },
       "input \"x\" has dtype 77"},
      {shape({4, 3}), "input \"x\" has shape [4,3], model wants [?,3,32,32]"},
      {shape({}), "input \"x\" has shape [], model wants [?,3,32,32]"},
      {shape({1, 3, 32, 32, 1}), "has shape [1,3,32,32,1], model wants"},
      {shape({1, 3, 32, 31}), "has shape [1,3,32,31], model wants"},
      {shape({3, 32, 32}), "has shape [3,32,32], model wants"},
      {shape({-1, 3, 32, 32}), "negative dimension or too many elements"},
      {shape({huge, 3, 32, 32}), "negative dimension or too many elements"},
      // 2^62 * 4 wraps to 0 in 64 bits, which is what the data would be.
      {shape({huge, 4, 32, 32}), "negative dimension or too many elements"},
      {shape({0, 3, 32, 32}), "has a batch of 0 samples, want 1 to 8"},
      {shape({9, 3, 32, 32}), "has a batch of 9 samples, want 1 to 8"},
      {shape({2, 3, 32, 32}),
       "input \"x\" has 12288 bytes, [2,3,32,32] of float32 wants 24576"},
      {[](v1::PredictRequest* r) { r->mutable_inputs(0)->clear_data(); },
       "has 0 bytes"},
      {[](v1::PredictRequest* r) {
         r->mutable_inputs(0)->mutable_data()->push_back('x');
       },
       "has 12289 bytes"},
      {[](v1::PredictRequest* r) {
         r->mutable_inputs(0)->set_dtype(v1::UINT8);
       },
       "[1,3,32,32] of uint8 wants 3072"},
  };
  for (const Case& c : cases) {
    v1::PredictRequest request = GoodRequest();
    c.change(&request);
    const auto decoded = DecodeInputs(request, Image(), {}, 8);
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument)
        << c.message;
    EXPECT_THAT(std::string(decoded.status().message()), HasSubstr(c.message));
  }
}

TEST(TensorCodecTest, AMessageRepeatsLittleOfALongInput) {
  v1::PredictRequest request = GoodRequest();
  SetShape(request.mutable_inputs(0), std::vector<int64_t>(100000, 1));
  EXPECT_LT(DecodeInputs(request, Image(), {}, 8).status().message().size(),
            200);
  request.mutable_inputs(0)->set_name(std::string(100000, 'n'));
  EXPECT_LT(DecodeInputs(request, Image(), {}, 8).status().message().size(),
            200);
}

TEST(TensorCodecTest, SeveralInputsGoByNameAndShareTheBatch) {
  const std::vector<TensorSpec> specs = {{"a", {2}}, {"b", {}}};
  v1::PredictRequest request;
  v1::Tensor* b = request.add_inputs();
  b->set_name("b");
  b->set_dtype(v1::FP32);
  b->add_shape(2);
  b->set_data(std::string(8, '\0'));
  v1::Tensor* a = request.add_inputs();
  a->set_name("a");
  a->set_dtype(v1::FP32);
  SetShape(a, {2, 2});
  a->set_data(std::string(16, '\0'));
  const auto decoded = DecodeInputs(request, specs, {}, 8);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->inputs[0].data, request.inputs(1).data().data());
  EXPECT_EQ(decoded->inputs[1].data, request.inputs(0).data().data());

  SetShape(request.mutable_inputs(1), {1, 2});
  request.mutable_inputs(1)->set_data(std::string(8, '\0'));
  EXPECT_THAT(
      std::string(DecodeInputs(request, specs, {}, 8).status().message()),
      HasSubstr("another input has 2"));

  *request.mutable_inputs(1) = request.inputs(0);
  EXPECT_THAT(
      std::string(DecodeInputs(request, specs, {}, 8).status().message()),
      HasSubstr("input \"b\" is given twice"));

  request.mutable_inputs(1)->set_name("");
  EXPECT_THAT(
      std::string(DecodeInputs(request, specs, {}, 8).status().message()),
      HasSubstr("no input \"\", its inputs are: a, b"));
}

v1::PredictRequest IntegerRequest(std::vector<int64_t> values) {
  v1::PredictRequest request;
  v1::Tensor* tensor = request.add_inputs();
  tensor->set_dtype(v1::INT64);
  SetShape(tensor, {static_cast<int64_t>(values.size()) / 2, 2});
  tensor->set_data(values.data(), values.size() * sizeof(int64_t));
  return request;
}

TEST(TensorCodecTest, IntegersAreTakenUpToWhereAFloatHoldsEachOne) {
  const std::vector<TensorSpec> ids = {{"ids", {2}, /*integers=*/true}};
  constexpr int64_t kMost = 1 << 24;
  const auto request = IntegerRequest({0, -kMost, kMost, 7});
  const auto decoded = DecodeInputs(request, ids, {}, 8);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->batch, 2);
  EXPECT_EQ(decoded->inputs[0].dtype, DType::kI64);
  EXPECT_EQ(decoded->inputs[0].data, request.inputs(0).data().data());
  for (const int64_t bad : {kMost + 1, -kMost - 1, int64_t{1} << 62,
                            std::numeric_limits<int64_t>::min()}) {
    const auto refused =
        DecodeInputs(IntegerRequest({0, 1, 2, bad}), ids, {}, 8);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(refused.status().message()),
                HasSubstr(absl::StrCat("input \"ids\" has ", bad,
                                       " as element 1 of sample 1, want "
                                       "-16777216 to 16777216")));
  }
}

TEST(TensorCodecTest, IntegersAndNumbersAreNotMixedUp) {
  const std::vector<TensorSpec> ids = {{"ids", {2}, /*integers=*/true}};
  v1::PredictRequest request = IntegerRequest({1, 2});
  EXPECT_THAT(
      std::string(
          DecodeInputs(request, {{"x", {2}}}, {}, 8).status().message()),
      HasSubstr("input \"x\" has dtype 3, want FP32 (1) or UINT8 (2)"));
  for (const v1::DataType dtype : {v1::FP32, v1::UINT8}) {
    request.mutable_inputs(0)->set_dtype(dtype);
    EXPECT_THAT(
        std::string(DecodeInputs(request, ids, {}, 8).status().message()),
        HasSubstr("want INT64 (3): it takes integers"));
  }
  request = IntegerRequest({1, 2});
  request.mutable_inputs(0)->mutable_data()->pop_back();
  EXPECT_THAT(std::string(DecodeInputs(request, ids, {}, 8).status().message()),
              HasSubstr("has 15 bytes, [1,2] of int64 wants 16"));
}

TEST(TensorCodecTest, RawPixelsNeedPreprocessingThatFits) {
  Preprocessing preprocessing;
  preprocessing.mean = {1, 2};
  v1::PredictRequest request = GoodRequest();
  EXPECT_TRUE(DecodeInputs(request, Image(), preprocessing, 8).ok());
  request.mutable_inputs(0)->set_dtype(v1::UINT8);
  request.mutable_inputs(0)->set_data(std::string(3072, 'a'));
  EXPECT_THAT(
      std::string(
          DecodeInputs(request, Image(), preprocessing, 8).status().message()),
      HasSubstr("preprocessing does not fit"));
}

TEST(TensorCodecTest, MakesOutputsOfTheRightSize) {
  v1::PredictResponse response;
  const auto pointers = MakeOutputs({{"y", {10}}, {"z", {}}}, 3, &response);
  ASSERT_EQ(pointers.size(), 2);
  EXPECT_EQ(response.outputs(0).data().size(), 120);
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(3, 10));
  EXPECT_THAT(response.outputs(1).shape(), ElementsAre(3));
  pointers[0][29] = 1.5F;
  float last = 0;
  std::memcpy(&last, response.outputs(0).data().data() + 116, 4);
  EXPECT_EQ(last, 1.5F);
}

TEST(TensorCodecTest, TheLargestComeFirstAndTiesGoToTheLowerIndex) {
  const std::vector<float> outputs = {1, 3, 3, 2, NAN, 0, -1, NAN};
  v1::PredictResponse response;
  AddTopK(outputs, 2, 3, {"a", "b", "c", "d"}, &response);
  ASSERT_EQ(response.top_k_size(), 2);
  const auto& first = response.top_k(0).entries();
  EXPECT_EQ(first[0].index(), 1);
  EXPECT_EQ(first[1].index(), 2);
  EXPECT_EQ(first[2].index(), 3);
  EXPECT_EQ(first[2].label(), "d");
  EXPECT_EQ(first[2].score(), 2);
  const auto& second = response.top_k(1).entries();
  EXPECT_EQ(second[0].index(), 1);
  EXPECT_EQ(second[1].index(), 2);
  EXPECT_EQ(second[2].index(), 0);
}

TEST(TensorCodecTest, TopKIsAtMostTheNumberOfOutputs) {
  EXPECT_TRUE(CheckTopK(0, {{"y", {10}}}).ok());
  EXPECT_TRUE(CheckTopK(10, {{"y", {10}}}).ok());
  for (int32_t bad : {-1, 11, 2147483647}) {
    EXPECT_THAT(std::string(CheckTopK(bad, {{"y", {10}}}).message()),
                HasSubstr("want 0 to 10"))
        << bad;
  }
}

}  // namespace
}  // namespace quantserve
