// SPDX-License-Identifier: MIT
#include "gram/io/safetensors.hpp"

#include <cstdio>
#include <filesystem>

#include "golden.hpp"
#include "gram/io/safetensors_writer.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

/// A file of a header and so many bytes of data.
std::string file(const std::string& header, std::size_t bytes = 0) {
  const std::uint64_t length = header.size();
  std::string all(8, '\0');
  std::memcpy(all.data(), &length, 8);
  return all + header + std::string(bytes, '\1');
}
std::string raw(std::uint64_t length, const std::string& rest) {
  std::string all(8, '\0');
  std::memcpy(all.data(), &length, 8);
  return all + rest;
}
std::string entry(const std::string& name, const std::string& shape, std::size_t begin, std::size_t end,
                  const std::string& dtype = "F32") {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}
std::string parse_error(const std::string& bytes) {
  return error_of([&] { SafeTensors::parse("f", bytes); });
}
std::string temporary(const std::string& name) {
  return (std::filesystem::temp_directory_path() / ("gram_" + std::to_string(::getpid()) + "_" + name))
      .string();
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, whatever the names and types") {
  SafeTensorsWriter w;
  const auto f = randn<float>({3, 1, 5}, 1);
  const auto d = randn<double>({7}, 2);
  w.add("layer.weight", f);
  w.add("a \"quoted\" \\ name\n\t\xC3\xA9 \x01", d);
  w.add("half", converted<bf16>(f));
  w.add("labels", Tensor<std::int64_t>({3}, {-1, 0, std::int64_t{1} << 40U}));
  w.add("i32", Tensor<std::int32_t>({2}, {-5, 7}));
  w.add("image", Tensor<std::uint8_t>({2, 2}, {0, 1, 254, 255}));
  w.add("scalar", Tensor<float>(Shape{}, {2.5F}));
  w.add("empty", Tensor<float>({2, 0, 3}));
  w.metadata["note"] = "line\nbreak";
  const std::string path = temporary("roundtrip.safetensors");
  w.write(path);
  w.write(path);  // replaces
  const auto s = SafeTensors::read(path);
  CHECK(s.names().size() == 8);
  CHECK(s.contains("half"));
  CHECK(!s.contains("layer"));
  CHECK(s.metadata().at("note") == "line\nbreak");
  CHECK(s.metadata().at("format") == "pt");
  CHECK(test::identical(s.tensor<float>("layer.weight"), f));
  CHECK(test::identical(s.tensor<double>("a \"quoted\" \\ name\n\t\xC3\xA9 \x01"), d));
  CHECK(test::identical(s.tensor<bf16>("half"), converted<bf16>(f)));
  CHECK(s.tensor<std::int64_t>("labels").at({2}) == std::int64_t{1} << 40U);
  CHECK(s.tensor<std::int64_t>("i32").at({0}) == -5);
  CHECK(s.tensor<std::int32_t>("image").at({1, 1}) == 255);
  CHECK(s.tensor<double>("scalar").item() == 2.5);
  CHECK(s.shape("scalar") == Shape{});
  CHECK(s.shape("empty") == Shape{2, 0, 3});
  CHECK(s.tensor<float>("empty").size() == 0);
  CHECK(s.dtype("half") == "BF16");
  CHECK(test::identical(s.tensor<double>("layer.weight"), converted<double>(f)));
  CHECK(test::close(s.tensor<float>("half"), f, 0.01));
  std::filesystem::remove(path);
}

TEST_CASE("safetensors: more values than one piece of the conversion") {
  SafeTensorsWriter w;
  const auto x = randn<double>({3, 10001}, 5);
  w.add("x", x);
  const std::string path = temporary("large.safetensors");
  w.write(path);
  CHECK(test::identical(SafeTensors::read(path).tensor<float>("x"), converted<float>(x)));
  std::filesystem::remove(path);
}

