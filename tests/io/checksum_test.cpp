// SPDX-License-Identifier: MIT
#include "gram/io/checksum.hpp"

#include <set>

#include "support.hpp"

using namespace gram;

namespace {

std::uint64_t of(const std::string& bytes) {
  Checksum sum;
  sum.add(bytes.data(), bytes.size());
  return sum.value();
}

}  // namespace

TEST_CASE("checksum: known values") {
  // The formula, by hand: of no bytes all is zero; a word goes through one step, and so does the length.
  CHECK(Checksum{}.digits() == "0000000000000000");
  const auto step = [](std::uint64_t h) { return h * 0x9E3779B97F4A7C15 ^ h * 0x9E3779B97F4A7C15 >> 32U; };
  CHECK(of("\1\2\3\4\5\6\7\10") == step(step(0x0807060504030201) ^ 8));
  Checksum sum;
  sum.add("\1", 1);
  CHECK(sum.digits().size() == 16);
  CHECK(std::stoull(sum.digits(), nullptr, 16) == sum.value());
}

TEST_CASE("checksum: any changed bit, missing byte or added zero is another number") {
  const std::string bytes = "a file of 29 bytes, no more..";
  std::set<std::uint64_t> seen{of(bytes)};
  for (std::size_t i = 0; i < 8 * bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << i % 8));
    seen.insert(of(changed));
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) seen.insert(of(bytes.substr(0, i)));
  for (std::size_t i = 1; i < 9; ++i) seen.insert(of(bytes + std::string(i, '\0')));
  CHECK(seen.size() == 1 + 8 * bytes.size() + bytes.size() + 8);
}

TEST_CASE("checksum: pieces of whole words are one text") {
  const std::string bytes(100, 'x');
  Checksum pieces;
  pieces.add(bytes.data(), 64);
  pieces.add(bytes.data() + 64, 36);
  CHECK(pieces.value() == of(bytes));
}
