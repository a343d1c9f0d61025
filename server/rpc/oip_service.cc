#include "server/rpc/oip_service.h"

#include <algorithm>
#include <utility>

#include "quant/base/status_macros.h"
#include "server/core/steady_clock.h"
#include "server/rpc/oip_answer.h"
#include "server/rpc/oip_codec.h"
#include "server/rpc/prediction.h"

namespace quantserve {
namespace {

class InferCall final : public UnaryCall {
 public:
  InferCall(const RpcEnvironment& env, grpc::CallbackServerContext* context,
            const inference::ModelInferRequest* request,
            inference::ModelInferResponse* response)
      : UnaryCall(Rpc::kModelInfer, env, context),
        env_(env),
        deadline_(DeadlineOf(*context)),
        request_(request),
        response_(response),
        ticket_(env.pool->NewTicket()),
        prediction_(env, &ours_, &answer_, ticket_) {}

  void Start() {
    const absl::Status started = Submit();
    if (!started.ok()) Complete(started);
  }

 private:
  absl::Status Submit() {
    QS_RETURN_IF_ERROR(scope().admission());
    scope().set_id(&request_->id());
    QS_ASSIGN_OR_RETURN(model_, scope().FindModel(request_->model_name()));
    QS_RETURN_IF_ERROR(FromOip(*request_, &ours_));
    QS_RETURN_IF_ERROR(CheckOipOutputs(*request_, model_->info().outputs));
    absl::Duration timeout;
    QS_RETURN_IF_ERROR(OipTimeout(*request_, &timeout));
    return prediction_.Start(
        &scope(), std::min(deadline_, SteadyNow() + timeout),
        [this](const absl::Status& status) { Answer(status); });
  }

  void Answer(const absl::Status& status) {
    if (status.ok()) {
      ToOip(*request_, model_->class_names(), &answer_, response_);
      response_->set_id(request_->id());
    }
    Complete(status);
  }

  void OnCancel() override { env_.pool->Cancel(ticket_); }
  void OnDone() override {
    if (prediction_.shadowed()) TakeBack(response_, &answer_);
    prediction_.AfterAnswer();
    delete this;
  }

  const RpcEnvironment& env_;
  const absl::Time deadline_;
  const inference::ModelInferRequest* const request_;
  inference::ModelInferResponse* const response_;
  const uint64_t ticket_;
  const ModelHost* model_ = nullptr;  // set by Submit
  v1::PredictRequest ours_;
  v1::PredictResponse answer_;
  Prediction prediction_;
};

// A call that is answered at once.
class ShortCall final : public UnaryCall {
 public:
  ShortCall(const RpcEnvironment& env, grpc::CallbackServerContext* context)
      : UnaryCall(Rpc::kOip, env, context) {}

