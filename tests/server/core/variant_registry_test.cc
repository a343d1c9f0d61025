#include "server/core/variant_registry.h"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/fake_model.h"

namespace quantserve {
namespace {

using testing::FakeControls;

class VariantRegistryTest : public ::testing::Test {
 protected:
  std::unique_ptr<ServedVariant> Make(VariantId id, int64_t generation) {
    CompiledVariant compiled;
    compiled.engine = testing::MakeFakeEngine(VariantName(id), controls_);
    auto variant =
        MakeServedVariant(id, generation, std::move(compiled), {}, 2);
    EXPECT_TRUE(variant.ok()) << variant.status();
    return *std::move(variant);
  }
  void Publish(VariantId id, int64_t generation) {
    registry_->Publish(Make(id, generation));
  }

  std::shared_ptr<FakeControls> controls_ = std::make_shared<FakeControls>();
  std::unique_ptr<VariantRegistry> registry_ =
      std::make_unique<VariantRegistry>();
};

TEST_F(VariantRegistryTest, SaysWhatIsMissingWhileNothingIsPublished) {
  EXPECT_EQ(registry_->Find("").status(),
            absl::FailedPreconditionError(
                "variant fp32 is not ready: the server is starting"));
  registry_->SetUnavailable(VariantId::kInt8, "the gate refused it");
  EXPECT_EQ(registry_->Find("int8").status(),
            absl::FailedPreconditionError(
                "variant int8 is not ready: the gate refused it"));
  EXPECT_EQ(registry_->UnavailableReason(VariantId::kInt8),
            "the gate refused it");
}

TEST_F(VariantRegistryTest, RefusesNamesThatAreNoVariant) {
  for (const char* name : {"int4", "FP32", " int8", "fp32\n"}) {
    EXPECT_EQ(registry_->Find(name).status().code(),
              absl::StatusCode::kNotFound)
        << name;
  }
}

TEST_F(VariantRegistryTest, RoutesTheEmptyNameToInt8OnceItIsThere) {
  Publish(VariantId::kFp32, 1);
  EXPECT_EQ((*registry_->Find(""))->id, VariantId::kFp32);
  Publish(VariantId::kInt8, 1);
  EXPECT_EQ((*registry_->Find(""))->id, VariantId::kInt8);
  EXPECT_EQ((*registry_->Find("fp32"))->id, VariantId::kFp32);
}

TEST_F(VariantRegistryTest, ASnapshotOutlivesTheSwap) {
  Publish(VariantId::kInt8, 1);
  const auto old = *registry_->Find("int8");
  Publish(VariantId::kInt8, 2);
  EXPECT_EQ(old->generation, 1);
  EXPECT_EQ(old->contexts.size(), 2);
  EXPECT_EQ((*registry_->Find("int8"))->generation, 2);
  EXPECT_EQ(controls_->engines, 2);
}

TEST_F(VariantRegistryTest, TheLastHolderDoesNotDestroyTheVariantItself) {
  Publish(VariantId::kInt8, 1);
  auto old = *registry_->Find("int8");
  Publish(VariantId::kInt8, 2);
  EXPECT_EQ(controls_->engines, 2);
  old.reset();
  while (controls_->engines == 2) std::this_thread::yield();
  EXPECT_NE(controls_->destroyed_on.load(), std::this_thread::get_id());
}

// For ThreadSanitizer above all.
TEST_F(VariantRegistryTest, IsRolledOutWhileManyLookThingsUp) {
  registry_ =
      std::make_unique<VariantRegistry>(VariantRegistry::Options{true, {}});
  Publish(VariantId::kFp32, 1);
  Publish(VariantId::kInt8, 1);
  std::atomic<bool> stop{false};
  std::atomic<int64_t> found{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto variant = registry_->Find("");
        ASSERT_TRUE(variant.ok()) << variant.status();
        found += (*variant)->generation;
        registry_->candidate();
        registry_->previous();
        registry_->NextGeneration();
        registry_->UnavailableReason(VariantId::kInt8);
      }
    });
  }
  while (found < 100) std::this_thread::yield();
  for (int64_t generation = 2; generation < 40; ++generation) {
    if (generation % 2 == 0) {
      Publish(VariantId::kInt8, generation);
    } else {
      registry_->Hold(Make(VariantId::kInt8, generation));
      EXPECT_TRUE(registry_->Promote(generation).ok());
    }
    registry_->SetInt8Percent(static_cast<int>(generation));
    EXPECT_TRUE(registry_->Rollback().ok());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  registry_.reset();
  EXPECT_EQ(controls_->engines, 0);
}

TEST_F(VariantRegistryTest, DestroysEverythingAtItsEnd) {
  Publish(VariantId::kFp32, 1);
  Publish(VariantId::kInt8, 1);
  registry_.reset();
  EXPECT_EQ(controls_->engines, 0);
}

}  // namespace
}  // namespace quantserve
