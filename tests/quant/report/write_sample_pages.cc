// Writes the sample documents as pages for browser_test.py:
//   write_sample_pages FOLDER
#include <iostream>

#include "quant/report/report.h"
#include "tests/quant/report/sample_document.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write_sample_pages FOLDER\n";
    return 2;
  }
  const std::string folder = std::string(argv[1]) + "/";
  const std::pair<const char*, quantserve::ReportDocument> pages[] = {
      {"sample", quantserve::SampleDocument()},
      {"large", quantserve::SampleDocumentOf(500)},
      {"hostile", quantserve::HostileDocument()},
      {"empty", quantserve::EmptyDocument()}};
  for (const auto& [name, document] : pages) {
    for (const char* ending : {".html", ".json"}) {
      const absl::Status status =
          quantserve::WriteReport(document, folder + name + ending);
      if (!status.ok()) {
        std::cerr << status << "\n";
        return 1;
      }
    }
  }
}
