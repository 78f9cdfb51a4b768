// SPDX-License-Identifier: MIT
#include "gram/tensor/print.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("a matrix is written row by row, entries of one width") {
  CHECK(to_text(Tensor<float>({2, 3}, {1, 2.5F, -3, 0, 1000, 1e-7F})) ==
        "float (2, 3)\n"
        "[[    1,   2.5,    -3],\n"
        " [    0,  1000, 1e-07]]");
}

TEST_CASE("long axes show their first and last three entries") {
  CHECK(to_text(arange<std::int64_t>(7)) == "int64 (7)\n[0, 1, 2, ..., 4, 5, 6]");
  CHECK(to_text(arange<std::int64_t>(6)) == "int64 (6)\n[0, 1, 2, 3, 4, 5]");
  CHECK(to_text(generate<double>({7, 1}, [](Index i) { return i; })) ==
        "double (7, 1)\n[[0],\n [1],\n [2],\n ...,\n [4],\n [5],\n [6]]");
  CHECK(to_text(zeros<float>({20, 20, 20, 20})).size() < 12000);
}

TEST_CASE("scalars, empty and undefined tensors, every element type") {
  CHECK(to_text(Tensor<double>({}, {1.0 / 3})) == "double () 0.333333");
  CHECK(to_text(Tensor<bf16>({1}, {bf16(1.5F)})) == "bf16 (1)\n[1.5]");
  CHECK(to_text(Tensor<std::uint8_t>({2}, {65, 255})) == "uint8 (2)\n[ 65, 255]");
  CHECK(to_text(Tensor<float>({0, 3})) == "float (0, 3)\n[]");
  CHECK(to_text(Tensor<float>({2, 0})) == "float (2, 0)\n[[],\n []]");
  CHECK(to_text(Tensor<float>({2}, {NAN, -INFINITY})) == "float (2)\n[ nan, -inf]");
  CHECK(to_text(Tensor<float>{}) == "undefined tensor");
  CHECK(text("x is ", Tensor<float>({}, {2.F})) == "x is float () 2");
}

TEST_CASE("blocks of a tensor with three axes are indented") {
  CHECK(to_text(generate<float>({2, 2, 2}, [](Index i) { return i; })) ==
        "float (2, 2, 2)\n"
        "[[[0, 1],\n"
        "  [2, 3]],\n"
        " [[4, 5],\n"
        "  [6, 7]]]");
}
