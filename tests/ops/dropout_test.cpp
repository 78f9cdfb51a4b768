// SPDX-License-Identifier: MIT
#include "gram/ops/dropout.hpp"

#include "gram/ops/arithmetic.hpp"
#include "isa_and_threads.hpp"

using namespace gram;
using test::close;
using test::error_of;

TEST_CASE("dropout keeps an element when its word of the key's stream is above p 2^32") {
  for (const Index n : {0, 1, 3, 31, 33, 1000, 20001}) {
    Rng rng(5), same(5);
    const RandomKey key = same.key();
    const auto x = randn<float>({n}, 1);
    const auto y = dropout(x, 0.3, rng);
    const auto expected = generate<float>({n}, [&](Index i) {
      const std::uint32_t word = key.bits(static_cast<std::uint64_t>(i / 4))[static_cast<std::size_t>(i % 4)];
      return word * 0x1p-32 >= 0.3 ? x.data()[i] * (1 / 0.7F) : 0.0F;
    });
    CHECK(close(y, expected, 1e-6));
  }
}

TEST_CASE("dropout drops a share of p and keeps the mean") {
  Rng rng(1);
  const auto y = dropout(ones<double>({1000, 1000}), 0.2, rng);
  double zeros = 0, sum = 0;
  for (const double v : y.span()) zeros += v == 0, sum += v;
  CHECK(zeros / 1e6 == doctest::Approx(0.2).epsilon(0.01));
  CHECK(sum / 1e6 == doctest::Approx(1).epsilon(0.01));
}

TEST_CASE("dropout makes one mask for every instruction set, thread count and element type") {
  const auto run = [](auto one) {
    Rng rng(9);
    return dropout(ones<decltype(one)>({3, 30001}), 0.4, rng);
  };
  const auto y = run(1.0F);
  test::for_each_isa([&] { CHECK(test::identical(run(1.0F), y)); });
  CHECK(test::same_for_any_threads([&] { return std::vector{run(1.0F)}; }));
  const auto wide = run(1.0);
  const auto narrow = run(bf16(1.0F));
  bool same = true;
  for (Index i = 0; i < y.size(); ++i)
    same =
        same && (wide.data()[i] == 0) == (y.data()[i] == 0) && (narrow.data()[i] == 0) == (y.data()[i] == 0);
  CHECK(same);
}

TEST_CASE("backward makes the mask of forward again") {
  Rng rng(3);
  Tensor<float> x = ones<float>({777});
  x.set_requires_grad();
  const auto y = dropout(x, 0.5, rng);
  backward(y, ones<float>({777}));
  CHECK(test::identical(x.grad(), y.detach()));
  const auto fixed = [](const auto& t) {
    Rng same(4);
    return dropout(t, 0.25, same) * dropout(t, 0.5, same);
  };
  CHECK(gradcheck(fixed, randn<double>({5, 9}, 1)) < 1e-6);
}

TEST_CASE("two calls draw two masks; p = 0 draws none") {
  Rng rng(3);
  const auto x = ones<float>({100});
  CHECK(dropout(x, 0, rng).data() == x.data());
  CHECK(drop_path(x, 0, rng).data() == x.data());
  CHECK(rng.position() == 0);
  const auto a = dropout(x, 0.5, rng), b = dropout(x, 0.5, rng);
  CHECK(rng.position() == 2);
  CHECK(!test::identical(a, b));
}

TEST_CASE("drop_path drops whole samples and scales the others") {
  Rng rng(1);
  const auto y = drop_path(ones<double>({2000, 3, 5}), 0.25, rng);
  Index kept = 0;
  bool whole = true;
  for (Index n = 0; n < 2000; ++n) {
    const double first = y.at({n, 0, 0});
    kept += first != 0;
    for (Index i = 0; i < 15; ++i) whole = whole && y.data()[n * 15 + i] == first;
    whole = whole && (first == 0 || first == 1 / 0.75);
  }
  CHECK(whole);
  CHECK(static_cast<double>(kept) / 2000 == doctest::Approx(0.75).epsilon(0.05));
  const auto fixed = [](const auto& t) {
    Rng same(4);
    return drop_path(t, 0.5, same) * drop_path(t, 0.1, same);
  };
  CHECK(gradcheck(fixed, randn<double>({6, 3}, 1)) < 1e-6);
  CHECK(drop_path(Tensor<float>({0, 4}), 0.5, rng).size() == 0);
}

TEST_CASE("dropout refuses probabilities outside [0, 1)") {
  Rng rng;
  const auto x = ones<float>({2});
  CHECK(error_of([&] { dropout(x, 1, rng); }) == "dropout: p is 1; it must lie in [0, 1)");
  CHECK(error_of([&] { dropout(x, -0.5, rng); }) == "dropout: p is -0.5; it must lie in [0, 1)");
  CHECK(error_of([&] { dropout(x, NAN, rng); }) == "dropout: p is nan; it must lie in [0, 1)");
  CHECK(error_of([&] { drop_path(x, 1.5, rng); }) == "drop_path: p is 1.5; it must lie in [0, 1)");
  CHECK(error_of([&] { drop_path(ones<float>({}), 0.5, rng); }) ==
        "drop_path: x has shape (); a first axis of samples is needed");
  CHECK(error_of([&] { dropout(Tensor<float>{}, 0.5, rng); }) == "dropout: x is undefined");
  CHECK(rng.position() == 0);
}
