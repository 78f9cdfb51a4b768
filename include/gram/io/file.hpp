// SPDX-License-Identifier: MIT
// Bytes from and to files. Readers know the size of a file before they believe a length that is written in
// it; writers replace a file only once the new one is complete.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gram/core/names.hpp"

namespace gram {
namespace detail {

/// An open file descriptor.
class FileHandle {
 public:
  explicit FileHandle(int descriptor) : descriptor_(descriptor) {}
  ~FileHandle() { ::close(descriptor_); }
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

inline FileError system_error(const std::string& path, const char* action) {
  return FileError(text(printable(path), ": cannot ", action, ": ", std::strerror(errno)));
}

}  // namespace detail

/// A file for reading at any position, or bytes in memory that are read as if they were one. Copies share the
/// file.
class InputFile {
 public:
  /// Throws FileError when there is no such file, or when it is not an ordinary one.
  explicit InputFile(std::string path) : path_(std::move(path)) {
    // Without O_NONBLOCK a named pipe would be waited for before it can be refused.
    const int descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) throw detail::system_error(path_, "open");
    handle_ = std::make_shared<detail::FileHandle>(descriptor);
    struct stat status = {};
    if (::fstat(descriptor, &status) != 0) throw detail::system_error(path_, "open");
    require<FileError>(S_ISREG(status.st_mode), printable(path_), ": not an ordinary file");
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  /// `name` stands for the path in messages.
  InputFile(std::string name, std::string bytes)
      : path_(std::move(name)),
        bytes_(std::make_shared<const std::string>(std::move(bytes))),
        size_(bytes_->size()) {}

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }

  /// Copies bytes [offset, offset + count) to `to`. Throws FileError when the file does not have them.
  void read(std::uint64_t offset, void* to, std::size_t count) const {
    require<FileError>(offset <= size_ && count <= size_ - offset, printable(path_), ": ", count,
                       " bytes at offset ", offset, " lie beyond the end of the file (", size_, " bytes)");
    if (bytes_) {
      if (count) std::memcpy(to, bytes_->data() + offset, count);
      return;
    }
    for (auto* next = static_cast<char*>(to); count;) {
      const ssize_t got = ::pread(handle_->get(), next, count, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw detail::system_error(path_, "read");
      require<FileError>(got != 0, printable(path_), ": ended at offset ", offset, " while it was read, ",
                         count, " bytes early");
      next += got, offset += static_cast<std::uint64_t>(got), count -= static_cast<std::size_t>(got);
    }
  }

 private:
  std::string path_;
  std::shared_ptr<const detail::FileHandle> handle_;
  std::shared_ptr<const std::string> bytes_;
  std::uint64_t size_ = 0;
};

/// A file that comes into being whole or not at all: the bytes go to a sibling, commit() puts it in place of
/// `path`. A reader of the old file never sees it change, and a crash leaves the old file.
class OutputFile {
 public:
  /// Throws FileError when the folder cannot be written, or when `path` is something else than a file: a
  /// folder cannot be replaced, and a device (/dev/null) must not be.
  explicit OutputFile(std::string path)
      : path_(std::move(path)), sibling_(path_ + ".partial." + std::to_string(::getpid())) {
    struct stat status = {};
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    require<FileError>(!exists || S_ISREG(status.st_mode), printable(path_),
                       ": cannot write: not an ordinary file");
    const int descriptor =
        ::open(sibling_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor < 0) throw detail::system_error(sibling_, "write");
    handle_ = std::make_unique<detail::FileHandle>(descriptor);
  }
  ~OutputFile() {
    if (handle_) ::unlink(sibling_.c_str());
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* from, std::size_t count) {
    for (const auto* next = static_cast<const char*>(from); count;) {
      const ssize_t put = ::write(handle_->get(), next, count);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) throw detail::system_error(sibling_, "write");
      next += put, count -= static_cast<std::size_t>(put);
    }
  }
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }

  /// Waits until the bytes are on the disk and gives the file its name.
  void commit() {
    if (::fsync(handle_->get()) != 0) throw detail::system_error(sibling_, "write");
    if (std::rename(sibling_.c_str(), path_.c_str()) != 0) throw detail::system_error(path_, "replace");
    handle_ = nullptr;
  }

 private:
  std::string path_, sibling_;
  std::unique_ptr<detail::FileHandle> handle_;
};

}  // namespace gram
