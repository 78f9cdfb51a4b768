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
  CHECK(test::error_of([&] { log.row({1}); }) ==
        printable(path.string()) + ": a row of 1 values for 2 columns");
  std::filesystem::remove(path);
}

TEST_CASE("a log that cannot be written says so") {
  CHECK(test::error_of([] { CsvLog("/nowhere/log.csv", {"a"}); }) ==
        "'/nowhere/log.csv': cannot write: No such file or directory");
}

TEST_CASE("the log of a resumed training keeps the rows of the epochs that are done") {
  const auto path = std::filesystem::temp_directory_path() / "gram_csv_log_resumed_test.csv";
  const auto content = [&] {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  };
  std::ofstream(path) << "epoch,loss\n1,0.5\n2,nan\n3,0.125\n4,0.0";  // killed within a row
  CsvLog(path.string(), {"epoch", "loss"}, LogPlace{2}).row({3, 1});
  CHECK(content() == "epoch,loss\n1,0.5\n2,nan\n3,1\n");
  CHECK(test::error_of([&] {
          CsvLog(path.string(), {"epoch", "accuracy"}, LogPlace{2});
        }) == printable(path.string()) + ": cannot be gone on with: its first line is not 'epoch,accuracy'");
  CHECK(content() == "epoch,loss\n1,0.5\n2,nan\n3,1\n");
  for (const char* row : {"x,0.5", "1", "1,2,3", "1,0.5x", "1x,0.5", "1,", "", ","}) {
    CAPTURE(row);
    const std::string lines = text("epoch,loss\n", row, "\n");
    std::ofstream(path) << lines;
    CHECK(test::error_of([&] {
            CsvLog(path.string(), {"epoch", "loss"}, LogPlace{2});
          }) == printable(path.string()) + ": offset 11: a row of 2 numbers is expected");
    CHECK(content() == lines);
  }
  for (const char* rows : {"1,0\n4,0", "2,0\n1,0", "1,0\n1,0", "1,0\nnan,0", "3,0\n4,0", "1,0\n-1,0"}) {
    CAPTURE(rows);
    std::ofstream(path) << text("epoch,loss\n", rows, "\n");
    CHECK(test::error_of([&] {
            CsvLog(path.string(), {"epoch", "loss"}, LogPlace{2});
          }).find(" is not of a training of which 2 epochs are done") != std::string::npos);
  }
  CsvLog(path.string(), {"epoch", "loss"});  // from the beginning: what there was does not count
  CHECK(content() == "epoch,loss\n");
  std::filesystem::remove(path);
  CsvLog(path.string(), {"epoch", "loss"}, LogPlace{2}).row({3, 1});  // there may have been no log before
  CHECK(content() == "epoch,loss\n3,1\n");
  std::filesystem::remove(path);
}

TEST_CASE("a log goes on with the rows that it had, and with no others") {
  const auto path = std::filesystem::temp_directory_path() / "gram_csv_log_checksum_test.csv";
  const std::vector<std::string> columns = {"epoch", "loss"};
  const auto content = [&] {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  };
  std::vector<std::string> checksums;  // after 0, 1, 2 rows
  {
    CsvLog log(path.string(), columns);
    checksums.push_back(log.checksum());
    for (const double epoch : {1, 2}) log.row({epoch, 0.5}), checksums.push_back(log.checksum());
  }
  CHECK(checksums[0] != checksums[1]);
  {
    CsvLog log(path.string(), columns, LogPlace{1, checksums[1]});
    CHECK(log.checksum() == checksums[1]);
    CHECK(content() == "epoch,loss\n1,0.5\n");
    log.row({2, 0.5});
    CHECK(log.checksum() == checksums[2]);
  }
  for (const std::string& other : {checksums[1], std::string("none")}) {
    CHECK(test::error_of([&] {
            CsvLog(path.string(), columns, LogPlace{2, other});
          }) ==
          printable(path.string()) +
              ": not the log of this training: its rows are others than when the first 2 epochs were done");
    CHECK(content() == "epoch,loss\n1,0.5\n2,0.5\n");
  }
  // A log that was begun anew, and lost its training before the first row, is nobody else's.
  for (const char* begun : {"", "epoch,loss\n"}) {
    std::ofstream(path) << begun;
    CHECK(CsvLog(path.string(), columns, LogPlace{2, checksums[2]}).checksum() == checksums[0]);
    CHECK(content() == "epoch,loss\n");
  }
  std::ofstream(path) << "precious";  // no epoch is done, but what is there is no log
  CHECK(test::error_of([&] {
          CsvLog(path.string(), columns, LogPlace{0});
        }).ends_with("cannot be gone on with: its first line is not 'epoch,loss'"));
  CHECK(content() == "precious");
  std::filesystem::remove(path);
}

TEST_CASE("what is no ordinary file is written, not read or replaced") {
  for (const auto& resumed : {std::optional<LogPlace>(), std::optional(LogPlace{2, "none"})}) {
    CsvLog("/dev/null", {"epoch"}, resumed).row({3});
    CHECK(std::filesystem::is_character_file("/dev/null"));
  }
}

TEST_CASE("a log without a file ignores rows") {
  CsvLog log;
  log.row({1, 2, 3});
  CHECK(log.checksum() == "none");
}
