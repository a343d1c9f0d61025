#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/data/pickle.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kNoLimit = int64_t{1} << 32;

// Two samples of three floats, records "0".
PickledTensor Floats() { return {"FloatStorage", "0", 6, 0, {2, 3}, {3, 1}}; }
std::string FloatRecord() { return Raw<float>({1, 2, 3, 4, 5, 6}); }
// Two labels, record "1".
PickledTensor Longs() { return {"LongStorage", "1", 2, 0, {2}, {1}}; }
std::string LongRecord() { return Raw<int64_t>({7, 8}); }

absl::StatusOr<RawShard> Read(const std::string& body,
                              const std::vector<std::string>& records,
                              int64_t limit = kNoLimit) {
  return ReadPtBytes(PtFile(PickleFile(body), records), limit);
}

std::string Message(const absl::StatusOr<RawShard>& shard) {
  EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(shard.status().message());
}

std::vector<float> Values(const absl::StatusOr<RawShard>& shard) {
  EXPECT_TRUE(shard.ok()) << shard.status();
  if (!shard.ok()) return {};
  const auto span = std::as_const(shard->inputs[0].samples).span<float>();
  return {span.begin(), span.end()};
}

TEST(PtTest, ReadsATensor) {
  const auto shard = Read(PickleTensor(Floats()), {FloatRecord()});
  EXPECT_EQ(Values(shard), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(shard->inputs[0].samples.shape(), (Shape{2, 3}));
  EXPECT_TRUE(shard->labels.empty());
}

TEST(PtTest, ReadsTuplesListsAndDicts) {
  const std::string x = PickleTensor(Floats()), y = PickleTensor(Longs());
  for (const std::string& body :
       {"(" + x + y + "t", x + y + "\x86", "](" + x + y + "e",
        "}(" + PickleText("labels") + y + PickleText("images") + x + "u",
        // An OrderedDict with one more key.
        "ccollections\nOrderedDict\n)R(" + PickleText("x") + x +
            PickleText("note") + PickleText("hello") + PickleText("y") + y +
            "u",
        // What LibTorch's C++ writer makes of a dict and of a list.
        "ctorch.jit._pickle\nrestore_type_tag\n}(" + PickleText("x") + x +
            PickleText("y") + y + "u" + PickleText("Dict[str, Tensor]") +
            "\x86R",
        "ctorch.jit._pickle\nbuild_tensorlist\n(](" + x + y + "etR"}) {
    const auto shard = Read(body, {FloatRecord(), LongRecord()});
    EXPECT_EQ(Values(shard), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(shard->labels, (std::vector<int64_t>{7, 8}));
  }
}

TEST(PtTest, ReadsEverySampleAndLabelType) {
  const auto bytes = Read(PickleTensor({"ByteStorage", "0", 2, 0, {2}, {1}}),
                          {std::string("\x01\xff")});
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(bytes->inputs[0].samples.dtype(), DType::kU8);
  EXPECT_EQ(bytes->inputs[0].samples.data<uint8_t>()[1], 255);
  EXPECT_EQ(Values(Read(PickleTensor({"DoubleStorage", "0", 2, 0, {2}, {1}}),
                        {Raw<double>({1.5, -2})})),
            (std::vector<float>{1.5, -2}));
  const struct {
    const char* storage;
    std::string record;
  } kLabels[] = {{"ByteStorage", Raw<uint8_t>({7, 8})},
                 {"CharStorage", Raw<int8_t>({7, 8})},
                 {"ShortStorage", Raw<int16_t>({7, 8})},
                 {"IntStorage", Raw<int32_t>({7, 8})},
                 {"LongStorage", Raw<int64_t>({7, 8})}};
  for (const auto& c : kLabels) {
    PickledTensor labels = Longs();
    labels.storage = c.storage;
    const auto shard =
        Read("(" + PickleTensor(Floats()) + PickleTensor(labels) + "t",
             {FloatRecord(), c.record});
    ASSERT_TRUE(shard.ok()) << shard.status();
    EXPECT_EQ(shard->labels, (std::vector<int64_t>{7, 8})) << c.storage;
  }
}

TEST(PtTest, ReadsSeveralInputs) {
  const auto shard =
      Read("}(" + PickleText("input_1") + PickleTensor(Longs()) +
               PickleText("y") + PickleTensor(Longs()) + PickleText("input_0") +
               PickleTensor(Floats()) + PickleText("x") + PickleInt(1) + "u",
           {FloatRecord(), LongRecord()});
  EXPECT_EQ(Values(shard), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  ASSERT_EQ(shard->inputs.size(), 2u);
  EXPECT_EQ(shard->inputs[0].name, "input_0");
  EXPECT_EQ(shard->inputs[1].name, "input_1");
  EXPECT_EQ(shard->inputs[1].samples.dtype(), DType::kI64);
  EXPECT_EQ(shard->inputs[1].samples.data<int64_t>()[1], 8);
  EXPECT_EQ(shard->labels, (std::vector<int64_t>{7, 8}));
}

TEST(PtTest, FollowsOffsetsAndStrides) {
  PickledTensor tensor = Floats();
  tensor.shape = {1, 3};
  tensor.offset = 3;
  EXPECT_EQ(Values(Read(PickleTensor(tensor), {FloatRecord()})),
            (std::vector<float>{4, 5, 6}));
  // Transposed.
  tensor = Floats();
  tensor.shape = {3, 2};
  tensor.stride = {1, 3};
  EXPECT_EQ(Values(Read(PickleTensor(tensor), {FloatRecord()})),
            (std::vector<float>{1, 4, 2, 5, 3, 6}));
  // Expanded: one row, three times.
  tensor.shape = {3, 2};
  tensor.stride = {0, 1};
  EXPECT_EQ(Values(Read(PickleTensor(tensor), {FloatRecord()})),
            (std::vector<float>{1, 2, 1, 2, 1, 2}));
}

TEST(PtTest, RefusesTensorsThatLeaveTheirRecord) {
  const struct {
    const char* name;
    PickledTensor tensor;
  } kBad[] = {
      {"more than the record", {"FloatStorage", "0", 8, 0, {2, 4}, {4, 1}}},
      {"less than the record", {"FloatStorage", "0", 4, 0, {2, 2}, {2, 1}}},
      {"huge storage", {"FloatStorage", "0", 0x7fffffff, 0, {2}, {1}}},
      {"too many rows", {"FloatStorage", "0", 6, 0, {3, 3}, {3, 1}}},
      {"offset", {"FloatStorage", "0", 6, 1, {2, 3}, {3, 1}}},
      {"offset at the end", {"FloatStorage", "0", 6, 6, {1}, {1}}},
      {"offset beyond", {"FloatStorage", "0", 6, 7, {1}, {1}}},
      {"offset at the end, no stride", {"FloatStorage", "0", 6, 6, {1}, {0}}},
      {"negative offset", {"FloatStorage", "0", 6, -1, {2}, {1}}},
      {"wide stride", {"FloatStorage", "0", 6, 0, {2, 3}, {4, 1}}},
      {"overflowing stride",
       {"FloatStorage", "0", 6, 0, {2, 0x7fffffff}, {0, 0x7fffffff}}},
      {"negative stride", {"FloatStorage", "0", 6, 5, {2}, {-1}}},
      {"negative shape", {"FloatStorage", "0", 6, 0, {-2}, {1}}},
      {"fewer strides", {"FloatStorage", "0", 6, 0, {2, 3}, {3}}},
      {"overflowing shape",
       {"FloatStorage",
        "0",
        6,
        0,
        {0x7fffffff, 0x7fffffff, 0x7fffffff},
        {0, 0, 0}}},
      {"other width", {"DoubleStorage", "0", 6, 0, {2, 3}, {3, 1}}},
      {"missing record", {"FloatStorage", "7", 6, 0, {2, 3}, {3, 1}}},
      {"record outside", {"FloatStorage", "../data.pkl", 6, 0, {2}, {1}}},
  };
  for (const auto& c : kBad) {
    const auto shard = Read(PickleTensor(c.tensor), {FloatRecord()});
    EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument)
        << c.name;
  }
}

// An expanded tensor takes no room in the file and any amount in memory.
TEST(PtTest, RefusesExpandedTensorsBeyondTheLimit) {
  PickledTensor tensor = Floats();
  tensor.shape = {1000000, 3};
  tensor.stride = {0, 1};
  EXPECT_TRUE(Read(PickleTensor(tensor), {FloatRecord()}).ok());
  EXPECT_THAT(Message(Read(PickleTensor(tensor), {FloatRecord()}, 1 << 20)),
              HasSubstr("needs more than the allowed 1048576 bytes"));
}

TEST(PtTest, SaysWhatItFoundAndWhatItExpected) {
  const std::string x = PickleTensor(Floats()), y = PickleTensor(Longs());
  const std::vector<std::string> records = {FloatRecord(), LongRecord()};
  const struct {
    std::string body;
    const char* message;
  } kBad[] = {
      {PickleInt(5),
       "holds something else, expected a tensor, a tuple or "
       "list (samples, labels), or a dict of tensors"},
      {"(" + x + y + y + "t", "holds a tuple or list of 3"},
      {")", "holds a tuple or list of 0"},
      {"(" + x + PickleInt(3) + "t", "holds something else where a tensor"},
      {"}(" + PickleText("weight") + x + "u",
       "holds a dict with the keys \"weight\", expected samples under x"},
      {"}(" + PickleInt(1) + x + "u", "holds a dict with the keys \"\""},
      {"ctorch._utils\n_rebuild_sparse_tensor\n)R",
       "holds a torch._utils _rebuild_sparse_tensor where a tensor is"},
      {"cos\nsystem\n(" + PickleText("true") + "tR",
       "holds a os system where a tensor is expected"},
      {"ctorch._utils\n_rebuild_tensor_v2\n(" + PickleInt(1) + PickleInt(0) +
           PickleInts({2}) + PickleInts({1}) + "tR",
       "it has no storage"},
      {PickleTensor({"HalfStorage", "0", 6, 0, {2}, {1}}),
       "holds a tensor in a torch HalfStorage"},
      {"}(" + PickleText("input_0") + x + PickleText("input_2") + x + "u",
       "has input_2 but no input_1, expected every input from input_0 on"},
      {"}(" + PickleText("input_0") + x + PickleText("input_1") +
           PickleTensor({"FloatStorage", "0", 6, 0, {3, 2}, {2, 1}}) + "u",
       "tensor input_1 has 3 samples, expected 2 as input_0 has"},
      {"(" + x + x + "t", "has labels of shape [2,3]"},
      {"(" + x + PickleTensor({"FloatStorage", "0", 6, 0, {2}, {1}}) + "t",
       "has labels in a torch FloatStorage, expected integers"},
      {PickleTensor({"FloatStorage", "0", 6, 0, {0, 3}, {3, 1}}),
       "has samples of shape [0,3]"},
      {PickleTensor({"FloatStorage", "0", 6, 0, {}, {}}),
       "has samples of shape []"},
  };
  for (const auto& c : kBad) {
    EXPECT_THAT(Message(Read(c.body, records)), HasSubstr(c.message));
  }
}

TEST(PtTest, RefusesForeignFiles) {
  EXPECT_THAT(Message(ReadPtBytes("garbage", kNoLimit)),
              HasSubstr("is not what torch.save writes"));
  EXPECT_THAT(Message(ReadPtBytes("\x80\x02\x8a\x0alF\xfc\x9c", kNoLimit)),
              HasSubstr("is in the old format of torch.save"));
  EXPECT_THAT(Message(ReadPtBytes("PK\x03\x04", kNoLimit)),
              HasSubstr("is not a whole ZIP archive"));
  EXPECT_THAT(Message(ReadPtBytes(ZipFile({{"readme", "x"}}), kNoLimit)),
              HasSubstr("is a ZIP archive without a data.pkl"));
  EXPECT_THAT(
      Message(ReadPtBytes(
          ZipFile({{"m/data.pkl", "x"}, {"m/constants.pkl", "x"}}), kNoLimit)),
      HasSubstr("is a TorchScript model, expected a tensor"));
  EXPECT_THAT(Message(ReadPtBytes(ZipFile({{"m/data.pkl", PickleFile("N")},
                                           {"m/byteorder", "big"}}),
                                  kNoLimit)),
              HasSubstr("was written by a big-endian machine"));
}

TEST(PickleTest, ReadsNumbers) {
  const struct {
    std::string body;
    int64_t number;
  } kCases[] = {
      {std::string("K\x07"), 7},
      {std::string("M\x34\x12"), 0x1234},
      {std::string("J\xff\xff\xff\xff"), -1},
      {std::string("\x8a\x00", 2), 0},
      {std::string("\x8a\x01\xff"), -1},
      {std::string("\x8a\x05\x00\x00\x00\x00\x01", 7), int64_t{1} << 32},
      {std::string("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\xff"), -1},
      {"\x88", 1},
      {"\x89", 0},
  };
  for (const auto& c : kCases) {
    const auto pickle = Pickle::Parse(PickleFile(c.body));
    ASSERT_TRUE(pickle.ok()) << pickle.status();
    EXPECT_EQ(pickle->root().number, c.number);
  }
}

TEST(PickleTest, ReadsMemoAndProtocolFour) {
  // ("a", "a"), the second one from the memo.
  const auto memo =
      Pickle::Parse(PickleFile(PickleText("a") + "q\x05h\x05\x86"));
  ASSERT_TRUE(memo.ok()) << memo.status();
  EXPECT_EQ(memo->root().items[0], memo->root().items[1]);
  // FRAME, SHORT_BINUNICODE, MEMOIZE, STACK_GLOBAL.
  const auto four = Pickle::Parse(
      std::string("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00", 11) +
      "\x8c\x05torch\x94\x8c\x04name\x94\x93\x94.");
  ASSERT_TRUE(four.ok()) << four.status();
  EXPECT_EQ(four->root().text, "torch name");
}

TEST(PickleTest, RefusesMalformedOnes) {
  const std::string kBad[] = {
      "",
      ".",                        // nothing on the stack
      "N",                        // no end
      "\x80",                     // no protocol
      std::string("\x80\x01N."),  // protocol 1
      PickleFile("NN"),           // two values
      PickleFile("("),            // a mark
      PickleFile("t"),            // no mark
      PickleFile("\x86"),         // too few values
      PickleFile("N\x86"),
      PickleFile("(N\x86"),  // a mark in the way
      PickleFile("R"),
      PickleFile("N)"),
      PickleFile("NNR"),  // arguments are no tuple
      PickleFile("Na"),   // append to nothing
      PickleFile("NNa"),  // append to None
      PickleFile("](e"
                 "e"),
      PickleFile("}(Nu"),  // a key without a value
      PickleFile("}NNNs"),
      PickleFile("h\x01"),  // nothing in the memo
      PickleFile("q\x01"),  // nothing to remember
      PickleFile("X\xff\xff\xff\x7f"
                 "abc"),  // a string beyond the end
      PickleFile("X\x01"),
      PickleFile("ctorch"),  // no line end
      PickleFile("ctorch\nname"),
      PickleFile("\x8a\xff"),  // a number of 255 bytes
      PickleFile("\x8a\x09"
                 "123456789"),
      PickleFile("\x93"),
      PickleFile("(\x93"),
      PickleFile("Q"),
      PickleFile("b"),
      PickleFile("Nb"),
      PickleFile("i"),  // INST: not needed
      std::string("\x80\x02N") + std::string(1 << 20, 'N'),
  };
  for (const std::string& bytes : kBad) {
    EXPECT_EQ(Pickle::Parse(bytes).status().code(),
              absl::StatusCode::kInvalidArgument)
        << testing::PrintToString(bytes.substr(0, 40));
  }
}

TEST(PickleTest, AllowsAListInsideItself) {
  const auto pickle =
      Pickle::Parse(PickleFile("]q\x01h\x01"
                               "a"));
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  EXPECT_EQ(pickle->root().items[0], &pickle->root());
}

// A few bytes must not become gigabytes of names.
TEST(PickleTest, NamesDoNotGrow) {
  std::string doubling = PickleText("abcdefgh") + "q\x01";
  for (int i = 0; i < 60; ++i) doubling += "h\x01h\x01\x93q\x01";
  EXPECT_FALSE(Pickle::Parse(PickleFile(doubling)).ok());
  std::string repeating = PickleText(std::string(500000, 'a')) + "q\x01";
  for (int i = 0; i < 100000; ++i) repeating += "h\x01h\x01\x93";
  EXPECT_FALSE(Pickle::Parse(PickleFile(repeating)).ok());
}

// Nor must a dict whose keys are all the same long text.
TEST(PtTest, LongKeysAreNoneOfOurs) {
  const std::string x = PickleTensor(Floats());
  std::string dict =
      "}(" + PickleText(std::string(500000, 'x')) + "q\x01" + "N";
  for (int i = 0; i < 100000; ++i) dict += "h\x01N";
  const auto shard = Read(dict + PickleText("x") + x + "u", {FloatRecord()});
  EXPECT_EQ(Values(shard), (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(PtTest, TakesAsManyInputsAsModelsHave) {
  const std::string x = PickleTensor(Floats()) + "q\x01";
  const auto inputs = [&x](int count) {
    std::string dict = "}(" + PickleText("input_0") + x;
    for (int i = 1; i < count; ++i) {
      dict += PickleText("input_" + std::to_string(i)) + "h\x01";
    }
    return dict + "u";
  };
  EXPECT_EQ(Read(inputs(64), {FloatRecord()})->inputs.size(), 64);
  EXPECT_EQ(Message(Read(inputs(65), {FloatRecord()})),
            "has inputs up to input_64, expected at most 64 inputs");
}

// What is put in order in memory counts once for each input.
TEST(PtTest, OrderingManyInputsIsBoundedTogether) {
  PickledTensor turned = Floats();
  turned.shape = {3, 2};
  turned.stride = {1, 3};
  const std::string dict = "}(" + PickleText("input_0") + PickleTensor(turned) +
                           "q\x01" + PickleText("input_1") + "h\x01u";
  const std::string path =
      WriteTemp("two.pt", PtFile(PickleFile(dict), {FloatRecord()}));
  ReadShardOptions options;
  EXPECT_TRUE(ReadPtShard(path, options).ok());
  options.max_sample_bytes = 40;  // 24 for each
  EXPECT_THAT(Message(ReadPtShard(path, options)),
              HasSubstr("needs more than the allowed 16 bytes"));
}

// Of a dimension of one element the stride may be anything.
TEST(PtTest, AStrideThatIsNeverTakenDoesNotCount) {
  PickledTensor tensor = Floats();
  tensor.shape = {3, 1, 2};
  tensor.stride = {1, std::numeric_limits<int32_t>::max(), 3};
  std::string body = PickleTensor(tensor);
  // The largest of 64 bits in place of the largest of 32.
  const std::string narrow = "J\xff\xff\xff\x7f";
  const size_t at = body.find(narrow);
  ASSERT_NE(at, std::string::npos);
  body.replace(at, narrow.size(), "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f");
  EXPECT_EQ(Values(Read(body, {FloatRecord()})),
            (std::vector<float>{1, 4, 2, 5, 3, 6}));
}

TEST(PtTest, SurvivesTruncationAndMutation) {
  const std::string pickle =
      PickleFile("(" + PickleTensor(Floats()) + PickleTensor(Longs()) + "t");
  const std::vector<std::string> records = {FloatRecord(), LongRecord()};
  const std::string whole = PtFile(pickle, records);
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(ReadPtBytes(whole.substr(0, n), kNoLimit).ok()) << n;
  }
  for (size_t n = 0; n < pickle.size(); ++n) {
    EXPECT_FALSE(Pickle::Parse(pickle.substr(0, n)).ok()) << n;
  }
  std::mt19937 random(13);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = pickle;
    for (unsigned k = random() % 4 + 1; k > 0; --k) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto parsed = Pickle::Parse(bytes);
    // The archive around it is whole, so that what is parsed is also read.
    if (parsed.ok() && i % 8 == 0) {
      (void)ReadPtBytes(PtFile(bytes, records), 1 << 20);
    }
  }
}

}  // namespace
}  // namespace quantserve
