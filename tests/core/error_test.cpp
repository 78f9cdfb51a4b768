// SPDX-License-Identifier: MIT
#include "gram/core/error.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("text writes its parts one after another") {
  CHECK(text("conv2d: stride is ", 0, ", not ", 2.5, ' ', true, Shape{1, 2}) ==
        "conv2d: stride is 0, not 2.5 true(1, 2)");
  CHECK(text() == "");
  CHECK(text(1e-5, " ", 0.1F, " ", 123456789.0, " ", std::uint8_t{7}) == "1e-05 0.1 1.23457e+08 7");
}

TEST_CASE("require throws the asked error with the text unless the rule holds") {
  CHECK_NOTHROW(require(true, "never"));
  CHECK_THROWS_AS(require(false, "x"), ShapeError);
  CHECK_THROWS_AS(require<ArgumentError>(false, "x"), ArgumentError);
  CHECK(test::error_of([] { require<FileError>(false, "file: ", 3, " bytes"); }) == "file: 3 bytes");
}

TEST_CASE("every error is a gram::Error and a std::exception") {
  CHECK_THROWS_AS(throw ShapeError("a"), Error);
  CHECK_THROWS_AS(throw ArgumentError("a"), Error);
  CHECK_THROWS_AS(throw FileError("a"), Error);
  CHECK_THROWS_AS(throw DeviceError("a"), Error);
  CHECK_THROWS_AS(throw MemoryError("a"), std::exception);
}

TEST_CASE("the place inside a network is put in front of the message once") {
  ShapeError error("conv2d: no");
  error.locate("");
  CHECK(std::string(error.what()) == "conv2d: no");
  error.locate("layer3.0.conv2");
  error.locate("outer");
  CHECK(std::string(error.what()) == "layer3.0.conv2: conv2d: no");
}
