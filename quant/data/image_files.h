// The images of a folder, by name, before they are read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/base/job_control.h"

namespace quantserve {

struct ImageFiles {
  struct File {
    std::string name;   // without its folder
    int32_t label = 0;  // index into `classes`; 0 if there are none
  };
  std::vector<std::string> classes;  // folders' names, sorted; empty: flat
  std::vector<File> files;           // by class, then by name

  // "class/name.jpg".
  std::string Path(int64_t i) const {
    const File& file = files[i];
    return classes.empty() ? file.name : classes[file.label] + "/" + file.name;
  }
};

// Lists *.jpg, *.jpeg and *.png (in any case) of the folder `path`, or of its
// folders. INVALID_ARGUMENT, in words that continue a sentence about the
// folder: no image in it or in one of its classes, images beside classes,
// folders in classes, entries that can't be looked at, more than 2^24 files.
absl::StatusOr<ImageFiles> ListImageFiles(const std::string& path,
                                          const JobControl& control);

}  // namespace quantserve
