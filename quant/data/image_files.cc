#include "quant/data/image_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

// Their names are kept in memory, about 64 bytes each.
constexpr size_t kMaxFiles = size_t{1} << 24;

absl::Status Bad(absl::string_view what) {
  return absl::InvalidArgumentError(what);
}

bool IsImageName(const std::string& name) {
  const std::string lower = absl::AsciiStrToLower(name);
  return absl::EndsWith(lower, ".jpg") || absl::EndsWith(lower, ".jpeg") ||
         absl::EndsWith(lower, ".png");
}

// What is in a folder, sorted, hidden entries left out.
struct Entries {
  std::vector<std::string> folders;
  std::vector<std::string> images;
};

// `shown` is what messages call the folder.
absl::StatusOr<Entries> List(const fs::path& folder, const std::string& shown,
                             const JobControl& control) {
  Entries entries;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  for (int64_t i = 0; !error && at != fs::directory_iterator(); ++i) {
    if (i % 1024 == 1023) QS_RETURN_IF_ERROR(control.Report("list", i, i));
    const std::string name = at->path().filename().string();
    if (name[0] != '.') {
      std::error_code unknown;
      const fs::file_status status = at->status(unknown);
      if (status.type() == fs::file_type::directory) {
        entries.folders.push_back(name);
      } else if (IsImageName(name)) {
        // Opening it tells what is wrong with it, if anything is.
        entries.images.push_back(name);
      } else if (unknown && status.type() == fs::file_type::none) {
        return Bad(absl::StrCat(
            "holds ", shown, name, ", which can't be looked at: ",
            unknown.message(), ", expected images or folders of images"));
      }
      if (entries.folders.size() + entries.images.size() > kMaxFiles) {
        return Bad(absl::StrCat("holds more than ", kMaxFiles,
                                " files, expected fewer"));
      }
    }
    at.increment(error);
  }
  if (error) {
    return Bad(absl::StrCat(
        shown.empty() ? "" : absl::StrCat("holds ", shown, ", which "),
        "can't be listed: ", error.message(), ", expected a folder of images"));
  }
  std::sort(entries.folders.begin(), entries.folders.end());
  std::sort(entries.images.begin(), entries.images.end());
  return entries;
}

absl::Status AddClass(const std::string& path, const std::string& name,
                      const JobControl& control, ImageFiles* files) {
  QS_ASSIGN_OR_RETURN(Entries entries, List(fs::path(path) / name,
                                            absl::StrCat(name, "/"), control));
  if (!entries.folders.empty()) {
    return Bad(absl::StrCat("holds the folder ", name, "/", entries.folders[0],
                            ", expected class/name.jpg|jpeg|png and no folders "
                            "in the classes"));
  }
  if (entries.images.empty()) {
    return Bad(absl::StrCat("holds no image for class \"", name,
                            "\", expected *.jpg, *.jpeg or *.png in it"));
  }
  if (files->files.size() + entries.images.size() > kMaxFiles) {
    return Bad(
        absl::StrCat("holds more than ", kMaxFiles, " files, expected fewer"));
  }
  const int32_t label = static_cast<int32_t>(files->classes.size());
  files->classes.push_back(name);
  for (std::string& image : entries.images) {
    files->files.push_back({std::move(image), label});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageFiles> ListImageFiles(const std::string& path,
                                          const JobControl& control) {
  QS_ASSIGN_OR_RETURN(Entries entries, List(path, "", control));
  if (entries.images.empty() && entries.folders.empty()) {
    return Bad(
        "holds no images, expected *.jpg, *.jpeg or *.png, or a folder of them "
        "for each class");
  }
  if (!entries.images.empty() && !entries.folders.empty()) {
    return Bad(absl::StrCat("holds the image ", entries.images[0],
                            " beside the folder ", entries.folders[0],
                            ", expected only images or only folders of them"));
  }
  ImageFiles files;
  for (std::string& image : entries.images) {
    files.files.push_back({std::move(image), 0});
  }
  for (const std::string& folder : entries.folders) {
    QS_RETURN_IF_ERROR(AddClass(path, folder, control, &files));
  }
  return files;
}

}  // namespace quantserve
