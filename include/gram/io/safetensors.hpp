// SPDX-License-Identifier: MIT
// safetensors (github.com/huggingface/safetensors): u64 N, N bytes of JSON that name, type, shape and place
// each tensor, then the values, row-major and little-endian. Everything in a file is taken for a lie until it
// has been checked.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "gram/core/file.hpp"
#include "gram/io/checksum.hpp"
#include "gram/io/dtype.hpp"
#include "gram/io/json_scanner.hpp"
#include "gram/tensor/tensor.hpp"

namespace gram {

struct SafeTensorsOptions {
  bool allow_trailing = false;             ///< accept bytes behind the last tensor
  std::uint64_t max_header = 100'000'000;  ///< longest header in bytes
};

/// The tensors of a safetensors file. read() checks the whole header; tensor() reads the values of one
/// tensor.
class SafeTensors {
 public:
  using Metadata = std::map<std::string, std::string, std::less<>>;

  /// Throws FileError, with the file, the tensor, and what was expected and found, unless the file is valid:
  /// no holes, no overlaps, no duplicate names, sizes that agree with shapes and dtypes, nothing behind the
  /// end.
  static SafeTensors read(std::string path, SafeTensorsOptions options = {}) {
    return SafeTensors(InputFile(std::move(path)), options);
  }
  /// The same for the bytes of a file; `name` stands for the path in messages.
  static SafeTensors parse(std::string name, std::string bytes, SafeTensorsOptions options = {}) {
    return SafeTensors(InputFile(std::move(name), std::move(bytes)), options);
  }

