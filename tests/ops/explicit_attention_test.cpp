// SPDX-License-Identifier: MIT
#include "gram/ops/explicit_attention.hpp"

#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

constexpr AttentionDecay gaussian = AttentionDecay::gaussian, exponential = AttentionDecay::exponential;

struct Case {
  Shape v;
  std::vector<double> radii;  // one for each attention head
};
// One pixel, one row, one column, remainders of every vector length, several heads, small and large radii.
const std::vector<Case> cases{{{1, 1, 1, 1}, {1}},   {{2, 1, 7, 3}, {0.5}},  {{2, 6, 1, 4}, {2, 0.3}},
                              {{2, 3, 4, 5}, {1.5}}, {{1, 5, 3, 6}, {1, 3}}, {{1, 4, 5, 6}, {0.2, 1, 40}},
                              {{2, 3, 2, 17}, {0.8}}};
const std::vector<ExplicitAttentionOptions> variants{{gaussian, true, true},     {gaussian, false, true},
                                                     {gaussian, true, false},    {gaussian, false, false},
                                                     {exponential, true, true},  {exponential, false, true},
                                                     {exponential, true, false}, {exponential, false, false}};

bool has_map(const Shape& v, const ExplicitAttentionOptions& o) {
  return o.self || !o.normalize || v[1] * v[2] > 1;
}
template <Scalar T>
Tensor<T> logarithms(const std::vector<double>& radii) {
  Tensor<T> rho({static_cast<Index>(radii.size())});
  for (std::size_t h = 0; h < radii.size(); ++h) rho.data()[h] = T(std::log(radii[h]));
  return rho;
}

/// The map of one head by its definition.
Tensor<double> naive_map(Index H, Index W, double r, const ExplicitAttentionOptions& o) {
  Tensor<double> map({H * W, H * W});
  for (Index i = 0; i < H * W; ++i) {
    double total = 0;
    for (Index j = 0; j < H * W; ++j) {
      const double d = std::hypot(i / W - j / W, i % W - j % W);
      const double weight = o.decay == gaussian ? std::exp(-d * d / (2 * r * r)) : std::exp(-d / r);
      total += map.at({i, j}) = i == j && !o.self ? 0 : weight;
    }
    for (Index j = 0; j < H * W && o.normalize; ++j) map.at({i, j}) /= total;
  }
  return map;
}
Tensor<double> naive(const Tensor<double>& v, const std::vector<double>& radii,
                     const ExplicitAttentionOptions& o) {
  const Index H = v.dim(1), W = v.dim(2), C = v.dim(3), width = C / static_cast<Index>(radii.size());
  auto y = zeros<double>(v.shape());
  for (Index c = 0; c < C; ++c) {
    const auto map = naive_map(H, W, radii[static_cast<std::size_t>(c / width)], o);
    for (Index n = 0; n < v.dim(0); ++n)
      for (Index i = 0; i < H * W; ++i)
        for (Index j = 0; j < H * W; ++j)
          y.at({n, i / W, i % W, c}) += map.at({i, j}) * v.at({n, j / W, j % W, c});
  }
  return y;
}

template <Scalar T>
void check_values(double tolerance) {
  for (const Case& c : cases)
    for (const ExplicitAttentionOptions& o : variants) {
      if (!has_map(c.v, o)) continue;
      CAPTURE(to_text(c.v));
      const auto v = randn<T>(c.v, 1);
      const auto y = explicit_attention(v, logarithms<accum_t<T>>(c.radii), o);
      CHECK(test::close(converted<double>(y), naive(converted<double>(v), c.radii, o), tolerance));
    }
}

}  // namespace

TEST_CASE("explicit attention agrees with its definition in every variant") {
  check_values<double>(1e-13);
  check_values<float>(1e-5);
  check_values<bf16>(2e-2);
}

TEST_CASE("the separable form agrees with the dense one, forward and backward") {
  for (const Case& c : cases)
    for (const bool normalize : {true, false}) {
      CAPTURE(to_text(c.v));
      const ExplicitAttentionOptions o{.normalize = normalize};
      REQUIRE(o.separable());
      const auto run = [&](auto attention) {
        Tensor<double> v = randn<double>(c.v, 1), rho = logarithms<double>(c.radii);
        v.set_requires_grad(), rho.set_requires_grad();
        const Tensor<double> y = attention(v, rho, o);
        backward(y, randn<double>(y.shape(), 2));
        return std::vector{y.detach(), v.grad(), rho.grad()};
      };
      const auto separable = run(explicit_attention<double>), dense = run(explicit_attention_dense<double>);
      for (std::size_t k = 0; k < 3; ++k) CHECK(test::distance(separable[k], dense[k]) < 1e-12);
    }
}

TEST_CASE("explicit attention's gradients agree with central differences") {
  for (const Case& c : cases)
    for (const ExplicitAttentionOptions& o : variants) {
      if (!has_map(c.v, o)) continue;
      CAPTURE(to_text(c.v));
      const auto v = randn<double>(c.v, 1), rho = logarithms<double>(c.radii);
      CHECK(gradcheck([&](const auto& x, const auto& r) { return explicit_attention(x, r, o); }, v, rho) <
            1e-6);
      CHECK(gradcheck(
                [&](const auto& r) {
                  return explicit_attention_map(r, {c.v[1], c.v[2]}, o);
                },
                rho) < 1e-6);
    }
  const auto v = randn<double>({2, 3, 4, 4}, 1), rho = logarithms<double>({1, 2});
  const auto twice = [](const auto& x, const auto& r) {
    return std::vector{explicit_attention(x, r), explicit_attention(x, r, {.normalize = false}),
                       explicit_attention_dense(x, r), explicit_attention(x, r, {exponential})};
  };
  CHECK(gradcheck(twice, v, rho) < 1e-6);
  CHECK(gradcheck([&](const auto& x) { return explicit_attention(x, rho); }, v) < 1e-6);
  CHECK(gradcheck([&](const auto& r) { return explicit_attention(v, r); }, rho) < 1e-6);
}