  // `answer`: absl::Status(CallScope&). Asked while the server drains, too:
  // whoever asks whether it is ready is to hear that it is not.
  template <typename Answer>
  void Start(Answer answer) {
    Complete(answer(scope()));
  }
};

template <typename Answer>
grpc::ServerUnaryReactor* AtOnce(const RpcEnvironment& env,
                                 grpc::CallbackServerContext* context,
                                 Answer answer) {
  auto* call = new ShortCall(env, context);
  call->Start(std::move(answer));
  return call;
}

inference::DataType ConfigType(const TensorSpec& spec) {
  return spec.integers ? inference::TYPE_INT64 : inference::TYPE_FP32;
}

void Describe(const std::vector<TensorSpec>& specs,
              google::protobuf::RepeatedPtrField<
                  inference::ModelMetadataResponse::TensorMetadata>* out) {
  for (const TensorSpec& spec : specs) {
    auto* tensor = out->Add();
    tensor->set_name(spec.name);
    tensor->set_datatype(OipDatatype(spec));
    tensor->add_shape(-1);
    for (const int64_t dim : spec.shape) tensor->add_shape(dim);
  }
}

// What a question is about; asking takes no turn of the routing's.
absl::StatusOr<VariantRegistry::Snapshot> Usual(const ModelHost& model,
                                                const std::string& version) {
  return model.registry().FindUsual(VariantOfVersion(version));
}

// Whether the server was told to serve it.
bool Offers(const ModelHost& model, VariantId id) {
  return id != VariantId::kBf16 || model.config().model.bf16;
}

void AddStatistics(ModelHost* model, const std::string& version,
                   inference::ModelStatisticsResponse* response) {
  for (const VariantId id : kAllVariants) {
    if (!Offers(*model, id)) continue;
    if (!version.empty() && VariantOfVersion(version) != VariantName(id)) {
      continue;
    }
    inference::ModelStatistics* out = response->add_model_stats();
    out->set_name(model->name());
    out->set_version(VersionOf(id, version, VersionStyle::kNumber));
    ToOip(model->metrics().statistics(id).Get(), out);
  }
}

void AddIndex(const ModelHost& model, bool only_ready,
              inference::RepositoryIndexResponse* response) {
  for (const VariantId id : kAllVariants) {
    if (!Offers(model, id)) continue;
    const bool ready = model.registry().Get(id) != nullptr;
    if (only_ready && !ready) continue;
    auto* row = response->add_models();
    row->set_name(model.name());
    row->set_version(VariantName(id));
    row->set_state(ready ? "READY" : "UNAVAILABLE");
    row->set_reason(model.registry().UnavailableReason(id));
  }
}

}  // namespace

grpc::ServerUnaryReactor* OipServiceImpl::ServerLive(
    grpc::CallbackServerContext* context, const inference::ServerLiveRequest*,
    inference::ServerLiveResponse* response) {
  return AtOnce(env_, context, [response](CallScope&) {
    response->set_live(true);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* OipServiceImpl::ServerReady(
    grpc::CallbackServerContext* context, const inference::ServerReadyRequest*,
    inference::ServerReadyResponse* response) {
  return AtOnce(env_, context, [this, response](CallScope&) {
    response->set_ready(env_.lifecycle->ready());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* OipServiceImpl::ModelReady(
    grpc::CallbackServerContext* context,
    const inference::ModelReadyRequest* request,
    inference::ModelReadyResponse* response) {
  return AtOnce(
      env_, context,
      [this, request, response](CallScope& scope) -> absl::Status {
        QS_ASSIGN_OR_RETURN(const ModelHost* model,
                            scope.FindModel(request->name()));
        const auto variant = Usual(*model, request->version());
        if (absl::IsNotFound(variant.status())) return variant.status();
        response->set_ready(variant.ok() && !env_.lifecycle->stopping());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* OipServiceImpl::ServerMetadata(
    grpc::CallbackServerContext* context,
    const inference::ServerMetadataRequest*,
    inference::ServerMetadataResponse* response) {
  return AtOnce(env_, context, [this, response](CallScope&) {
    response->set_name("quantserve");
    response->set_version(env_.build.version);
    for (const char* extension : {"classification", "model_configuration",
                                  "model_repository", "statistics"}) {
      response->add_extensions(extension);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* OipServiceImpl::ModelMetadata(
    grpc::CallbackServerContext* context,
    const inference::ModelMetadataRequest* request,
    inference::ModelMetadataResponse* response) {
  return AtOnce(
      env_, context, [request, response](CallScope& scope) -> absl::Status {
        QS_ASSIGN_OR_RETURN(const ModelHost* model,
                            scope.FindModel(request->name()));
        QS_RETURN_IF_ERROR(Usual(*model, request->version()).status());
        response->set_name(model->name());
        for (const VariantId id : kAllVariants) {
          if (model->registry().Get(id) != nullptr) {
            response->add_versions(VariantName(id));
          }
        }
        response->set_platform("quantserve_torchscript");
        Describe(model->info().inputs, response->mutable_inputs());
        Describe(model->info().outputs, response->mutable_outputs());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* OipServiceImpl::ModelConfig(
    grpc::CallbackServerContext* context,
    const inference::ModelConfigRequest* request,
    inference::ModelConfigResponse* response) {
  return AtOnce(
      env_, context,
      [this, request, response](CallScope& scope) -> absl::Status {
        QS_ASSIGN_OR_RETURN(const ModelHost* model,
                            scope.FindModel(request->name()));
        QS_RETURN_IF_ERROR(Usual(*model, request->version()).status());
        inference::ModelConfig* config = response->mutable_config();
        config->set_name(model->name());
        config->set_platform("quantserve_torchscript");
        config->set_backend("quantserve");
        config->set_max_batch_size(model->config().model.max_batch);
        config->mutable_dynamic_batching()->set_max_queue_delay_microseconds(
            static_cast<uint64_t>(
                absl::ToInt64Microseconds(env_.serving.max_queue_delay)));
        for (const TensorSpec& spec : model->info().inputs) {
          inference::ModelInput* input = config->add_input();
          input->set_name(spec.name);
          input->set_data_type(ConfigType(spec));
          for (const int64_t dim : spec.shape) input->add_dims(dim);
        }
        for (const TensorSpec& spec : model->info().outputs) {
          inference::ModelOutput* output = config->add_output();
          output->set_name(spec.name);
          output->set_data_type(ConfigType(spec));
          for (const int64_t dim : spec.shape) output->add_dims(dim);
        }
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* OipServiceImpl::ModelStatistics(
    grpc::CallbackServerContext* context,
    const inference::ModelStatisticsRequest* request,
    inference::ModelStatisticsResponse* response) {
  return AtOnce(env_, context,
                [this, request, response](CallScope& scope) -> absl::Status {
                  ModelHost* only = nullptr;
                  if (!request->name().empty()) {
                    QS_ASSIGN_OR_RETURN(only, scope.FindModel(request->name()));
                    const auto variant = Usual(*only, request->version());
                    if (absl::IsNotFound(variant.status()))
                      return variant.status();
                  }
                  for (const auto& model : env_.models->all()) {
                    if (only != nullptr && only != model.get()) continue;
                    AddStatistics(model.get(), request->version(), response);
                  }
                  return absl::OkStatus();
                });
}

grpc::ServerUnaryReactor* OipServiceImpl::RepositoryIndex(
    grpc::CallbackServerContext* context,
    const inference::RepositoryIndexRequest* request,
    inference::RepositoryIndexResponse* response) {
  return AtOnce(env_, context, [this, request, response](CallScope&) {
    for (const auto& model : env_.models->all()) {
      AddIndex(*model, request->ready(), response);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* OipServiceImpl::ModelInfer(
    grpc::CallbackServerContext* context,
    const inference::ModelInferRequest* request,
    inference::ModelInferResponse* response) {
  auto* call = new InferCall(env_, context, request, response);
  call->Start();
  return call;
}

}  // namespace quantserve
