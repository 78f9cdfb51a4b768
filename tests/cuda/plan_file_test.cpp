// SPDX-License-Identifier: MIT
#include "gram/cuda/plan_file.hpp"

#include <filesystem>
#include <fstream>

#include "gram/cuda/fastest.hpp"
#include "support.hpp"

using namespace gram;
namespace {

using cuda::PlanChoice;
using cuda::PlanFile;

/// A path of its own, without a file.
std::string plan_path(const char* name) {
  const auto path = std::filesystem::temp_directory_path() / text("gram_plans_", getpid(), "_", name);
  std::filesystem::remove(path);
  return path.string();
}
std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

const std::string one_problem = cuda::plan_problem(91900, "NVIDIA H200", "conv2d 1 256");

TEST_CASE("plans come back from their file") {
  const std::string path = plan_path("round_trip");
  const PlanChoice choice{67, {{2, 0}, {16, 1}}}, other{5, {}};
  {
    PlanFile file(path);
    CHECK(file.find(one_problem) == nullptr);
    file.keep(one_problem, choice);
    file.keep(cuda::plan_problem(91900, "NVIDIA H200", "attention 3"), other);
    CHECK(file.reason() == "");
  }
  const PlanFile file(path);
  REQUIRE(file.find(one_problem));
  CHECK(*file.find(one_problem) == choice);
  CHECK(*file.find(cuda::plan_problem(91900, "NVIDIA H200", "attention 3")) == other);
  CHECK(file.find(cuda::plan_problem(91800, "NVIDIA H200", "conv2d 1 256")) == nullptr);
  CHECK(file.find(cuda::plan_problem(91900, "NVIDIA H100", "conv2d 1 256")) == nullptr);
  CHECK(bytes_of(path) ==
        "gram plans 1\n91900\tNVIDIA H200\tattention 3\t5\n91900\tNVIDIA H200\tconv2d 1 256\t67 2=0 16=1\n");
}

TEST_CASE("a file of plans has no other files left beside it") {
  const std::string path = plan_path("alone");
  PlanFile(path).keep(one_problem, {1, {}});
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::temp_directory_path()))
    count += entry.path().string().starts_with(path);
  CHECK(count == 1);
}

TEST_CASE("plans that another process wrote stay") {
  const std::string path = plan_path("two");
  PlanFile first(path), second(path);
  const std::string two = cuda::plan_problem(91900, "NVIDIA H200", "conv2d 2");
  first.keep(one_problem, {1, {}});
  second.keep(two, {2, {}});
  const PlanFile file(path);
  CHECK(file.find(one_problem));
  CHECK(file.find(two));
}

TEST_CASE("without a path plans are kept in memory") {
  PlanFile file;
  file.keep(one_problem, {3, {}});
  CHECK(file.find(one_problem)->engine == 3);
  CHECK(file.reason() == "");
}

TEST_CASE("a file that is not one of plans is not read, not replaced, and named") {
  const std::string head = "gram plans 1\n";
  const std::string fields = "version, device, problem and plan between tabs are expected";
  const std::string knobs = "an engine and knobs, as in \"67 2=0 16=1\", are expected behind the last tab";
  const std::pair<std::string, std::string> cases[] = {
      {"gram plans 2\n", "line 1: not a file of plans; \"gram plans 1\" is expected"},
      {"gram plans 1", "line 1: not a file of plans; \"gram plans 1\" is expected"},
      {"\x7f"
       "ELF",
       "line 1: not a file of plans; \"gram plans 1\" is expected"},
      {head + "91900\tH200\tconv2d\t67", "line 2: the file ends within it"},
      {head + "\n", "line 2: " + fields},
      {head + "67 2=0\n", "line 2: " + fields},
      {head + "H200\tconv2d\t67\n", "line 2: " + fields},
      {head + "x\tH200\tconv2d\t67\n", "line 2: " + fields},
      {head + "-1\tH200\tconv2d\t67\n", "line 2: " + fields},
      {head + "91900\t\tconv2d\t67\n", "line 2: " + fields},
      {head + "91900\tH200\t\t67\n", "line 2: " + fields},
      {head + "91900\tH200\ta\tb\t67\n", "line 2: " + fields},
      {head + "91900\tH200\tconv2d\t\n", "line 2: " + knobs},
      {head + "91900\tH200\tconv2d\t67 2\n", "line 2: " + knobs},
      {head + "91900\tH200\tconv2d\t67 2=\n", "line 2: " + knobs},
      {head + "91900\tH200\tconv2d\t67 =2\n", "line 2: " + knobs},
      {head + "91900\tH200\tconv2d\t67  2=0\n", "line 2: " + knobs},
      {head + "91900\tH200\tconv2d\t99999999999999999999\n", "line 2: " + knobs},
      {head + "91900\tH200\tconv2d\t67 2=0\n91900\tH200\tconv2d\t-67\n", "line 3: " + knobs},
      {head + std::string("91900\tH200\tconv2d\t6\0\n", 21), "line 2: " + knobs},
  };
  const std::string path = plan_path("bad");
  for (const auto& bad : cases) {
    const std::string &bytes = bad.first, &reason = bad.second;
    CAPTURE(bytes);
    write(path, bytes);
    PlanFile file(path);
    CHECK(file.reason() == path + ": " + reason);
    CHECK(file.find(one_problem) == nullptr);
    file.keep(one_problem, {1, {}});
    CHECK(file.find(one_problem));
    CHECK(bytes_of(path) == bytes);
  }
}

TEST_CASE("a file that cannot be written is named, and plans are kept in memory") {
  const std::string path = "/nowhere/at all";
  PlanFile file(path);
  CHECK(file.reason() == "");
  file.keep(one_problem, {1, {}});
  CHECK(file.reason() == "'/nowhere/at all': cannot write: No such file or directory");
  CHECK(file.find(one_problem));
  const std::string folder = std::filesystem::temp_directory_path().string();
  CHECK(PlanFile(folder).reason() == printable(folder) + ": not an ordinary file");
  CHECK(PlanFile("/dev/zero").reason() == "'/dev/zero': not an ordinary file");
}

TEST_CASE("an empty file, as mktemp makes it, is one without plans") {
  const std::string path = plan_path("empty");
  write(path, "");
  PlanFile file(path);
  CHECK(file.reason() == "");
  file.keep(one_problem, {1, {}});
  CHECK(PlanFile(path).find(one_problem));
}

TEST_CASE("set_plan_cache() chooses the file of the program") {
  const std::string path = plan_path("chosen");
  write(path, "something else");
  set_plan_cache(path);
  CHECK(plan_cache_reason() == path + ": line 1: not a file of plans; \"gram plans 1\" is expected");
  set_plan_cache("");
  CHECK(plan_cache_reason() == "");
}

TEST_CASE("the way with the smallest median is the fastest") {
  const std::vector<std::vector<float>> times{{}, {5, 1, 9}, {2, 3, 30}, {3, 3, 3}, {}};
  CHECK(cuda::fastest(5, [&](std::size_t i, int) { return times[i]; }) == std::size_t{2});
  CHECK(cuda::fastest(2, [&](std::size_t i, int) { return times[i]; }) == std::size_t{1});
  CHECK_FALSE(cuda::fastest(1, [&](std::size_t i, int) { return times[i]; }));
  std::string order;
  cuda::fastest(3, [&](std::size_t i, int each) {
    order += text(i, " ", each, ", ");
    return std::vector<float>(i == 1 ? 0 : 5);
  });
  CHECK(order == "0 3, 1 3, 2 3, 0 3, 2 3, ");
}

}  // namespace
