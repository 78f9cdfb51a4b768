// SPDX-License-Identifier: MIT
#include "gram/tensor/tensor.hpp"

#include "support.hpp"

using namespace gram;
using test::error_of;

TEST_CASE("a tensor has a shape, memory and values in row-major order") {
  const Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(x.defined());
  CHECK(x.rank() == 2);
  CHECK(x.dim(-1) == 3);
  CHECK(x.size() == 6);
  CHECK(x.device() == Device::cpu());
  CHECK(x.at({1, 0}) == 4);
  CHECK(x.span()[5] == 6);
  x.at({0, 2}) = 9;
  CHECK(x.data()[2] == 9);
}

TEST_CASE("copies share memory, clones do not") {
  const Tensor<double> x({2}, {1, 2});
  const Tensor<double> same = x, other = x.clone();
  x.data()[0] = 7;
  CHECK(same.data()[0] == 7);
  CHECK(other.data()[0] == 1);
  CHECK(x.to(Device::cpu()).data() == x.data());
}

TEST_CASE("a default-constructed tensor is undefined and has no elements") {
  const Tensor<float> none;
  CHECK(!none.defined());
  CHECK(none.size() == 0);
  CHECK(none.span().empty());
  CHECK(!none.clone().defined());
  CHECK(!none.requires_grad());
}

TEST_CASE("integer tensors hold labels and pixels") {
  const Tensor<std::int64_t> labels({3}, {0, 1, 1LL << 40});
  CHECK(labels.clone().data()[2] == 1LL << 40);
  CHECK(Tensor<std::uint8_t>({2}, {0, 255}).at({1}) == 255);
  CHECK(Tensor<std::int32_t>({}, {-3}).item() == -3);
}

TEST_CASE("aliases share memory under another shape") {
  const Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(x.alias({3, 2}).at({2, 0}) == 5);
  CHECK(x.alias({3, 2}).data() == x.data());
  CHECK(x.alias_rows(1, 2).data() == x.data() + 3);
  CHECK(x.alias_rows(1, 2).shape() == Shape{1, 3});
  CHECK(x.alias_rows(2, 2).size() == 0);
  // the memory lives as long as a view does
  Tensor<float> view;
  { view = Tensor<float>({4}, {1, 2, 3, 4}).alias_rows(2, 4); }
  CHECK(view.data()[1] == 4);
}

TEST_CASE("wrong positions, sizes and shapes are refused") {
  const Tensor<float> x({2, 3});
  CHECK(error_of([&] { x.at({0}); }) == "Tensor::at: 1 indices for shape (2, 3)");
  CHECK(error_of([&] { x.at({0, 3}); }) == "Tensor::at: index 3 of axis 1 lies outside (2, 3)");
  CHECK(error_of([&] { x.at({-1, 0}); }) == "Tensor::at: index -1 of axis 0 lies outside (2, 3)");
  CHECK(error_of([&] { x.item(); }) == "Tensor::item: shape (2, 3) has 6 elements; one is needed");
  CHECK(error_of([&] { x.alias({5}); }) == "Tensor::alias: shape (2, 3) does not have the size of (5)");
  CHECK(error_of([&] { x.alias_rows(1, 3); }) == "Tensor::alias_rows: rows 1 to 3 of shape (2, 3)");
  CHECK(error_of([&] { x.alias_rows(-1, 1); }) == "Tensor::alias_rows: rows -1 to 1 of shape (2, 3)");
  CHECK(error_of([] { Tensor<float>({2}, {1, 2, 3}); }) == "Tensor: 3 values for shape (2)");
}

TEST_CASE("leaves are made and unmade by set_requires_grad") {
  Tensor<float> x({2});
  const Tensor<float> before = x;
  x.set_requires_grad();
  CHECK(x.requires_grad());
  CHECK(!before.requires_grad());
  CHECK(!x.recorded());
  CHECK(!x.grad().defined());
  CHECK(!x.detach().requires_grad());
  CHECK(!x.clone().requires_grad());
  CHECK(!x.alias({1, 2}).requires_grad());
  x.set_requires_grad(false);
  CHECK(!x.requires_grad());
}

TEST_CASE("a gradient is written first and added to afterwards") {
  Tensor<float> x({2});
  CHECK(!x.gradient().sink());
  x.set_requires_grad();
  const Gradient<float> dx = x.gradient();
  const GradientSink<float> first = dx.sink();
  CHECK(!first.add);
  first.data[0] = 1, first.data[1] = 2;
  const GradientSink<float> second = dx.sink();
  CHECK(second.add);
  CHECK(second.data == first.data);
  dx.add(Tensor<float>({2}, {10, 20}));
  CHECK(test::close(x.grad(), {11.F, 22.F}, 0));
  x.zero_grad();
  CHECK(!x.grad().defined());
}

TEST_CASE("a first gradient is written over one that nobody else holds, and over no other") {
  Tensor<float> x({2}, {1, 2});
  x.set_requires_grad();
  Tensor<float> dy({2}, {3, 4});
  {
    const Tensor<float> holder = dy;
    CHECK(!dy.sole_owner());
    CHECK(x.gradient().sink_over(dy).data != dy.data());
    x.zero_grad();
  }
  const GradientSink<float> over = x.gradient().sink_over(dy);
  CHECK(over.data == dy.data());
  CHECK(!over.add);
  CHECK(x.grad().data()[1] == 4);
  const Tensor<float> next({2}, {5, 6});
  dy = {};
  const GradientSink<float> second = x.gradient().sink_over(next);  // adds to the first
  CHECK(second.data == over.data);
  CHECK(second.add);
  CHECK(!Gradient<float>{}.sink_over(next));
  x.zero_grad();
  const Tensor<float> longer({3}, {7, 8, 9});
  CHECK(x.gradient().sink_over(longer).data != longer.data());
}

TEST_CASE("a part of a block that nobody else holds is not written over, but its gradient is") {
  Tensor<float> x({1, 2}, {1, 2});
  x.set_requires_grad();
  const Tensor<float> part = rows(Tensor<float>({2, 2}, {3, 4, 5, 6}), 1, 2);
  REQUIRE(part.sole_owner());
  const GradientSink<float> sink = x.gradient().sink_over(part);
  sink.data[0] = 7;
  CHECK(x.grad().data()[0] == 7);
  CHECK(part.data()[0] == 5);
}

TEST_CASE("a gradient taken over from a view is a copy, from a whole tensor it is shared until written") {
  Tensor<float> x({2});
  x.set_requires_grad();
  const Tensor<float> block({4}, {1, 2, 3, 4}), whole({2}, {5, 6});
  x.gradient().add(block.alias_rows(2, 4));
  CHECK(x.grad().data() != block.data() + 2);
  CHECK(test::close(x.grad(), {3.F, 4.F}, 0));
  x.zero_grad();
  x.gradient().add(whole);
  CHECK(x.grad().data() == whole.data());
  x.gradient().sink().data[0] = 9;
  CHECK(whole.data()[0] == 5);
  CHECK(test::close(x.grad(), {9.F, 6.F}, 0));
}
