#include "server/rpc/quantize_call.h"

#include <utility>

#include "quant/base/status_macros.h"
#include "server/rpc/quantize_options.h"
#include "server/rpc/report_codec.h"
#include "server/rpc/report_document.h"

namespace quantserve {

void QuantizeCall::Start(const v1::QuantizeRequest& request) {
  const absl::Status started = StartJob(request);
  if (!started.ok()) End(started);
}

absl::Status QuantizeCall::StartJob(const v1::QuantizeRequest& request) {
  QS_RETURN_IF_ERROR(scope_.admission());
  QS_ASSIGN_OR_RETURN(model_, scope_.FindModel(request.model()));
  scope_.set_variant(VariantId::kInt8);
  QS_ASSIGN_OR_RETURN(QuantizeSpec spec,
                      model_->MakeQuantizeSpec(
                          request.range_method(), request.calibration_shard(),
                          request.samples(), request.dry_run()));
  if (request.hold() && request.dry_run()) {
    return absl::InvalidArgumentError(
        "hold and dry_run are both set, want one of them");
  }
  spec.hold = request.hold();
  spec.options.force = !request.reuse_artifact();
  QS_RETURN_IF_ERROR(OverlayOptions(request, &spec.options));
  QS_ASSIGN_OR_RETURN(
      auto job, model_->Quantize(
                    std::move(spec),
                    [this](const Progress& progress) { OnProgress(progress); },
                    [this](const std::shared_ptr<const QuantizationRun>& run) {
                      OnJobDone(*run);
                    }));
  cancel_.SetJob(std::move(job));
  return absl::OkStatus();
}

void QuantizeCall::OnProgress(const Progress& progress) {
  v1::QuantizeResponse next;
  EncodeProgress(progress, next.mutable_progress());
  Advance([&] { next_ = std::move(next); });
}

void QuantizeCall::OnJobDone(const QuantizationRun& run) {
  // A refusal comes with its numbers; other failures have none to show.
  std::optional<v1::QuantizeResponse> last;
  if (run.status.ok() || run.gate.has_value()) {
    v1::QuantizeResult* result = last.emplace().mutable_result();
    EncodeRun(run, result);
    if (run.spec.options.detailed_report) {
      EncodeDocument(MakeReportDocument(env_.build, *model_, run), result);
    }
  }
  Advance([&] {
    next_ = std::move(last);
    end_ = JobStatus(env_, run.status);
  });
}

void QuantizeCall::OnWriteDone(bool ok) {
  watched_.Sent();
  Advance([&] {
    writing_ = false;
    if (!ok) broken_ = true;
  });
}

void QuantizeCall::Advance(const std::function<void()>& change) {
  std::optional<absl::Status> end;
  {
    MutexLock lock(&mu_);
    change();
    if (writing_) return;
    if (next_.has_value() && !broken_) {
      current_ = *std::move(next_);
      next_.reset();
      writing_ = true;
    } else if (end_.has_value()) {
      end.swap(end_);
    } else {
      return;
    }
  }
  if (end.has_value()) return End(*end);
  watched_.Sending();
  StartWrite(&current_);
}

void QuantizeCall::End(const absl::Status& status) {
  const grpc::Status end = scope_.Finish(status);
  watched_.Sending();
  Finish(end);
}

}  // namespace quantserve
