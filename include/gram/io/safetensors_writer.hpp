// SPDX-License-Identifier: MIT
// Writes safetensors files, see safetensors.hpp.
#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "gram/io/safetensors.hpp"

namespace gram {

/// Collects tensors and writes them to a file. Tensors are held, not copied, until then.
class SafeTensorsWriter {
 public:
  /// Text that goes along. PyTorch's loaders look for the format.
  SafeTensors::Metadata metadata = {{"format", "pt"}};

  /// Throws ArgumentError for a name that is taken or cannot be written.
  template <Element T>
  void add(std::string name, const Tensor<T>& tensor) {
    require<ArgumentError>(tensor.defined(), "SafeTensorsWriter::add: ", printable(name), " is undefined");
    require<ArgumentError>(
        name != "__metadata__" && name.size() <= 4096 && valid_utf8_prefix(name) == name.size(),
        "SafeTensorsWriter::add: ", printable(name), " cannot name a tensor");
    const Tensor<T> held = tensor.to(Device::cpu()).detach();
    const bool added =
        entries_.emplace(std::move(name), Entry{dtype_name<T>(), held, held.data(), held.span().size_bytes()})
            .second;
    require<ArgumentError>(added, "SafeTensorsWriter::add: there are two tensors of one name");
  }

  /// A checksum of all names, dtypes and values, tensor by tensor in the order of their names.
  std::string checksum() const {
    Checksum all;
    for (const auto& [name, entry] : entries_) {
      Checksum one;
      one.add(entry.data, entry.bytes);
      all.add(SafeTensors::checksum_of(name, entry.dtype)), all.add(one);
    }
    return all.digits();
  }

  /// Everything before the values: the length and the padded JSON. Throws ArgumentError for metadata that are
  /// not UTF-8.
  std::string header() const {
    std::string json = "{";
    if (!metadata.empty()) {
      json += "\"__metadata__\":{";
      for (const auto& [key, value] : metadata) {
        for (const std::string* word : {&key, &value})
          require<ArgumentError>(valid_utf8_prefix(*word) == word->size(), "SafeTensorsWriter: metadata ",
                                 printable(*word), " is not valid UTF-8");
        json += comma(json) + quote(key) + ":" + quote(value);
      }
      json += "}";
    }
    std::uint64_t begin = 0;
    for (const auto* named : order()) {
      const auto& [name, entry] = *named;
      json += comma(json) + quote(name) + ":{\"dtype\":\"" + entry.dtype + "\",\"shape\":[";
      for (const Index extent : entry.tensor.shape()) json += comma(json) + std::to_string(extent);
      json += text("],\"data_offsets\":[", begin, ",", begin + entry.bytes, "]}");
      begin += entry.bytes;
    }
    json += "}";
    json.resize((json.size() + 7) / 8 * 8, ' ');
    const std::uint64_t length = json.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    return bytes + json;
  }

  /// Writes a sibling of `path` and renames it; throws FileError and leaves the old file when that fails.
  void write(const std::string& path) const {
    OutputFile file(path);
    file.write(header());
    for (const auto* named : order()) file.write(named->second.data, named->second.bytes);
    file.commit();
  }

 private:
  struct Entry {
    const char* dtype;
    AnyTensor tensor;
    const void* data;
    std::size_t bytes;
  };
  using Entries = std::map<std::string, Entry>;

  /// Widest elements first, so that every tensor is aligned to its element; equal ones by name.
  std::vector<const Entries::value_type*> order() const {
    std::vector<const Entries::value_type*> order;
    for (const auto& entry : entries_) order.push_back(&entry);
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return dtype_bits(a->second.dtype) > dtype_bits(b->second.dtype);
    });
    return order;
  }

  static std::string comma(const std::string& json) {
    return json.back() == '{' || json.back() == '[' ? "" : ",";
  }
  static std::string quote(std::string_view s) {
    std::string json = "\"";
    for (const char c : s) {
      if (c == '"' || c == '\\')
        (json += '\\') += c;
      else if (static_cast<unsigned char>(c) < 0x20)
        json += text("\\u00", c < 0x10 ? "0" : "1", "0123456789abcdef"[c & 15]);
      else
        json += c;
    }
    return json + "\"";
  }

  Entries entries_;
};

}  // namespace gram
