// SPDX-License-Identifier: MIT
#include "gram/core/file.hpp"

#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

/// An empty folder that goes away again.
struct Folder {
  Folder() { std::filesystem::create_directory(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return (path / name).string();
  }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
  }
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("gram_file_test_" + std::to_string(::getpid()));
};

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
std::string bytes(const InputFile& file, std::uint64_t offset, std::size_t count) {
  std::string read(count, '?');
  file.read(offset, read.data(), count);
  return read;
}

}  // namespace

TEST_CASE("a file is read at any position and not beyond its end, one in memory alike") {
  const Folder folder;
  const std::string path = folder.file("digits", "0123456789");
  for (const InputFile& file : {InputFile(path), InputFile(path, "0123456789")}) {
    const InputFile copy = file;
    CHECK(file.size() == 10);
    CHECK(bytes(file, 3, 4) == "3456");
    CHECK(bytes(copy, 0, 10) == "0123456789");
    CHECK(bytes(file, 10, 0).empty());
    const auto error = [&](std::uint64_t offset, std::size_t count) {
      return error_of([&] {
        char unused[16];
        file.read(offset, unused, count);
      });
    };
    CHECK(error(8, 3) == printable(path) + ": 3 bytes at offset 8 lie beyond the end of the file (10 bytes)");
    CHECK(error(11, 0).ends_with("0 bytes at offset 11 lie beyond the end of the file (10 bytes)"));
    CHECK(error(~std::uint64_t{0}, 2).ends_with("lie beyond the end of the file (10 bytes)"));
    CHECK(error(2, ~std::size_t{0}).ends_with("lie beyond the end of the file (10 bytes)"));
  }
}

TEST_CASE("what is no file is refused, and so is one that became shorter") {
  const Folder folder;
  const std::string absent = (folder.path / "absent").string();
  CHECK(error_of([&] { InputFile{absent}; }) ==
        printable(absent) + ": cannot open: No such file or directory");
  CHECK(error_of([&] { InputFile{folder.path.string()}; }) ==
        printable(folder.path.string()) + ": not an ordinary file");
  const std::string pipe = (folder.path / "pipe").string();  // nobody writes to it: it is not waited for
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(error_of([&] { InputFile{pipe}; }) == printable(pipe) + ": not an ordinary file");
  const std::string path = folder.file("short", "0123456789");
  const InputFile file(path);
  std::filesystem::resize_file(path, 6);
  CHECK(error_of([&] { bytes(file, 4, 5); }) ==
        printable(path) + ": ended at offset 6 while it was read, 3 bytes early");
}

TEST_CASE("a file is replaced whole or not at all") {
  const Folder folder;
  const std::string path = folder.file("target", "old");
  {
    OutputFile file(path);
    file.write("new");
  }
  CHECK(content(path) == "old");
  CHECK(folder.entries() == 1);
  const InputFile reader(path);
  {
    OutputFile file(path);
    file.write("new");
    file.write(" content");
    CHECK(content(path) == "old");
    file.commit();
  }
  CHECK(content(path) == "new content");
  CHECK(bytes(reader, 0, 3) == "old");  // who reads the old file sees no change
  CHECK(folder.entries() == 1);
}

TEST_CASE("an output goes nowhere else") {
  const Folder folder;
  const std::string absent = (folder.path / "absent" / "file").string();
  CHECK(error_of([&] { OutputFile{absent}; }) ==
        printable(absent) + ": cannot write: No such file or directory");
  const std::string precious = folder.file("precious", "precious"), path = (folder.path / "file").string();
  std::filesystem::create_symlink(precious, path + ".partial." + std::to_string(::getpid()));
  CHECK(error_of([&] { OutputFile{path}; }).find("cannot write") != std::string::npos);
  CHECK(content(precious) == "precious");
  std::filesystem::remove(path + ".partial." + std::to_string(::getpid()));
  std::filesystem::create_directory(path);
  const std::string pipe = (folder.path / "pipe").string();  // stands for a device such as /dev/null
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string& other : {path, pipe})
    CHECK(error_of([&] { OutputFile{other}; }) == printable(other) + ": cannot write: not an ordinary file");
  CHECK(folder.entries() == 3);
}

