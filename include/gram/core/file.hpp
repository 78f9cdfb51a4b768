// SPDX-License-Identifier: MIT
// Bytes from and to files. Readers know the size of a file before they believe a length that is written in
// it; writers replace a file only once the new one is complete.
#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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

/// The names in a folder, sorted; throws FileError when it cannot be read.
inline std::vector<std::string> list_folder(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(folder.c_str()), ::closedir);
  if (!opened) throw detail::system_error(folder, "open the folder");
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(opened.get())) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

/// The path of the file that a symbolic link leads to; other paths stay as they are. Throws FileError for a
/// link that leads nowhere.
inline std::string follow_link(std::string path) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return path;
  const std::unique_ptr<char, decltype(&std::free)> target(::realpath(path.c_str(), nullptr), std::free);
  if (!target) throw detail::system_error(path, "follow the link");
  return target.get();
}

/// A file that comes into being whole or not at all: the bytes go to a sibling, commit() puts it in place of
/// `path`, or of the file that a link there leads to, whose permissions it gets. A reader of the old file
/// never sees it change, and a crash leaves the old file, and a sibling that the next writer takes away.
class OutputFile {
 public:
  /// Throws FileError when the folder cannot be written, when another writer is at work, or when `path` is
  /// something else than a file: a folder cannot be replaced, and a device (/dev/null) must not be.
  explicit OutputFile(std::string path)
      : path_(follow_link(std::move(path))), sibling_(path_ + ".partial." + std::to_string(::getpid())) {
    struct stat status = {};
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    require<FileError>(!exists || S_ISREG(status.st_mode), printable(path_),
                       ": cannot write: not an ordinary file");
    remove_abandoned();
    const int descriptor = ::open(sibling_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor < 0) throw detail::system_error(path_, "write");
    auto handle = std::make_unique<detail::FileHandle>(descriptor);
    // Where there are no locks, process numbers must do; containers may share them.
    const bool taken = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    require<FileError>(!taken, printable(path_), ": cannot write: another process is writing it");
    if (::ftruncate(descriptor, 0) != 0) throw detail::system_error(path_, "write");
    if (exists && ::fchmod(descriptor, status.st_mode & 0777U) != 0)
      throw detail::system_error(path_, "keep the permissions");
    handle_ = std::move(handle);
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
      if (put < 0) throw detail::system_error(path_, "write");
      next += put, count -= static_cast<std::size_t>(put);
    }
  }
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }

  /// Waits until the bytes are on the disk and gives the file its name; nothing can be written any more.
  void commit() {
    if (::fsync(handle_->get()) != 0) throw detail::system_error(path_, "write");
    if (std::rename(sibling_.c_str(), path_.c_str()) != 0) throw detail::system_error(path_, "replace");
    handle_ = nullptr;
    const detail::FileHandle folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ::fsync(folder.get());  // where folders cannot be waited for, the name comes later
  }

 private:
  static std::string folder_of(const std::string& path) {
    const std::size_t name_begin = path.rfind('/') + 1;  // 0 where there is no slash
    return name_begin ? path.substr(0, name_begin) : "./";
  }
  /// Takes away the siblings of writers that were killed: no process has their number, and, as it may be one
  /// of another machine or container, none holds their lock.
  void remove_abandoned() const {
    const std::string folder = folder_of(path_), prefix = path_.substr(path_.rfind('/') + 1) + ".partial.";
    if (::access(folder.c_str(), R_OK) != 0) return;
    for (const std::string& name : list_folder(folder)) {
      const bool of_number = name.starts_with(prefix) && name.size() > prefix.size() &&
                             name.find_first_not_of("0123456789", prefix.size()) == name.npos;
      if (!of_number || name.size() > prefix.size() + 9) continue;
      if (::kill(std::stoi(name.substr(prefix.size())), 0) == 0 || errno != ESRCH) continue;
      const detail::FileHandle file(
          ::open((folder + name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      if (file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink((folder + name).c_str());
    }
  }

  std::string path_, sibling_;
  std::unique_ptr<detail::FileHandle> handle_;
};

/// A claim on `path`, or on the file that a link there leads to, that nobody else has while it lives: a lock
/// on the empty file `path`.lock, which is taken away at the end. The claim of a process that is killed ends
/// with it, though that file stays.
class FileLock {
 public:
  /// Throws FileError when another process has the claim, when the folder cannot be written, or when there is
  /// something else of that name.
  explicit FileLock(const std::string& path) : name_(follow_link(path) + ".lock") {
    do {
      const int descriptor = ::open(name_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
      if (descriptor < 0) throw detail::system_error(name_, "lock");
      handle_ = std::make_unique<detail::FileHandle>(descriptor);
      const bool taken = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
      require<FileError>(!taken, printable(path), ": in use: another process holds ", printable(name_));
    } while (!is_in_place());  // somebody who had the claim has just taken the file away
    struct stat status = {};
    require<FileError>(
        ::fstat(handle_->get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0,
        printable(name_), ": cannot lock: not an empty file, as a lock is");
  }
  ~FileLock() { ::unlink(name_.c_str()); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  bool is_in_place() const {
    struct stat mine = {}, named = {};
    return ::fstat(handle_->get(), &mine) == 0 && ::stat(name_.c_str(), &named) == 0 &&
           mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
  }

  std::string name_;
  std::unique_ptr<detail::FileHandle> handle_;
};

}  // namespace gram
