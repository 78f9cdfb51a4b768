// SPDX-License-Identifier: MIT
#pragma once
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "gram/core/file.hpp"

namespace gram {

/// A table of numbers in a file, one row at a time, flushed after each so that a plot can follow a running
/// training.
class CsvLog {
 public:
  CsvLog() = default;
  /// Starts the file with a line of column names. For a training that is resumed after `epochs` epochs, an
  /// existing log is kept up to them (by its first column); the row that a killed training wrote later is
  /// dropped. Throws FileError when the file cannot be written or is no such log: other columns, rows that
  /// are not in the order of their epochs, more than one row too many.
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

  /// One row, on the disk when this returns. A log without a file ignores it. Throws FileError when the disk
  /// refuses it.
  void row(const std::vector<double>& values) {
    if (!file_) return;
    require<ArgumentError>(values.size() == columns_, printable(path_), ": a row of ", values.size(),
                           " values for ", columns_, " columns");
    std::string line;
    for (const double value : values) {
      char digits[32];
      const auto end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, 9);
      line.append(line.empty() ? "" : ",").append(digits, end.ptr);
    }
    write(line + "\n");
    ::fdatasync(::fileno(file_.get()));  // what is no file cannot be waited for
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
    double last = 0;
    // Behind the last line may be a piece of one that a kill has cut off.
    for (std::size_t begin = header.size(), end = 0; (end = all.find('\n', begin)) != all.npos;
         begin = end + 1) {
      const double epoch = first_number(std::string_view(all).substr(begin, end - begin), begin);
      require<FileError>(epoch > last && epoch <= epochs + 1, printable(path_), ": offset ", begin,
                         ": the row of epoch ", epoch, " behind that of ", last,
                         " is not of a training of which ", epochs, " epochs are done");
      last = epoch;
      if (epoch <= epochs) lines.append(all, begin, end + 1 - begin);
    }
    return lines;
  }

  /// The first of as many numbers between commas as there are columns.
  double first_number(std::string_view line, std::size_t offset) const {
    double first = 0;
    const char *at = line.data(), *const end = at + line.size();
    for (std::size_t column = 0; column < columns_; ++column) {
      double value = 0;
      const auto [behind, error] = std::from_chars(at, end, value);
      const bool closed = column + 1 == columns_ ? behind == end : behind != end && *behind == ',';
      require<FileError>(error == std::errc() && closed, printable(path_), ": offset ", offset, ": a row of ",
                         columns_, " numbers is expected");
      if (column == 0) first = value;
      at = behind + (behind != end);
    }
    return first;
  }

  std::string path_;
  std::size_t columns_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace gram
