#include "quant/torch/shard_batch.h"

namespace quantserve {

std::vector<at::Tensor> ShardBatch(const Shard& shard,
                                   const Preprocessing& preprocessing,
                                   int64_t first, int64_t count,
                                   int64_t batch) {
  std::vector<at::Tensor> inputs;
  for (size_t i = 0; i < shard.num_inputs(); ++i) {
    Shape shape = shard.sample_shape(i);
    shape.insert(shape.begin(), batch);
    inputs.push_back(torch::zeros(shape, torch::kFloat32));
    shard.Copy(i, first, count, preprocessing,
               {inputs.back().data_ptr<float>(),
                static_cast<size_t>(count * shard.sample_elements(i))});
  }
  return inputs;
}

}  // namespace quantserve