TEST_CASE("the rows of a normalised map sum to one, for any radius") {
  for (const ExplicitAttentionOptions& o : variants) {
    if (!o.normalize) continue;
    const auto rho = Tensor<double>({5}, {-20, -1, 0, 2, 20});
    const auto map = explicit_attention_map(rho, {3, 4}, o);
    for (Index h = 0; h < 5; ++h)
      for (Index i = 0; i < 12; ++i) {
        double sum = 0;
        for (Index j = 0; j < 12; ++j) sum += map.at({h, i, j});
        CHECK(sum == doctest::Approx(1).epsilon(1e-14));
        CHECK((map.at({h, i, i}) == 0) == !o.self);
      }
    // A radius of nearly nothing reads the pixel itself, or else its neighbours alike; a huge one reads all
    // alike.
    CHECK(map.at({0, 5, o.self ? 5 : 1}) == doctest::Approx(o.self ? 1 : 0.25));
    CHECK(map.at({0, 5, 0}) == 0);
    CHECK(map.at({4, 5, 11}) == doctest::Approx(o.self ? 1 / 12.0 : 1 / 11.0).epsilon(1e-6));
  }
}

TEST_CASE("a pixel reads more of near pixels, and the same in all directions") {
  for (const AttentionDecay decay : {gaussian, exponential}) {
    const auto map = explicit_attention_map(zeros<double>({1}), {5, 5}, {.decay = decay});
    const auto from_centre = [&](Index y, Index x) { return map.at({0, 12, 5 * y + x}); };
    CHECK(from_centre(1, 2) == from_centre(2, 3));
    CHECK(from_centre(0, 1) == from_centre(3, 4));
    CHECK(from_centre(2, 2) > from_centre(2, 1));
    CHECK(from_centre(2, 1) > from_centre(1, 1));
    // e^-1/2 and e^-1 are the ratios of neighbours
    const double ratio = decay == gaussian ? std::exp(-0.5) : std::exp(-1);
    CHECK(from_centre(1, 2) / from_centre(2, 2) == doctest::Approx(ratio).epsilon(1e-14));
  }
}

TEST_CASE(
    "explicit attention gives the same bits for any number of threads, and nearly the same with every "
    "instruction set") {
  for (const Shape& shape : {Shape{5, 13, 17, 12}, Shape{3, 19, 7, 51}})
    for (const ExplicitAttentionOptions& o : {ExplicitAttentionOptions{}, {.decay = exponential}}) {
      const auto run = [&] {
        Tensor<float> v = randn<float>(shape, 1), rho = zeros<float>({3});
        v.set_requires_grad(), rho.set_requires_grad();
        const auto y = explicit_attention(v, rho, o);
        backward(y, randn<float>(y.shape(), 2));
        return std::vector{y.detach(), v.grad(), rho.grad()};
      };
      CHECK(test::same_for_any_threads(run));
      const auto expected = run();
      test::for_each_isa([&] {
        const auto values = run();
        for (std::size_t k = 0; k < 3; ++k) CHECK(test::distance(values[k], expected[k]) < 1e-5);
      });
    }
}

TEST_CASE("no images give no images, and radii without gradient") {
  Tensor<float> v({0, 3, 3, 4}), rho = zeros<float>({2});
  v.set_requires_grad(), rho.set_requires_grad();
  const auto y = explicit_attention(v, rho);
  CHECK(y.shape() == Shape{0, 3, 3, 4});
  backward(y, y.detach());
  CHECK(test::identical(rho.grad(), zeros<float>({2})));
}

TEST_CASE("explicit attention says what does not fit") {
  const auto error = [](const Shape& v, const Shape& rho, ExplicitAttentionOptions o = {}) {
    return test::error_of([&] { explicit_attention(zeros<float>(v), zeros<float>(rho), o); });
  };
  CHECK(error({2, 3, 4}, {1}) == "explicit_attention: v has shape (2, 3, 4), but (N, H, W, C) is needed");
  CHECK(error({2, 0, 4, 4}, {1}) ==
        "explicit_attention: the map has (0, 4) pixels, but at least one is needed");
  CHECK(error({2, 3, 4, 4}, {1, 4}) ==
        "explicit_attention: log_radius has shape (1, 4); one value for each attention head is expected");
  CHECK(error({2, 3, 4, 4}, {3}) ==
        "explicit_attention: v has 4 channels; the 3 attention heads of log_radius must divide them");
  for (const AttentionDecay decay : {gaussian, exponential})
    CHECK(error({2, 1, 1, 4}, {1}, {.decay = decay, .self = false}) ==
          "explicit_attention: the map has one pixel, but without itself it has nothing to read");
  CHECK(test::error_of([] { explicit_attention_map(zeros<float>({0}), 2); }) ==
        "explicit_attention_map: log_radius has shape (0); one value for each attention head is expected");
}