TEST_CASE("safetensors: every stored number type becomes float") {
  const auto one = [](const std::string& dtype, std::string value) {
    return SafeTensors::parse("f", raw(entry("x", "[1]", 0, value.size(), dtype).size() + 2,
                                       "{" + entry("x", "[1]", 0, value.size(), dtype) + "}" + value))
        .tensor<float>("x")
        .item();
  };
  using namespace std::string_literals;
  CHECK(one("BOOL", "\1"s) == 1);
  CHECK(one("I8", "\xff"s) == -1);
  CHECK(one("U8", "\xff"s) == 255);
  CHECK(one("I16", "\xfe\xff"s) == -2);
  CHECK(one("U16", "\xfe\xff"s) == 65534);
  CHECK(one("I32", "\xfe\xff\xff\xff"s) == -2);
  CHECK(one("U32", "\0\0\0\x80"s) == 2147483648.0F);
  CHECK(one("I64", "\xfe\xff\xff\xff\xff\xff\xff\xff"s) == -2);
  CHECK(one("U64", "\0\0\0\0\0\0\0\x80"s) == 9223372036854775808.0F);
  CHECK(one("F32", "\0\0\x80\x3f"s) == 1);
  CHECK(one("F64", "\0\0\0\0\0\0\xf0\x3f"s) == 1);
  CHECK(one("BF16", "\x80\xbf"s) == -1);
  // python3 -c "import numpy as np; print(np.float16([1/3, 65504, 2**-24, -2**-14, -0.]).view(np.uint16))"
  CHECK(one("F16", "\x55\x35"s) == 0.333251953125F);
  CHECK(one("F16", "\xff\x7b"s) == 65504);
  CHECK(one("F16", "\x01\0"s) == 0x1p-24F);
  CHECK(one("F16", "\0\x84"s) == -0x1p-14F);
  CHECK(std::signbit(one("F16", "\0\x80"s)));
  CHECK(std::isinf(one("F16", "\0\x7c"s)));
  CHECK(std::isnan(one("F16", "\1\x7c"s)));
}

