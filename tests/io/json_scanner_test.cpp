// SPDX-License-Identifier: MIT
#include "gram/io/json_scanner.hpp"

#include "support.hpp"

using namespace gram;
using test::error_of;

TEST_CASE("well-formed UTF-8 is told from the rest") {
  using namespace std::string_literals;
  for (const auto& good : {""s, "abc"s, "\x7f\0"s, "\xC2\x80"s, "\xDF\xBF"s, "\xE0\xA0\x80"s, "\xED\x9F\xBF"s,
                           "\xEE\x80\x80"s, "\xEF\xBF\xBF"s, "\xF0\x90\x80\x80"s, "\xF4\x8F\xBF\xBF"s})
    CHECK(valid_utf8_prefix(good) == good.size());
  for (const auto& bad :
       {"\x80"s, "\xC0\x80"s, "\xC1\xBF"s, "\xC2"s, "\xC2\x41"s, "\xE0\x9F\xBF"s, "\xED\xA0\x80"s,
        "\xE1\x80"s, "\xF0\x8F\xBF\xBF"s, "\xF4\x90\x80\x80"s, "\xF5\x80\x80\x80"s, "\xF1\x80\x80"s, "\xFF"s})
    CHECK(valid_utf8_prefix("ab" + bad) == 2);
}

TEST_CASE("strings are unescaped") {
  const auto read = [](std::string_view json) { return JsonScanner(json, "f").string(); };
  CHECK(read(R"( "a\"b\\c\/d\b\f\n\r\t" )") == "a\"b\\c/d\b\f\n\r\t");
  CHECK(read(R"("\u0041\u00e9\u20AC\uD834\uDD1E")") == "A\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E");
  CHECK(read(R"("\u0000")") == std::string(1, '\0'));
  const auto error = [&](std::string_view json) { return error_of([&] { read(json); }); };
  CHECK(error(R"("\u12")") == "f: offset 5: \\u needs four hexadecimal digits");
  CHECK(error(R"("\ud834")") == "f: offset 7: half of a pair of surrogates");
  CHECK(error(R"("\ud834\u0041")") == "f: offset 13: half of a pair of surrogates");
  CHECK(error(R"("\udd1e")") == "f: offset 7: half of a pair of surrogates");
  CHECK(error("\"\\") == "f: offset 2: unknown escape");
  CHECK(error("\"ab") == "f: offset 3: the text ends inside a string");
  CHECK(error("\"\n\"") == "f: offset 1: control character inside a string");
}

TEST_CASE("integers are exact or refused") {
  const auto read = [](std::string_view json) { return JsonScanner(json, "f", 100).integer(); };
  CHECK(read(" 0") == 0);
  CHECK(read("18446744073709551615") == ~std::uint64_t{0});
  for (const char* bad :
       {"", "-1", "+1", "01", "00", "1.0", "1e3", "1E3", "18446744073709551616", "x", "\"1\""})
    CHECK(error_of([&] { read(bad); }).starts_with("f: offset 1"));
}

TEST_CASE("objects and arrays are walked") {
  JsonScanner json(R"( { "a" : [ 1 , 2 ] , "b" : [] , "c" : {} } )", "f");
  std::string seen;
  json.object([&](const std::string& key) {
    seen += key;
    if (key == "c") return json.object([](const std::string&) {});
    json.array([&] { seen += std::to_string(json.integer()); });
  });
  json.expect_end();
  CHECK(seen == "a12bc");
  for (const char* bad : {"", "{", "{}}", "[]", "{\"a\"}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":1}", "{a:1}"})
    CHECK(error_of([&] {
            JsonScanner broken(bad, "f");
            broken.object([&](const std::string&) { broken.integer(); });
            broken.expect_end();
          }) != "");
}
