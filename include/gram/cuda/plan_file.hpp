// SPDX-License-Identifier: MIT
// Which of cuDNN's plans were fastest, kept on disk from one run to the next, so that a run neither times
// them again nor chooses others. A text file: a line that says what it is, then a line for each problem, its
// fields between tabs:
//     gram plans 1
//     91900 <tab> NVIDIA H200 <tab> conv2d 1 256 56 56 64 .. <tab> 67 2=0 16=1
// the version of cuDNN, the device, the problem, and the engine with the values of its knobs.
#pragma once
#include <charconv>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gram/core/file.hpp"
#include "gram/core/shape.hpp"

namespace gram {
namespace cuda {

/// An engine of cuDNN, and its knobs with their values.
struct PlanChoice {
  Index engine = 0;
  std::vector<std::pair<Index, Index>> knobs;
  bool operator==(const PlanChoice&) const = default;
};

/// Choices by "version <tab> device <tab> problem".
using PlanChoices = std::map<std::string, PlanChoice, std::less<>>;

inline constexpr std::string_view plan_file_head = "gram plans 1\n";

inline std::string plan_problem(Index version, std::string_view device, std::string_view problem) {
  std::string name = text(version, "\t", device, "\t", problem);
  for (char& c : name)
    if (c == '\n') c = ' ';
  return name;
}

namespace detail {

inline std::string_view until(std::string_view& rest, char end) {
  const auto at = rest.find(end);
  const auto part = rest.substr(0, at);
  rest.remove_prefix(at == rest.npos ? rest.size() : at + 1);
  return part;
}
inline bool read_number(std::string_view digits, Index& value) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc{} && end == digits.data() + digits.size() && value >= 0;
}
inline bool read_choice(std::string_view words, PlanChoice& choice) {
  if (!read_number(until(words, ' '), choice.engine)) return false;
  while (!words.empty()) {
    std::string_view word = until(words, ' ');
    auto& [knob, value] = choice.knobs.emplace_back();
    if (word.find('=') == word.npos || !read_number(until(word, '='), knob) || !read_number(word, value))
      return false;
  }
  return true;
}

}  // namespace detail

/// The choices that a file holds, none when it is empty. Throws FileError with the line that is not as it has
/// to be.
inline PlanChoices read_plans(std::string_view file, const std::string& path) {
  if (file.empty()) return {};
  require<FileError>(file.starts_with(plan_file_head), path,
                     ": line 1: not a file of plans; \"gram plans 1\" is expected");
  file.remove_prefix(plan_file_head.size());
  PlanChoices choices;
  for (Index line = 2; !file.empty(); ++line) {
    require<FileError>(file.find('\n') != file.npos, path, ": line ", line, ": the file ends within it");
    std::string_view rest = detail::until(file, '\n');
    const auto last_tab = rest.rfind('\t');
    Index version = 0;
    PlanChoice choice;
    const std::string_view problem = rest.substr(0, last_tab);
    std::string_view fields = problem;
    require<FileError>(
        last_tab != rest.npos && detail::read_number(detail::until(fields, '\t'), version) &&
            !detail::until(fields, '\t').empty() && !fields.empty() && fields.find('\t') == fields.npos,
        path, ": line ", line, ": version, device, problem and plan between tabs are expected");
    require<FileError>(detail::read_choice(rest.substr(last_tab + 1), choice), path, ": line ", line,
                       ": an engine and knobs, as in \"67 2=0 16=1\", are expected behind the last tab");
    choices.insert_or_assign(std::string(problem), std::move(choice));
  }
  return choices;
}

inline std::string to_text(const PlanChoices& choices) {
  std::string file(plan_file_head);
  for (const auto& [problem, choice] : choices) {
    file += text(problem, "\t", choice.engine);
    for (const auto& [knob, value] : choice.knobs) file += text(" ", knob, "=", value);
    file += '\n';
  }
  return file;
}

/// The file of a path and what is to be found in it. Nothing of it ever throws: where a file cannot be used,
/// plans are chosen as if there were none, and reason() says why.
class PlanFile {
 public:
  PlanFile() = default;
  explicit PlanFile(std::string path) : path_(std::move(path)) { merge(); }

  /// Null when nothing is known of the problem.
  const PlanChoice* find(const std::string& problem) const {
    const auto at = choices_.find(problem);
    return at == choices_.end() ? nullptr : &at->second;
  }

  /// Keeps a choice, in the file too unless that was not readable as one of plans: what somebody else wrote
  /// is not replaced. Plans that other processes added meanwhile stay.
  void keep(const std::string& problem, const PlanChoice& choice) {
    if (usable_ && !path_.empty()) merge();
    choices_[problem] = choice;
    if (usable_ && !path_.empty()) write();
  }

  const std::string& path() const { return path_; }
  /// Why the file was not read or not written; empty when all went well.
  const std::string& reason() const { return reason_; }

 private:
  void merge() {
    struct stat status = {};
    if (path_.empty() || (::stat(path_.c_str(), &status) != 0 && errno == ENOENT)) return;  // the first run
    try {
      const InputFile file(path_);
      constexpr std::uint64_t most = std::uint64_t{16} << 20U;
      require<FileError>(file.size() <= most, printable(path_), ": ", file.size(),
                         " bytes; a file of plans has at most ", most);
      std::string bytes(static_cast<std::size_t>(file.size()), '\0');
      file.read(0, bytes.data(), bytes.size());
      for (auto& [problem, choice] : read_plans(bytes, path_)) choices_.insert_or_assign(problem, choice);
    } catch (const Error& error) {
      reason_ = error.what();
      usable_ = false;
    }
  }
  void write() {
    try {
      OutputFile file(path_);
      file.write(to_text(choices_));
      file.commit();
      reason_.clear();
    } catch (const Error& error) {
      reason_ = error.what();
    }
  }

  std::string path_, reason_;
  PlanChoices choices_;
  bool usable_ = true;
};

/// The file of this program.
inline PlanFile& plan_file() {
  static PlanFile file = [] {
    const char* const path = std::getenv("GRAM_PLAN_CACHE");
    return path ? PlanFile(path) : PlanFile();
  }();
  return file;
}

}  // namespace cuda

/// Keeps which plans of cuDNN were fastest in a file, from one run to the next; "" for none. At first the
/// path is that of the environment variable GRAM_PLAN_CACHE. To be called before the first convolution on a
/// GPU.
inline void set_plan_cache(const std::string& path) { cuda::plan_file() = cuda::PlanFile(path); }
/// Why the file is not used or cannot be written; empty when all is well.
inline std::string plan_cache_reason() { return cuda::plan_file().reason(); }

}  // namespace gram
