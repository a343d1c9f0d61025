#include "quant/base/sha256.h"

#include <cstdio>
#include <fstream>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

std::string WriteFile(const std::string& bytes) {
  std::string path = testing::TempDir() + "/sha256_test";
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

// FIPS 180-2, appendix B.
TEST(Sha256Test, GivesThePublishedDigests) {
  EXPECT_EQ(*Sha256File(WriteFile("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(*Sha256File(WriteFile("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(*Sha256File(WriteFile(std::string(1000000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PiecesGiveTheDigestOfTheWhole) {
  Sha256Hasher hasher;
  for (const char* piece : {"a", "", "bc"}) hasher.Add(piece);
  EXPECT_EQ(hasher.Finish(), Sha256("abc"));
  EXPECT_EQ(Sha256("abc"), *Sha256File(WriteFile("abc")));
}

TEST(Sha256Test, KnowsADigestWhenItSeesOne) {
  EXPECT_TRUE(IsSha256(Sha256("")));
  EXPECT_FALSE(IsSha256(""));
  EXPECT_FALSE(IsSha256(Sha256("").substr(1)));
  EXPECT_FALSE(IsSha256(std::string(64, 'A')));
  EXPECT_FALSE(IsSha256(std::string(63, '0') + "/"));
}

TEST(Sha256Test, MissingFileIsNotFound) {
  EXPECT_EQ(Sha256File("/no/such/file").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantserve
