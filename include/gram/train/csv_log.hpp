// SPDX-License-Identifier: MIT
#pragma once
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gram/core/error.hpp"

namespace gram {

/// A table of numbers in a file, one row at a time, flushed after each so that a plot can follow a running
/// training.
class CsvLog {
 public:
  CsvLog() = default;
  /// Starts the file with a line of column names. Throws FileError when it cannot be written.
  CsvLog(std::string path, const std::vector<std::string>& columns)
      : path_(std::move(path)), columns_(columns.size()), file_(std::fopen(path_.c_str(), "w")) {
    require<FileError>(file_ != nullptr, path_, ": cannot be written: ", std::strerror(errno));
    std::string header;
    for (const std::string& column : columns) header += (header.empty() ? "" : ",") + column;
    write(header);
  }

  /// One row. A log without a file ignores it. Throws FileError when the disk refuses it.
  void row(const std::vector<double>& values) {
    if (!file_) return;
    require<ArgumentError>(values.size() == columns_, path_, ": a row of ", values.size(), " values for ",
                           columns_, " columns");
    std::string line;
    for (const double value : values) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%s%.9g", line.empty() ? "" : ",", value);
      line += digits;
    }
    write(line);
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(const std::string& line) {
    const bool written = std::fputs((line + "\n").c_str(), file_.get()) >= 0 && std::fflush(file_.get()) == 0;
    require<FileError>(written, path_, ": cannot be written: ", std::strerror(errno));
  }

  std::string path_;
  std::size_t columns_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace gram
