#include "quant/pipeline/artifact_store.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/quant/pipeline/artifact_samples.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using testing::FullArtifact;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ArtifactStoreTest : public ::testing::Test {
 protected:
  ArtifactStoreTest()
      : root_(fs::path(::testing::TempDir()) /
              absl::StrCat("artifact_store.", getpid())),
        store_(Directory()) {
    fs::create_directories(root_);
  }
  ~ArtifactStoreTest() override { fs::remove_all(root_); }

  std::string Directory() const { return (root_ / "kept").string(); }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& file : fs::directory_iterator(Directory())) {
      files.push_back(file.path());
    }
    return files;
  }
  void Put(const Artifact& artifact) const {
    const absl::Status put = store_.Put(artifact);
    ASSERT_TRUE(put.ok()) << put;
  }
  std::string Reason(const ArtifactInputs& inputs) const {
    const ArtifactLookup found = store_.Find(inputs);
    EXPECT_FALSE(found.artifact.has_value());
    EXPECT_THAT(found.reason, ::testing::Not(HasSubstr(root_.string())));
    return found.reason;
  }
  // Artifact number `i` of a model, as if last used `i` seconds after the
  // first.
  Artifact Numbered(const std::string& model, int i) const {
    Artifact artifact = FullArtifact();
    artifact.inputs[kModelInput] = Sha256(model);
    artifact.inputs["calibration.samples"] = absl::StrCat(i);
    return artifact;
  }
  void PutUsedAt(const Artifact& artifact, int second) const {
    Put(artifact);
    const auto zero = fs::file_time_type::clock::now() - std::chrono::hours(1);
    for (const fs::path& file : Files()) {
      if (file.filename().string().find(InputsKey(artifact.inputs)) ==
          std::string::npos) {
        continue;
      }
      fs::last_write_time(file, zero + std::chrono::seconds(second));
    }
  }

  const fs::path root_;
  const ArtifactStore store_;
};

TEST_F(ArtifactStoreTest, FindsWhatWasPut) {
  const Artifact artifact = FullArtifact();
  Put(artifact);
  const ArtifactLookup found = store_.Find(artifact.inputs);
  ASSERT_TRUE(found.artifact.has_value()) << found.reason;
  EXPECT_EQ(found.reason, "");
  EXPECT_EQ(*ArtifactText(*found.artifact), *ArtifactText(artifact));
  EXPECT_EQ(Files().size(), 1u);
  // A second process.
  EXPECT_TRUE(ArtifactStore(Directory()).Find(artifact.inputs).artifact);
}

TEST_F(ArtifactStoreTest, NothingIsThereAtFirst) {
  EXPECT_EQ(Reason(FullArtifact().inputs), "no artifact is kept yet");
  EXPECT_FALSE(fs::exists(Directory()));
  EXPECT_EQ(Reason({}), "the model's SHA-256 is not known");
}

TEST_F(ArtifactStoreTest, SaysWhichInputDiffers) {
  const ArtifactInputs kept = FullArtifact().inputs;
  Put(FullArtifact());
  for (const auto& [name, value] : kept) {
    ArtifactInputs inputs = kept;
    inputs[name] = name == kModelInput ? Sha256("other") : "else";
    EXPECT_THAT(Reason(inputs), StartsWith(absl::StrCat(name, " is ")));
    EXPECT_THAT(Reason(inputs),
                HasSubstr(absl::StrCat(", was ", value.substr(0, 40))));
  }
  ArtifactInputs more = kept;
  more["calibration.seed"] = "1";
  EXPECT_EQ(Reason(more), "calibration.seed is 1, was not given");
  ArtifactInputs fewer = kept;
  fewer.erase("cpu.vnni");
  EXPECT_EQ(Reason(fewer), "cpu.vnni is not given, was yes");
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(ArtifactStoreTest, ComparesWithTheNewestOfThisModel) {
  PutUsedAt(Numbered("a", 1), 1);
  PutUsedAt(Numbered("a", 2), 2);
  PutUsedAt(Numbered("b", 3), 3);
  EXPECT_EQ(Reason(Numbered("a", 7).inputs), "calibration.samples is 7, was 2");
  EXPECT_THAT(Reason(Numbered("c", 3).inputs), StartsWith("model.sha256 is "));
}

TEST_F(ArtifactStoreTest, RefusesWhatIsDamaged) {
  const Artifact artifact = FullArtifact();
  Put(artifact);
  const fs::path file = Files()[0];
  std::ifstream in(file, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  std::string flipped = whole;
  flipped[whole.size() / 2] ^= 1;
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {whole.substr(0, whole.size() - 1), "is truncated"},
      {whole.substr(0, 50), "does not begin as an artifact does"},
      {flipped, "is damaged"},
      {"{\"hello\": \"world\"}", "does not begin as an artifact does"},
      {std::string(1 << 20, '['), "does not begin as an artifact does"}};
  for (const auto& [bytes, says] : cases) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    EXPECT_THAT(Reason(artifact.inputs), HasSubstr(says));
  }
  // Larger than any: a sparse file, refused before it is read.
  fs::resize_file(file, int64_t{8} << 30);
  EXPECT_THAT(Reason(artifact.inputs), HasSubstr("bytes, at most"));
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_THAT(Reason(artifact.inputs), HasSubstr("is not a regular file"));
  fs::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  EXPECT_THAT(Reason(artifact.inputs), HasSubstr("is not a regular file"));
  fs::remove(file);
  Put(artifact);
  EXPECT_TRUE(store_.Find(artifact.inputs).artifact.has_value());
}