TEST_CASE("a link stays one, and what it leads to is replaced") {
  const Folder folder;
  const std::string target = folder.file("target", "old"), link = (folder.path / "link").string();
  std::filesystem::create_symlink("target", link);
  OutputFile file(link);
  file.write("new");
  file.commit();
  CHECK(content(target) == "new");
  CHECK(std::filesystem::is_symlink(link));
  CHECK(folder.entries() == 2);
  std::filesystem::remove(target);
  CHECK(error_of([&] { OutputFile{link}; }) ==
        printable(link) + ": cannot follow the link: No such file or directory");
}

TEST_CASE("a file keeps its permissions when it is replaced") {
  const Folder folder;
  const std::string path = folder.file("secret", "old");
  for (const auto permissions : {0600U, 0640U, 0666U}) {
    REQUIRE(::chmod(path.c_str(), permissions) == 0);
    OutputFile file(path);
    file.write("new");
    file.commit();
    CHECK(static_cast<unsigned>(std::filesystem::status(path).permissions()) == permissions);
  }
}

TEST_CASE("two writers of one file do not write into one another") {
  const Folder folder;
  const std::string path = folder.file("file", "old");
  OutputFile first(path);
  first.write("first");
  CHECK(error_of([&] { OutputFile{path}; }) ==
        printable(path) + ": cannot write: another process is writing it");
  first.commit();
  CHECK(content(path) == "first");
}

TEST_CASE("a claim on a file is one process's at a time") {
  const Folder folder;
  const std::string path = (folder.path / "claimed.st").string(), lock = path + ".lock";
  {
    const FileLock mine(path);
    CHECK(std::filesystem::exists(lock));
    CHECK(error_of([&] { FileLock other(path); }) ==
          printable(path) + ": in use: another process holds " + printable(lock));
    CHECK(std::filesystem::exists(lock));  // he who was refused takes nothing away
  }
  CHECK_FALSE(std::filesystem::exists(lock));
  std::ofstream{lock};  // of a process that was killed
  CHECK(error_of([&] { FileLock mine(path); }) == "");
  CHECK_FALSE(std::filesystem::exists(lock));
  CHECK(test::error_of([&] {
          FileLock mine("/nowhere/claimed.st");
        }).starts_with("'/nowhere/claimed.st.lock': "));
}

TEST_CASE("a claim on a link is one on the file that it leads to, and no file is taken for a lock") {
  const Folder folder;
  const std::string target = folder.file("target", ""), link = (folder.path / "link").string();
  std::filesystem::create_symlink("target", link);
  {
    const FileLock mine(target);
    CHECK(error_of([&] { FileLock other(link); }) ==
          printable(link) + ": in use: another process holds " + printable(target + ".lock"));
  }
  const std::string precious = folder.file("target.lock", "precious");
  CHECK(error_of([&] { FileLock mine(link); }) ==
        printable(precious) + ": cannot lock: not an empty file, as a lock is");
  CHECK(content(precious) == "precious");
}

TEST_CASE("a folder is listed in order, an absent one is named") {
  const Folder folder;
  folder.file("b", ""), folder.file("a", ""), folder.file("B", "");
  CHECK(list_folder(folder.path.string()) == std::vector<std::string>{".", "..", "B", "a", "b"});
  CHECK(error_of([&] { list_folder(folder.path.string() + "/c"); }) ==
        printable(folder.path.string() + "/c") + ": cannot open the folder: No such file or directory");
}

TEST_CASE("what killed writers have left is taken away by the next one, and nothing else") {
  const Folder folder;
  const std::string path = (folder.path / "file").string();
  const pid_t killed = ::fork();
  REQUIRE(killed >= 0);
  if (killed == 0) {
    OutputFile file(path);
    file.write("half");
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(killed, &status, 0) == killed);
  CHECK(list_folder(folder.path.string()).back() == "file.partial." + std::to_string(killed));
  folder.file("file.partial." + std::to_string(::getppid()), "of a process that lives");
  folder.file("file.partial.text", "");
  folder.file("file.partial.", "");
  folder.file("file2.partial." + std::to_string(killed), "of another file");
  {
    const detail::FileHandle elsewhere(
        ::open(folder.file("file.partial.999999999", "").c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(::flock(elsewhere.get(), LOCK_EX | LOCK_NB) == 0);  // as the writer of another machine does
    OutputFile(path).commit();
    CHECK(folder.entries() == 6);
  }
  CHECK_FALSE(std::filesystem::exists(path + ".partial." + std::to_string(killed)));
  OutputFile(path).commit();
  CHECK(folder.entries() == 5);  // nobody holds it any more
}
