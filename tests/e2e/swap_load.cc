#include "tests/e2e/swap_load.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/testing/http_get.h"

namespace quantserve::testing {
namespace {

constexpr size_t kFailuresKept = 5;
// Between two requests of a client: swaps need some of the cores, too.
constexpr absl::Duration kThinkTime = absl::Milliseconds(2);

class Run {
 public:
  explicit Run(const SwapLoad& load) : load_(load) {}

  SwapResult Go() {
    const auto client = NewClient();
    served_ = begun_ = client->Predict(Request("int8", 0))->generation();
    std::vector<std::thread> clients;
    for (int i = 0; i < load_.clients; ++i) {
      clients.emplace_back([this, i] { Predict(i); });
    }
    for (int swap = 0; swap < load_.swaps && !failed_; ++swap) {
      Swap(client.get());
    }
    stop_ = true;
    for (std::thread& thread : clients) thread.join();
    AwaitLastGeneration();
    result_.generation_bytes = GenerationBytes(client.get());
    result_.answers = answers_;
    result_.stale = stale_;
    return std::move(result_);
  }

 private:
  std::unique_ptr<Client> NewClient() const {
    ClientOptions options;
    options.deadline = absl::Minutes(1);
    return std::make_unique<Client>(load_.target, options);
  }
  v1::PredictRequest Request(const std::string& variant, int sample) const {
    v1::PredictRequest request;
    request.set_variant(variant);
    *request.add_inputs() = ReadSamples(load_.model->test, sample, 1);
    return request;
  }
  void Fail(const absl::Status& status) {
    failed_ = true;
    const std::lock_guard<std::mutex> lock(mu_);
    if (result_.failures.size() < kFailuresKept) {
      result_.failures.push_back(status.ToString());
    }
  }

  void Predict(int number) {
    const auto client = NewClient();
    const v1::PredictRequest requests[] = {Request("fp32", number),
                                           Request("int8", number)};
    for (int i = number; !stop_; ++i) {
      const int64_t before = served_;
      const auto response = client->Predict(requests[i % 2]);
      const int64_t after = begun_;
      if (!response.ok()) return Fail(response.status());
      ++answers_;
      absl::SleepFor(kThinkTime);
      if (response->variant() != "int8") continue;
      const int64_t generation = response->generation();
      if (generation < before || generation > after) ++stale_;
    }
  }

  void Swap(Client* client) {
    v1::QuantizeRequest request;
    request.set_reuse_artifact(true);
    const int64_t seen = answers_;
    ++begun_;
    const auto result = client->Quantize(request, nullptr);
    if (!result.ok()) return Fail(result.status());
    if (result->generation() != begun_) {
      return Fail(absl::InternalError(absl::StrCat(
          "generation ", result->generation(), ", want ", begun_.load())));
    }
    served_ = begun_.load();
    while (answers_ < seen + load_.clients && !failed_) {
      std::this_thread::yield();
    }
    if (load_.after_swap) load_.after_swap();
    result_.resident.push_back(SumOfMetric(HttpGet(load_.metrics_port),
                                           "process_resident_memory_bytes"));
  }

  void AwaitLastGeneration() {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    do {
      absl::SleepFor(absl::Milliseconds(20));
      result_.live = static_cast<int>(
          SumOfMetric(HttpGet(load_.metrics_port),
                      "quantserve_variant_generations_live", "\"int8\""));
    } while (result_.live > 1 && absl::Now() < deadline);
  }

  double GenerationBytes(Client* client) const {
    const std::string scrape = HttpGet(load_.metrics_port);
    const auto of = [&scrape](const char* name) {
      return SumOfMetric(scrape, name, "\"int8\"");
    };
    return of("quantserve_variant_weight_bytes") +
           of("quantserve_variant_context_bytes") *
               client->GetStatus()->server().workers();
  }

  const SwapLoad load_;
  std::atomic<bool> stop_{false}, failed_{false};
  std::atomic<int64_t> answers_{0}, stale_{0};
  // Generations whose publication is over, and whose publication has begun.
  std::atomic<int64_t> served_{0}, begun_{0};
  std::mutex mu_;
  SwapResult result_;
};

}  // namespace

SwapResult SwapUnderLoad(const SwapLoad& load) { return Run(load).Go(); }

}  // namespace quantserve::testing