TEST_F(ArtifactStoreTest, AnArtifactUnderAnothersNameIsNotUsed) {
  Put(Numbered("a", 1));
  const fs::path one = Files()[0];
  Put(Numbered("a", 2));
  const fs::path two = Files()[0] == one ? Files()[1] : Files()[0];
  fs::copy_file(two, one, fs::copy_options::overwrite_existing);
  EXPECT_THAT(Reason(Numbered("a", 1).inputs),
              HasSubstr("was made from other inputs: calibration.samples is 1, "
                        "was 2"));
}

TEST_F(ArtifactStoreTest, KeepsTheNewestOfEachModel) {
  constexpr int kMost = ArtifactStore::kMaxOfModel;
  PutUsedAt(Numbered("other", 0), -100);
  for (int i = 0; i < kMost; ++i) PutUsedAt(Numbered("a", i), i);
  // The oldest is used again.
  ASSERT_TRUE(store_.Find(Numbered("a", 0).inputs).artifact.has_value());
  for (int i = kMost; i < kMost + 3; ++i) PutUsedAt(Numbered("a", i), i);
  EXPECT_EQ(Files().size(), ArtifactStore::kMaxOfModel + 1);
  for (int i = 0; i < kMost + 3; ++i) {
    EXPECT_EQ(store_.Find(Numbered("a", i).inputs).artifact.has_value(),
              i == 0 || i > 3)
        << i;
  }
  EXPECT_TRUE(store_.Find(Numbered("other", 0).inputs).artifact.has_value());
}

TEST_F(ArtifactStoreTest, LeavesOtherPeoplesFilesAlone) {
  fs::create_directories(Directory());
  std::ofstream(fs::path(Directory()) / "notes.json") << "mine";
  for (int i = 0; i < 20; ++i) Put(Numbered("a", i));
  EXPECT_TRUE(fs::exists(fs::path(Directory()) / "notes.json"));
}

TEST_F(ArtifactStoreTest, ADirectoryThatCannotBeMadeIsAnError) {
  std::ofstream(Directory()) << "a file is in its place";
  const absl::Status put = store_.Put(FullArtifact());
  EXPECT_FALSE(put.ok());
  EXPECT_THAT(std::string(put.message()), HasSubstr(Directory()));
  EXPECT_FALSE(store_.Find(FullArtifact().inputs).artifact.has_value());
}

// A writer that is killed at any moment, again and again: what is found is
// whole or is not there at all.
TEST_F(ArtifactStoreTest, KillingAWriterNeverLeavesAPart) {
  constexpr int kRounds = 150;
  Artifact artifact = FullArtifact();
  // A few hundred kilobytes, so that writing takes a while.
  for (int i = 0; i < 3000; ++i) {
    artifact.recipe.ranges[absl::StrCat("value", i)] = {{-1.5f, 1.0f / 7},
                                                        {-2, 2}};
  }
  const std::string text = *ArtifactText(artifact);
  // However long a Put takes here, kills fall into all of it, and behind it.
  const auto start = std::chrono::steady_clock::now();
  Put(artifact);
  const int64_t put_us = std::chrono::duration_cast<std::chrono::microseconds>(
                             std::chrono::steady_clock::now() - start)
                             .count();
  std::mt19937 random(1);  // NOLINT: any numbers do
  int found = 0;
  for (int round = 0; round < kRounds; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      while (true) store_.Put(artifact).IgnoreError();
    }
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % (4 * put_us)));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    const ArtifactLookup lookup = store_.Find(artifact.inputs);
    if (lookup.artifact.has_value()) {
      ++found;
      ASSERT_EQ(*ArtifactText(*lookup.artifact), text);
    } else {
      ASSERT_THAT(lookup.reason, StartsWith("no artifact is kept yet"));
    }
    // From nothing to something is the moment that matters most.
    if (round % 3 == 0) fs::remove_all(Directory());
  }
  EXPECT_GT(found, 0);
  // Whatever the killed ones left goes with the next.
  Put(artifact);
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(ArtifactStoreTest, ManyProcessesShareADirectory) {
  constexpr int kProcesses = 4;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = fork();
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    bool good = true;
    for (int i = 0; i < 30; ++i) {
      // All write the same, and one each that nobody else does.
      good &= store_.Put(Numbered("shared", 0)).ok();
      good &= store_.Put(Numbered(absl::StrCat("own", p), 0)).ok();
      good &= store_.Find(Numbered("shared", 0).inputs).artifact.has_value();
      good &= store_.Find(Numbered(absl::StrCat("own", p), 0).inputs)
                  .artifact.has_value();
    }
    _exit(good ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(Files().size(), kProcesses + 1);
}

}  // namespace
}  // namespace quantserve
