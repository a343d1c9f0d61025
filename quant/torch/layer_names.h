// Layers are called what the model's author called them.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace quantserve {

// Names the tensors of a graph whose calls were inlined after the modules that
// compute them: "layer1.0.conv1" for a module of one operator, "layer1.0.add"
// for a container or a module of several, "layer1.0.relu#2" for the second of a
// name. Reads the nodes' call stacks: what has none, or lies in no submodule,
// keeps its name, and so do all layers of a model that was frozen when it was
// saved.
void NameByModules(torch::jit::Graph* graph);

}  // namespace quantserve
