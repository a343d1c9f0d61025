// Shadow mode on real sockets with a fake model: an operator sees what a
// candidate would have answered.
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "inference/grpc_service.grpc.pb.h"
#include "tests/server/rpc/service_fixture.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

// What INT8 answers is FP32's answer reversed, so that hardly any agrees.
class ShadowModeTest : public ServiceTest {
 protected:
  ShadowModeTest() {
    options_.models[0].quantization.gate.min_agreement = 0;
    options_.models[0].rollout.shadow_percent = 100;
  }
  v1::ModelStatus Model() { return client_->GetStatus()->models(0); }
  // Calls until the row has `samples`: some of the calls may be dropped.
  template <typename Call>
  v1::ShadowComparison Compare(const std::string& variant, int64_t samples,
                               Call call) {
    const absl::Time deadline = absl::Now() + absl::Minutes(2);
    while (absl::Now() < deadline) {
      call();
      const v1::ModelStatus model = Model();
      for (const v1::ShadowComparison& row : model.shadows()) {
        if (row.variant() == variant && row.samples() >= samples) return row;
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
    ADD_FAILURE() << Model().ShortDebugString();
    return {};
  }
  void Predict(const std::string& variant) {
    const auto response = client_->Predict(Request(variant));
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->generation(), 1);
  }
};

TEST_F(ShadowModeTest, ShowsWhatACandidateWouldAnswer) {
  Start();
  controls_->wrong_int8 = true;
  v1::QuantizeRequest quantize;
  quantize.set_hold(true);
  ASSERT_TRUE(client_->Quantize(quantize, nullptr).ok());
  for (const std::string variant : {"fp32", "int8"}) {
    const auto row = Compare(variant, 3, [&] { Predict(variant); });
    EXPECT_TRUE(row.candidate());
    EXPECT_EQ(row.shadow(), "int8");
    EXPECT_EQ(row.generation(), 1);
    EXPECT_EQ(row.shadow_generation(), 2);
    EXPECT_EQ(row.comparison().agreement(), 0);
    EXPECT_NEAR(row.comparison().sqnr_db(), 10 * std::log10(51. / 26), 1e-9);
    const std::string labels =
        "{model=\"fake\",shadow=\"candidate\",variant=\"" + variant + "\"}";
    EXPECT_EQ(Metric("quantserve_shadow_agreement_ratio" + labels), "0");
    EXPECT_THAT(Metric("quantserve_shadow_sqnr_decibels" + labels),
                HasSubstr("2.9"));
    EXPECT_GE(std::stoi(Metric("quantserve_shadow_samples_total" + labels)), 3);
  }
  // The live requests' numbers know nothing of it.
  for (const char* name :
       {"quantserve_unwanted_samples_total{model=\"fake\",variant=\"int8\"}",
        "quantserve_variant_agreement_ratio{model=\"fake\",variant="
        "\"fp32\"}"}) {
    EXPECT_THAT(Metric(name), ::testing::AnyOf("0", "absent"));
  }
}

TEST_F(ShadowModeTest, WithoutACandidateFp32AndInt8RunBesideEachOther) {
  Start();
  const auto int8 = Compare("fp32", 1, [&] { Predict("fp32"); });
  EXPECT_EQ(int8.shadow(), "int8");
  EXPECT_FALSE(int8.candidate());
  EXPECT_EQ(int8.comparison().agreement(), 1);
  EXPECT_EQ(Compare("int8", 1, [&] { Predict("int8"); }).shadow(), "fp32");
}

TEST_F(ShadowModeTest, TheShareIsExactAndChangedWhileItServes) {
  options_.models[0].rollout.shadow_percent = 0;
  Start();
  for (int i = 0; i < 20; ++i) Predict("fp32");
  EXPECT_EQ(Model().shadows_size(), 0);
  v1::SetRoutingRequest route;
  route.set_shadow_percent(101);
  route.set_int8_percent(3);
  EXPECT_EQ(client_->SetRouting(route).status(),
            absl::InvalidArgumentError("shadow_percent is 101, want 0 to 100"));
  EXPECT_EQ(Model().routing().int8_percent(), 100);
  route.clear_int8_percent();
  route.set_shadow_percent(25);
  ASSERT_TRUE(client_->SetRouting(route).ok());
  EXPECT_EQ(Model().routing().shadow_percent(), 25);
  EXPECT_EQ(Metric("quantserve_shadow_share_ratio{model=\"fake\"}"), "0.25");
  for (int i = 0; i < 100; ++i) Predict("fp32");
  const absl::Time deadline = absl::Now() + absl::Minutes(2);
  int64_t seen = 0;
  while (seen < 25 && absl::Now() < deadline) {
    seen = 0;
    const v1::ModelStatus model = Model();
    for (const auto& row : model.shadows()) {
      seen += row.samples() + row.dropped();
    }
  }
  EXPECT_EQ(seen, 25);
}

TEST_F(ShadowModeTest, StreamsAndTheOpenInferenceProtocolAreShadowedToo) {
  Start();
  const auto stub = v1::InferenceService::NewStub(channel_);
  grpc::ClientContext context;
  const auto stream = stub->PredictStream(&context);
  Compare("int8", 1, [&] {
    EXPECT_TRUE(stream->Write(Request("int8")));
    v1::PredictStreamReply reply;
    EXPECT_TRUE(stream->Read(&reply));
  });
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());

  const auto oip = inference::GRPCInferenceService::NewStub(channel_);
  inference::ModelInferRequest request;
  request.set_model_name("fake");
  request.set_model_version("fp32");
  auto* input = request.add_inputs();
  input->set_name("x");
  input->set_datatype("FP32");
  for (int64_t dim : {2, 3, 2, 2}) input->add_shape(dim);
  std::vector<float> values(24, 0);
  values[3] = values[12] = 2;
  request.add_raw_input_contents(values.data(), 24 * sizeof(float));
  const auto row = Compare("fp32", 2, [&] {
    grpc::ClientContext call;
    inference::ModelInferResponse response;
    EXPECT_TRUE(oip->ModelInfer(&call, request, &response).ok());
  });
  EXPECT_EQ(row.samples() % 2, 0);
  EXPECT_EQ(row.comparison().agreement(), 1);
}

TEST_F(ShadowModeTest, AStopWaitsForNoShadow) {
  Start();
  Predict("fp32");
  server_->BeginShutdown();
  EXPECT_TRUE(server_->Shutdown());
}

}  // namespace
}  // namespace quantserve
