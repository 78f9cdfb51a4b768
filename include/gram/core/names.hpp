// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "gram/core/error.hpp"

namespace gram {

/// A word from outside between quotes, safe to print: bytes other than visible ASCII as \xNN, cut after 200
/// characters.
inline std::string printable(std::string_view word) {
  constexpr char digits[] = "0123456789abcdef";
  std::string s = "'";
  for (const char c : word.substr(0, 200)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '\'' && c != '\\')
      s += c;
    else
      (s += "\\x") += {digits[byte >> 4U], digits[byte & 15U]};
  }
  return s + (word.size() > 200 ? "..'" : "'");
}

/// Smallest number of insertions, deletions, substitutions and swaps of neighbours that turn a into b
/// (optimal string alignment).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    std::swap(above, row);
  }
  return above[b.size()];
}

/// The candidate that is closest to the word, "" when none is close enough to be what was meant: at most a
/// third of the characters differ, or two of a short word.
inline std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > 100) return "";
  std::string nearest;
  std::size_t smallest = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < smallest && distance < candidate.size()) nearest = candidate, smallest = distance;
  }
  return nearest;
}

/// "create: unknown model 'ga_resnet5'; did you mean 'ga_resnet50'? Known: ga_resnet50, ga_vit_s": the text
/// of the error for a name that is not among the candidates.
inline std::string unknown_name(std::string_view operation, std::string_view kind, std::string_view word,
                                const std::vector<std::string>& candidates) {
  std::string message = text(operation, ": unknown ", kind, " ", printable(word));
  const std::string nearest = nearest_name(word, candidates);
  message += nearest.empty() ? "; known: " : text("; did you mean ", printable(nearest), "? Known: ");
  for (std::size_t i = 0; i < candidates.size(); ++i) message += (i ? ", " : "") + candidates[i];
  return message;
}

}  // namespace gram
