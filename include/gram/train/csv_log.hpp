// SPDX-License-Identifier: MIT
#pragma once
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gram/core/file.hpp"
#include "gram/io/checksum.hpp"

namespace gram {

/// Where a training that is resumed goes on in its log.
struct LogPlace {
  double epochs = 0;          ///< that are done
  std::string checksum = {};  ///< CsvLog::checksum() when they were; empty: the rows are not compared
};

/// A table of numbers in a file, one row at a time, flushed after each so that a plot can follow a running
/// training.
class CsvLog {
 public:
  CsvLog() = default;
  /// Starts the file with a line of column names; what was in it is lost. For a training that is resumed an
  /// existing log is kept up to the epochs that are done (by its first column); the row that a killed
  /// training wrote later is dropped. Throws FileError, and leaves the file alone, when it cannot be written
  /// or is no such log: other columns, rows that are not in the order of their epochs, more than one row too
  /// many, or another checksum. What is no ordinary file (/dev/null) is written and never read.
  CsvLog(std::string path, const std::vector<std::string>& columns,
         const std::optional<LogPlace>& resumed = {})
      : path_(std::move(path)), columns_(columns.size()) {
    std::string lines = header(columns);
    struct stat status = {};
    const bool exists = ::stat(path_.c_str(), &status) == 0, ordinary = !exists || S_ISREG(status.st_mode);
    if (ordinary) {
      if (resumed && exists) lines = kept(lines, *resumed);
      OutputFile file(path_);
      file.write(lines);
      file.commit();
    }
    file_.reset(std::fopen(path_.c_str(), ordinary ? "a" : "w"));
    if (!file_) throw detail::system_error(path_, "write");
    if (!ordinary) write(lines);
  }

  /// The first line of a log.
  static std::string header(const std::vector<std::string>& columns) {
    std::string line;
    for (const std::string& column : columns) line += (line.empty() ? "" : ",") + column;
    return line + "\n";
  }

  /// Tells the rows so far from those of another training; "none" without a file. A state that is saved with
  /// it says which log it belongs to.
  std::string checksum() const { return file_ ? rows_.digits() : "none"; }

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
    note(line);
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
  void note(std::string_view row) {
    Checksum piece;
    piece.add(row.data(), row.size());
    rows_.add(piece);
  }
  /// The file's first line, which must be `header`, and the rows of the epochs that are done.
  std::string kept(const std::string& header, const LogPlace& place) {
    const InputFile file(path_);
    std::string all(static_cast<std::size_t>(file.size()), '\0');
    file.read(0, all.data(), all.size());
    if (all.empty() || all == header) return header;  // of a training that was killed before its first row
    require<FileError>(all.starts_with(header), printable(path_),
                       ": cannot be gone on with: its first line is not ",
                       printable(header.substr(0, header.size() - 1)));
    std::string lines = header;
    double last = 0;
    // Behind the last line may be a piece of one that a kill has cut off.
    for (std::size_t begin = header.size(), end = 0; (end = all.find('\n', begin)) != all.npos;
         begin = end + 1) {
      const std::string_view row = std::string_view(all).substr(begin, end - begin);
      const double epoch = first_number(row, begin);
      require<FileError>(epoch > last && epoch <= place.epochs + 1, printable(path_), ": offset ", begin,
                         ": the row of epoch ", epoch, " behind that of ", last,
                         " is not of a training of which ", place.epochs, " epochs are done");
      last = epoch;
      if (epoch <= place.epochs) lines.append(all, begin, end + 1 - begin), note(row);
    }
    require<FileError>(place.checksum.empty() || place.checksum == rows_.digits(), printable(path_),
                       ": not the log of this training: its rows are others than when the first ",
                       place.epochs, " epochs were done");
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
  Checksum rows_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace gram
