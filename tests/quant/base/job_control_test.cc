#include "quant/base/job_control.h"

#include <vector>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

TEST(JobControlTest, WithoutFunctionsEveryReportIsOk) {
  EXPECT_TRUE(JobControl().Report("ranges", 1, 2).ok());
}

TEST(JobControlTest, ReportsBeforeItAsksWhetherToStop) {
  std::vector<Progress> seen;
  bool stop = false;
  JobControl control{[&](const Progress& p) { seen.push_back(p); },
                     [&] { return stop; }};
  EXPECT_TRUE(control.Report("ranges", 1, 2).ok());
  stop = true;
  EXPECT_EQ(control.Report("ranges", 2, 2).code(),
            absl::StatusCode::kCancelled);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].phase, "ranges");
  EXPECT_EQ(seen[1].done, 2);
  EXPECT_EQ(seen[1].total, 2);
}

}  // namespace
}  // namespace quantserve
