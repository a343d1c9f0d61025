// Text and elements of a page.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace quantserve::report {

// Text from outside for an element's content or a quoted attribute: markup
// characters as entities; control characters, characters that turn the
// direction of writing and bytes that are not UTF-8 as U+FFFD; tabs and line
// ends as spaces; cut with "…" after 300 characters.
std::string Escape(absl::string_view text);

// A section with a heading that a table of contents may link to. `id` and
// `heading` are ours; `html` is markup.
std::string Section(absl::string_view id, absl::string_view heading,
                    absl::string_view html);

// A table in a box that scrolls by itself where the screen is too narrow.
// `head` and `body` are rows.
std::string Table(absl::string_view id, absl::string_view label,
                  absl::string_view head, absl::string_view body);

// Heads of columns; a head in `numeric` is set to the right.
std::string Head(absl::string_view name, bool numeric = false);
// A cell that sorts by `key`; an empty key sorts last.
// Narrow screens show `label`, if any, in place of the column's head.
std::string Cell(absl::string_view key, absl::string_view html,
                 absl::string_view label = "");
std::string TextCell(absl::string_view html, absl::string_view label = "");

// "INT8" or "FP32", coloured like everything of that precision.
std::string PrecisionBadge(bool quantized);

}  // namespace quantserve::report
