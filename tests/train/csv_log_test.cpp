// SPDX-License-Identifier: MIT
#include "gram/train/csv_log.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support.hpp"

using namespace gram;

TEST_CASE("a log is a header and one line for each row, on disk as soon as it is written") {
  const auto path = std::filesystem::temp_directory_path() / "gram_csv_log_test.csv";
  CsvLog log(path.string(), {"epoch", "loss"});
  log.row({1, 0.5});
  log.row({2, 0.123456789});
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  CHECK(text.str() == "epoch,loss\n1,0.5\n2,0.123456789\n");
  CHECK(test::error_of([&] { log.row({1}); }) == path.string() + ": a row of 1 values for 2 columns");
  std::filesystem::remove(path);
}

TEST_CASE("a log that cannot be written says so") {
  CHECK(test::error_of([] { CsvLog("/nowhere/log.csv", {"a"}); }) ==
        "/nowhere/log.csv: cannot be written: No such file or directory");
}

TEST_CASE("a log without a file ignores rows") { CsvLog().row({1, 2, 3}); }
