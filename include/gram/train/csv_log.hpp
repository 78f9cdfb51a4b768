// SPDX-License-Identifier: MIT
#pragma once
#include <charconv>
#include <memory>
#include <string>
#include <vector>

#include "gram/io/file.hpp"

namespace gram {

/// A table of numbers in a file, one row at a time, flushed after each so that a plot can follow a running
/// training.
class CsvLog {
 public:
  CsvLog() = default;
  /// Starts the file with a line of column names. For a training that is resumed after `epochs` epochs, an
  /// existing log is kept up to them (by its first column); what a killed training wrote later is dropped.
  /// Throws FileError when the file cannot be written or is no such log.
  CsvLog(std::string path, const std::vector<std::string>& columns, double epochs = 0)
      : path_(std::move(path)), columns_(columns.size()) {
    std::string start;
    for (const std::string& column : columns) start += (start.empty() ? "" : ",") + column;
    start += "\n";
    const bool resumed = epochs > 0 && ::access(path_.c_str(), F_OK) == 0;
    if (resumed) {
      const std::string lines = kept(start, epochs);
      OutputFile file(path_);
      file.write(lines);
      file.commit();
    }
    file_.reset(std::fopen(path_.c_str(), resumed ? "a" : "w"));
    if (!file_) throw detail::system_error(path_, "write");
    if (!resumed) write(start);
  }

  /// One row. A log without a file ignores it. Throws FileError when the disk refuses it.
  void row(const std::vector<double>& values) {
    if (!file_) return;
    require<ArgumentError>(values.size() == columns_, printable(path_), ": a row of ", values.size(),
                           " values for ", columns_, " columns");
    std::string line;
    for (const double value : values) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%s%.9g", line.empty() ? "" : ",", value);
      line += digits;
    }
    write(line + "\n");
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(const std::string& lines) {
    if (std::fputs(lines.c_str(), file_.get()) < 0 || std::fflush(file_.get()) != 0)
      throw detail::system_error(path_, "write");
  }
  /// The file's first line, which must be `header`, and the rows of the first epochs.
  std::string kept(const std::string& header, double epochs) const {
    const InputFile file(path_);
    std::string all(static_cast<std::size_t>(file.size()), '\0');
    file.read(0, all.data(), all.size());
    require<FileError>(all.starts_with(header), printable(path_),
                       ": cannot be gone on with: its first line is not ",
                       printable(header.substr(0, header.size() - 1)));
    std::string lines = header;
    for (std::size_t begin = header.size(), end = 0; (end = all.find('\n', begin)) != all.npos;
         begin = end + 1) {
      double epoch = 0;
      const char* const line = all.data() + begin;
      const bool number = std::from_chars(line, all.data() + end, epoch).ec == std::errc();
      require<FileError>(number, printable(path_), ": offset ", begin, ": a row of numbers is expected");
      if (epoch <= epochs) lines.append(line, end + 1 - begin);
    }
    return lines;
  }

  std::string path_;
  std::size_t columns_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace gram
