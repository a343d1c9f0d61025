#include "quant/report/html.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace quantserve::report {
namespace {

constexpr int kMaxShown = 300;
constexpr char kReplacement[] = "\ufffd";

// The length of the UTF-8 sequence at the start of `text` and its code point; 0
// if it is not one (overlong forms and surrogates are not).
int Decode(absl::string_view text, uint32_t* code) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) {
    *code = first;
    return 1;
  }
  const int length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 ||
      text.size() < static_cast<size_t>(length)) {
    return 0;
  }
  *code = first & (0x7f >> length);
  for (int i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    *code = *code << 6 | (byte(i) & 0x3f);
  }
  const uint32_t smallest = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  const bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
  return *code < smallest || *code > 0x10ffff || surrogate ? 0 : length;
}

// Controls, what turns the direction of writing (names that read as others),
// and what is not a character.
bool Unprintable(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e ||
         code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || (code & 0xfffe) == 0xfffe;
}

std::string Label(absl::string_view label) {
  return label.empty() ? "" : absl::StrCat(" data-l=\"", label, "\"");
}

}  // namespace

std::string Escape(absl::string_view text) {
  std::string out;
  for (int shown = 0; !text.empty(); ++shown) {
    if (shown == kMaxShown) return out + "…";
    uint32_t code = 0;
    const int length = Decode(text, &code);
    if (length == 0) {
      out += kReplacement;
      text.remove_prefix(1);
      continue;
    }
    if (code == '&') {
      out += "&amp;";
    } else if (code == '<') {
      out += "&lt;";
    } else if (code == '>') {
      out += "&gt;";
    } else if (code == '"') {
      out += "&quot;";
    } else if (code == '\'') {
      out += "&#39;";
    } else if (code == '\t' || code == '\n' || code == '\r') {
      out += ' ';
    } else if (Unprintable(code)) {
      out += kReplacement;
    } else {
      absl::StrAppend(&out, text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string Section(absl::string_view id, absl::string_view heading,
                    absl::string_view html) {
  return absl::StrCat("<section id=\"", id, "\" aria-labelledby=\"", id,
                      "-title\"><h2 id=\"", id, "-title\">", heading, "</h2>\n",
                      html, "</section>\n");
}

std::string Table(absl::string_view id, absl::string_view label,
                  absl::string_view head, absl::string_view body) {
  // Focusable, so that a keyboard can scroll it.
  return absl::StrCat("<div class=\"scroll\" role=\"region\" tabindex=\"0\"",
                      " aria-label=\"", label, "\"><table id=\"", id,
                      "\"><thead><tr>", head, "</tr></thead>\n<tbody>\n", body,
                      "</tbody></table></div>\n");
}

std::string Head(absl::string_view name, bool numeric) {
  return absl::StrCat("<th scope=\"col\"", numeric ? " class=\"n\">" : ">",
                      name, "</th>");
}

std::string Cell(absl::string_view key, absl::string_view html,
                 absl::string_view label) {
  return absl::StrCat("<td class=\"n\" data-v=\"", key, "\"", Label(label), ">",
                      html, "</td>");
}

std::string TextCell(absl::string_view html, absl::string_view label) {
  return absl::StrCat("<td", Label(label), ">", html, "</td>");
}

std::string PrecisionBadge(bool quantized) {
  return quantized ? "<b class=\"int8\">INT8</b>"
                   : "<b class=\"fp32\">FP32</b>";
}

}  // namespace quantserve::report
