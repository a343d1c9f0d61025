// Files that are there whole or not at all: written beside their place, forced
// to the disk, renamed. A process that is killed, or a machine that loses its
// power, leaves the old file or the new one, never a part of either.
//
//   QS_RETURN_IF_ERROR(WriteFileAtomically("report.json", text));
//
// Thread-safe; several processes, on several machines too, may write the same
// file: the last one wins.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quantserve {

// Puts `bytes` into the file, in place of what is there. If that fails, what
// was there stays, and the error names the file and the system's reason:
// NOT_FOUND without a folder, PERMISSION_DENIED, RESOURCE_EXHAUSTED on a full
// disk, … as absl::ErrnoToStatusCode has them; INVALID_ARGUMENT for a folder, a
// device or anything else that is no regular file.
absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view bytes);

// The same for those who write files by name: `write` gets the name of an empty
// file in the same folder and fills it. Its error is returned as it is.
absl::Status WriteFileAtomically(
    const std::string& path,
    const std::function<absl::Status(const std::string& temporary)>& write);

// Removes what killed writers left in `directory` of files whose names start
// with `prefix`. Those of living writers are locked and stay. Every
// WriteFileAtomically does so for its own file.
void RemoveLeftovers(const std::string& directory, absl::string_view prefix);

}  // namespace quantserve