  const std::string& path() const { return file_.path(); }
  const Metadata& metadata() const { return metadata_; }
  /// All names, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, entry] : entries_) all.push_back(name);
    return all;
  }
  bool contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }
  /// "F32", "I64", ..
  const std::string& dtype(std::string_view name) const { return find(name).dtype; }
  /// Throws FileError when the shape is none that a tensor of this library can have.
  Shape shape(std::string_view name) const {
    Shape shape;
    try {
      for (const std::uint64_t extent : find(name).extents) {
        require(std::in_range<Index>(extent), "shape: extent ", extent, " is too large");
        shape.append(static_cast<Index>(extent));
      }
    } catch (const ShapeError& error) {
      fail(name, error.what());
    }
    return shape;
  }

  /// The values of one tensor, converted to T. Integers are read from integers only, and must fit. Throws
  /// FileError for an unknown name, a dtype that cannot be read as T, or a value out of range.
  template <Element T>
  Tensor<T> tensor(std::string_view name) const {
    const Entry& entry = find(name);
    Tensor<T> y;
    const bool known = with_dtype(entry.dtype, [&](auto zero) {
      y = Tensor<T>(shape(name));
      read_values<decltype(zero)>(name, entry, y);
    });
    if (!known) fail(name, text("values of dtype ", printable(entry.dtype), " cannot be read"));
    return y;
  }

  /// What SafeTensorsWriter::checksum() was of these tensors, unless a name, a dtype or a value has changed
  /// since.
  std::string checksum() const {
    Checksum all;
    std::vector<char> piece(std::size_t{1} << 16U);
    for (const auto& [name, entry] : entries_) {
      Checksum one;
      for (std::uint64_t at = entry.begin, n = 0; at < entry.end; at += n) {
        n = std::min<std::uint64_t>(piece.size(), entry.end - at);
        file_.read(values_ + at, piece.data(), static_cast<std::size_t>(n));
        one.add(piece.data(), static_cast<std::size_t>(n));
      }
      all.add(checksum_of(name, entry.dtype)), all.add(one);
    }
    return all.digits();
  }
  /// Throws FileError when the metadata tell the checksum and it is another one.
  void require_undamaged() const {
    const auto written = metadata_.find("checksum");
    if (written != metadata_.end() && written->second != checksum())
      fail("damaged: its values are not those that were written");
  }
  static Checksum checksum_of(std::string_view name, std::string_view dtype) {
    Checksum sum;
    const std::string words = text(name, " ", dtype);
    sum.add(words.data(), words.size());
    return sum;
  }

 private:
  struct Entry {
    std::string dtype;
    std::vector<std::uint64_t> extents;
    std::uint64_t begin = 0, end = 0;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  static constexpr std::size_t max_name = 4096, max_rank = 16, max_tensors = 1'000'000;

  SafeTensors(InputFile file, const SafeTensorsOptions& options) : file_(std::move(file)) {
    const std::uint64_t size = file_.size();
    if (size < 8) fail(text("has ", size, " bytes; a safetensors file has at least 8"));
    std::uint64_t length = 0;
    file_.read(0, &length, 8);
    if (length > options.max_header)
      fail(text("header of ", length, " bytes; at most ", options.max_header, " are allowed"));
    if (length > size - 8) fail(text("header of ", length, " bytes, but ", size - 8, " follow"));
    std::string header(static_cast<std::size_t>(length), '\0');
    file_.read(8, header.data(), header.size());
    const std::size_t valid = valid_utf8_prefix(header);
    if (valid < header.size()) fail(text("offset ", 8 + valid, ": the header is not valid UTF-8"));
    values_ = 8 + length;
    parse(header);
    check_layout(size - values_, options.allow_trailing);
  }

  void parse(std::string_view header) {
    JsonScanner json(header, printable(path()), 8);
    bool has_metadata = false;
    json.object([&](std::string name) {
      if (name == "__metadata__") {
        if (std::exchange(has_metadata, true)) json.fail("duplicate __metadata__");
        json.object([&](const std::string& key) {
          if (!metadata_.emplace(key, json.string()).second)
            json.fail(text("duplicate metadata key ", printable(key)));
        });
        return;
      }
      if (name.size() > max_name)
        json.fail(text("a name of ", name.size(), " bytes; at most ", max_name, " are allowed"));
      if (entries_.size() == max_tensors) json.fail(text("more than ", max_tensors, " tensors"));
      if (contains(name)) json.fail(text("duplicate tensor ", printable(name)));
      entries_.emplace(name, parse_entry(json, name));
    });
    json.expect_end();
  }

  static Entry parse_entry(JsonScanner& json, const std::string& name) {
    Entry entry;
    std::vector<std::uint64_t> offsets;
    bool dtype = false, shape = false, placed = false;
    const auto first = [&](bool& seen, std::string_view field) {
      if (std::exchange(seen, true)) json.fail(text("tensor ", printable(name), ": duplicate field ", field));
    };
    const auto integers = [&](std::vector<std::uint64_t>& values, std::size_t most) {
      json.array([&] {
        values.push_back(json.integer());
        if (values.size() > most)
          json.fail(text("tensor ", printable(name), ": more than ", most, " numbers"));
      });
    };
    json.object([&](const std::string& field) {
      if (field == "dtype")
        first(dtype, field), entry.dtype = json.string();
      else if (field == "shape")
        first(shape, field), integers(entry.extents, max_rank);
      else if (field == "data_offsets")
        first(placed, field), integers(offsets, 2);
      else
        json.fail(text("tensor ", printable(name), ": unknown field ", printable(field)));
    });
    if (!dtype || !shape || offsets.size() != 2)
      json.fail(text("tensor ", printable(name), ": needs dtype, shape, and two data_offsets"));
    entry.begin = offsets[0], entry.end = offsets[1];
    return entry;
  }

  /// The tensors lie end to end, in any order of names, each as long as its shape and dtype say, up to the
  /// end of the file.
  void check_layout(std::uint64_t bytes, bool allow_trailing) const {
    std::vector<const Entries::value_type*> order;
    for (const auto& entry : entries_) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
    });
    std::uint64_t previous = 0;
    for (const auto* named : order) {
      const auto& [name, entry] = *named;
      if (entry.begin != previous)
        fail(name, text("data begins at ", entry.begin, ", expected ", previous,
                        "; holes and overlaps are not allowed"));
      if (entry.end < entry.begin)
        fail(name, text("data ends at ", entry.end, ", before it begins at ", entry.begin));
      if (entry.end > bytes)
        fail(name, text("data ends at ", entry.end, ", but the file holds ", bytes, " bytes of data"));
      check_size(name, entry);
      previous = entry.end;
    }
    if (previous != bytes && !allow_trailing)
      fail(text("offset ", values_ + previous, ": ", bytes - previous, " bytes behind the last tensor"));
  }

  void check_size(const std::string& name, const Entry& entry) const {
    std::uint64_t bits = dtype_bits(entry.dtype);
    if (bits == 0) return;  // a dtype of the future: its size is not known, an error when it is asked for
    for (const std::uint64_t extent : entry.extents)
      if (__builtin_mul_overflow(bits, extent, &bits)) fail(name, "the size of its shape overflows");
    if (bits % 8 != 0) fail(name, text("a size of ", bits, " bits is not a number of whole bytes"));
    if (bits / 8 != entry.end - entry.begin)
      fail(name, text("shape and dtype ", entry.dtype, " need ", bits / 8, " bytes, found ",
                      entry.end - entry.begin));
  }

  const Entry& find(std::string_view name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) fail(name, "no such tensor");
    return found->second;
  }

  template <class Stored, Element T>
  void read_values(std::string_view name, const Entry& entry, const Tensor<T>& y) const {
    if constexpr (std::same_as<Stored, T>) {
      file_.read(values_ + entry.begin, y.data(), y.span().size_bytes());
    } else {
      constexpr Index piece = 8192;
      Stored stored[piece];
      for (Index i = 0; i < y.size(); i += piece) {
        const Index n = std::min(piece, y.size() - i);
        file_.read(values_ + entry.begin + static_cast<std::uint64_t>(i) * sizeof(Stored), stored,
                   static_cast<std::size_t>(n) * sizeof(Stored));
        if (const Index done = convert_stored(stored, y.data() + i, n); done < n)
          fail(name,
               text("element ", i + done, " of dtype ", entry.dtype, " cannot be read as ", type_name<T>()));
      }
    }
  }

  [[noreturn]] void fail(std::string_view reason) const {
    throw FileError(text(printable(path()), ": ", reason));
  }
  [[noreturn]] void fail(std::string_view name, std::string_view reason) const {
    throw FileError(text(printable(path()), ": tensor ", printable(name), ": ", reason));
  }

  InputFile file_;
  Metadata metadata_;
  Entries entries_;
  std::uint64_t values_ = 0;  // file offset of the first value
};

}  // namespace gram