TEST_CASE("safetensors: files that must pass") {
  CHECK(SafeTensors::parse("f", file("\r\n\t {} \r\n\t")).names().empty());
  CHECK(SafeTensors::parse("f", file("{" + entry("x", "[]", 0, 4) + "}", 4)).tensor<float>("x").size() == 1);
  CHECK(SafeTensors::parse("f", file("{" + entry("x", "[2,0]", 0, 0) + "}")).shape("x") == Shape{2, 0});
  CHECK(SafeTensors::parse("f", file("{" + entry("z", "[0]", 0, 0) + "," + entry("x", "[1]", 0, 4) + "}", 4))
            .contains("z"));
  CHECK(SafeTensors::parse("f", file("{" + entry("x", "[4]", 0, 2, "F4") + "}", 2)).dtype("x") == "F4");
  CHECK(
      SafeTensors::parse(
          "f", file("{\"\\ud83d\\ude00\\u00e9\":{\"shape\":[],\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1))
          .contains("\xF0\x9F\x98\x80\xC3\xA9"));
  const std::string trailing = file("{" + entry("x", "[1]", 0, 4) + "}", 8);
  CHECK(SafeTensors::parse("f", trailing, {.allow_trailing = true}).contains("x"));
  const std::string unknown =
      file("{" + entry("x", "[2]", 0, 3, "F12\\u001b[2J") + "," + entry("y", "[1]", 3, 7) + "}", 7);
  const auto s = SafeTensors::parse("f", unknown);
  CHECK(s.tensor<float>("y").size() == 1);
  CHECK(error_of([&] { s.tensor<float>("x"); }) ==
        "'f': tensor 'x': values of dtype 'F12\\x1b[2J' cannot be read");
}

TEST_CASE("safetensors: files that must fail, and how") {
  const std::string x = entry("x", "[1]", 0, 4);
  const struct {
    std::string bytes, message;
  } bad[] = {
      {"", "'f': has 0 bytes; a safetensors file has at least 8"},
      {std::string(7, '\0'), "'f': has 7 bytes; a safetensors file has at least 8"},
      {raw(~std::uint64_t{0}, "{}"),
       "'f': header of 18446744073709551615 bytes; at most 100000000 are allowed"},
      {raw(~std::uint64_t{0} - 7, "{}"),
       "'f': header of 18446744073709551608 bytes; at most 100000000 are allowed"},
      {raw(100'000'001, "{}"), "'f': header of 100000001 bytes; at most 100000000 are allowed"},
      {raw(3, "{}"), "'f': header of 3 bytes, but 2 follow"},
      {file(""), "'f': offset 8: expected '{'"},
      {file("{"), "'f': offset 9: expected '\"'"},
      {file("[]"), "'f': offset 8: expected '{'"},
      {file("\xff"), "'f': offset 8: the header is not valid UTF-8"},
      {file("{\"\xC0\x80\":1}"), "'f': offset 10: the header is not valid UTF-8"},
      {file("{\"\xED\xA0\x80\":1}"), "'f': offset 10: the header is not valid UTF-8"},
      {file("{}x"), "'f': offset 10: something follows the end of the value"},
      {file("{}", 1), "'f': offset 10: 1 bytes behind the last tensor"},
      {file("{" + x + "}", 8), "'f': offset 66: 4 bytes behind the last tensor"},
      {file("{" + x + "}", 2), "'f': tensor 'x': data ends at 4, but the file holds 2 bytes of data"},
      {file("{" + x + "," + x + "}", 4), "'f': offset 66: duplicate tensor 'x'"},
      {file("{\"__metadata__\":{},\"__metadata__\":{}}"), "'f': offset 42: duplicate __metadata__"},
      {file("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}"), "'f': offset 40: duplicate metadata key 'a'"},
      {file("{\"__metadata__\":{\"a\":1}}"), "'f': offset 29: expected '\"'"},
      {file("{" + entry("x", "[2,18446744073709551614]", 0, 16) + "}", 16),
       "'f': tensor 'x': the size of its shape overflows"},
      {file("{" + entry("x", "[2,9223372036854775807]", 0, 16) + "}", 16),
       "'f': tensor 'x': the size of its shape overflows"},
      {file("{" + entry("x", "[18446744073709551616]", 0, 16) + "}", 16),
       "'f': offset 56: the integer does not fit into 64 bits"},
      {file("{" + entry("x", "[2,2]", 0, 0) + "}"),
       "'f': tensor 'x': shape and dtype F32 need 16 bytes, found 0"},
      {file("{" + entry("x", "[3]", 0, 1, "F4") + "}", 1),
       "'f': tensor 'x': a size of 12 bits is not a number of whole bytes"},
      {file("{" + entry("x", "[1]", 4, 8) + "}", 8),
       "'f': tensor 'x': data begins at 4, expected 0; holes and overlaps are not allowed"},
      {file("{" + entry("x", "[1]", 0, 4) + "," + entry("y", "[1]", 2, 6) + "}", 6),
       "'f': tensor 'y': data begins at 2, expected 4; holes and overlaps are not allowed"},
      {file("{" + entry("a", "[0]", 0, 0) + "," + entry("x", "[0]", 4, 0) + "}", 4),
       "'f': tensor 'x': data begins at 4, expected 0; holes and overlaps are not allowed"},
      {file("{\"x\":{\"dtype\":\"F32\",\"shape\":[1e3],\"data_offsets\":[0,4]}}", 4),
       "'f': offset 38: expected a non-negative integer"},
      {file("{\"x\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4),
       "'f': offset 38: expected a non-negative integer"},
      {file("{\"x\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4),
       "'f': offset 37: expected a non-negative integer"},
      {file("{\"x\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}}", 4),
       "'f': offset 39: expected a non-negative integer"},
      {file("{\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4,5]}}", 4),
       "'f': offset 60: tensor 'x': more than 2 numbers"},
      {file("{\"x\":{\"dtype\":\"F32\",\"shape\":[]}}", 4),
       "'f': offset 39: tensor 'x': needs dtype, shape, and two data_offsets"},
      {file("{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 4),
       "'f': offset 36: tensor 'x': duplicate field dtype"},
      {file("{\"x\":{\"strides\":[1]}}", 4), "'f': offset 24: tensor 'x': unknown field 'strides'"},
      {file("{\"\x1b\":1}"), "'f': offset 10: control character inside a string"},
      {file("{\"\\u001b[2J\":1}"), "'f': offset 21: expected '{'"},
      {file("{\"\\ud800\":1}"), "'f': offset 16: half of a pair of surrogates"},
      {file("{\"\\x\":1}"), "'f': offset 11: unknown escape"},
      {file("{\"abc"), "'f': offset 13: the text ends inside a string"},
      {file("{" + entry(std::string(5000, 'n'), "[]", 0, 4) + "}", 4),
       "'f': offset 5012: a name of 5000 bytes; at most 4096 are allowed"},
      {file("{" + entry("x", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", 0, 4) + "}", 4),
       "'f': offset 70: tensor 'x': more than 16 numbers"},
  };
  for (const auto& [bytes, message] : bad) CHECK(parse_error(bytes) == message);

  std::string shared = "{";  // ten names for one block
  for (int i = 0; i < 10; ++i) shared += (i ? "," : "") + entry("x" + std::to_string(i), "[1]", 0, 4);
  CHECK(parse_error(file(shared + "}", 4)) ==
        "'f': tensor 'x1': data begins at 0, expected 4; holes and overlaps are not allowed");
}

TEST_CASE("safetensors: a file that is cut short fails at every byte") {
  SafeTensorsWriter w;
  w.add("a", zeros<float>({2, 3}));
  w.add("b", zeros<std::uint8_t>({5}));
  const std::string whole = w.header() + std::string(29, '\0');
  CHECK(parse_error(whole) == "");
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK(parse_error(whole.substr(0, n)) != "");
  for (std::size_t n = 1; n < 20; ++n) CHECK(parse_error(whole + std::string(n, '\0')) != "");
}

TEST_CASE("safetensors: no single changed byte of a header breaks the reader") {
  SafeTensorsWriter w;
  w.add("a", zeros<float>({2, 3}));
  const std::string whole = w.header() + std::string(24, '\0');
  for (std::size_t i = 0; i < w.header().size(); ++i)
    for (int value = 0; value < 256; ++value) {
      std::string changed = whole;
      changed[i] = static_cast<char>(value);
      error_of([&] {
        const auto s = SafeTensors::parse("f", changed);
        for (const auto& name : s.names()) s.tensor<float>(name);
      });
    }
}

TEST_CASE("safetensors: what is asked for must be there and must fit") {
  SafeTensorsWriter w;
  w.add("big", Tensor<std::int64_t>({2}, {1, 300}));
  w.add("f", Tensor<float>({1}, {1}));
  const std::string path = temporary("ask.safetensors");
  w.write(path);
  const auto s = SafeTensors::read(path);
  const std::string begin = printable(path) + ": tensor ";
  CHECK(error_of([&] { s.tensor<float>("none"); }) == begin + "'none': no such tensor");
  CHECK(error_of([&] { s.tensor<std::uint8_t>("big"); }) ==
        begin + "'big': element 1 of dtype I64 cannot be read as uint8");
  CHECK(error_of([&] { s.tensor<std::int64_t>("f"); }) ==
        begin + "'f': element 0 of dtype F32 cannot be read as int64");
  std::filesystem::remove(path);
  const auto future = SafeTensors::parse(
      "f", file("{" + entry("x", "[1,3,65536,137438953472]", 0, 0, "F99") + "}"));  // no memory is asked for
  CHECK(error_of([&] { future.tensor<float>("x"); }) ==
        "'f': tensor 'x': values of dtype 'F99' cannot be read");
  SafeTensorsWriter large;
  large.add("x", Tensor<double>({3}, {HUGE_VAL, std::nan(""), 1e300}));
  large.write(path);
  CHECK(error_of([&] { SafeTensors::read(path).tensor<float>("x"); }) ==
        begin + "'x': element 2 of dtype F64 cannot be read as float");
  std::filesystem::remove(path);
  const auto deep = SafeTensors::parse("f", file("{" + entry("x", "[1,1,1,1,1,1,1,1,1]", 0, 4) + "}", 4));
  CHECK(error_of([&] { deep.shape("x"); }) == "'f': tensor 'x': shape: more than 8 axes");
  const auto wide = SafeTensors::parse("f", file("{" + entry("x", "[0,18446744073709551615]", 0, 0) + "}"));
  CHECK(error_of([&] { wide.shape("x"); }) ==
        "'f': tensor 'x': shape: extent 18446744073709551615 is too large");
}

TEST_CASE("safetensors: files that cannot be opened") {
  CHECK(error_of([] { SafeTensors::read("/nonexistent/x"); }) ==
        "'/nonexistent/x': cannot open: No such file or directory");
  CHECK(error_of([] { SafeTensors::read("/tmp"); }) == "'/tmp': not an ordinary file");
  CHECK(error_of([] { SafeTensors::read("/dev/zero"); }) == "'/dev/zero': not an ordinary file");
}

TEST_CASE("safetensors: a file that is given up leaves nothing behind") {
  const std::string path = temporary("given_up");
  { OutputFile(path).write("half"); }
  CHECK(!std::filesystem::exists(path));
  CHECK(!std::filesystem::exists(path + ".partial." + std::to_string(::getpid())));
}

TEST_CASE("golden vectors can be read") {
  const test::Golden g("ga_loss_bce");
  if (!g.available()) return;
  CHECK(g.tensor<float>("in/logits0").shape() == Shape{4, 10});
  CHECK(g.tensor<double>("in/lambda").span()[0] == doctest::Approx(-0.8));
  CHECK(g.has("out/loss"));
  CHECK(g.names("in/logits") == std::vector<std::string>{"0", "1", "2"});
  const auto x = randn<float>({2, 3, 4, 5}, 1);
  CHECK(test::nchw_to_nhwc(x).shape() == Shape{2, 4, 5, 3});
  CHECK(test::nchw_to_nhwc(x).at({1, 3, 4, 2}) == x.at({1, 2, 3, 4}));
  CHECK(test::identical(test::nhwc_to_nchw(test::nchw_to_nhwc(x)), x));
}
