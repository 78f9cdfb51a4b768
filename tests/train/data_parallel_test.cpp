// SPDX-License-Identifier: MIT
#include "gram/train/data_parallel.hpp"

#include "gram/nn/batch_norm.hpp"
#include "gram/nn/dropout.hpp"
#include "gram/nn/linear.hpp"
#include "gram/ops/activation.hpp"
#include "gram/ops/reduce.hpp"
#include "ranks.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;
using test::on_ranks;

namespace {

/// Three linear layers, one after another; the second may be left out.
template <Scalar T>
struct Chain {
  explicit Chain(std::uint64_t seed) : Chain(Rng(seed)) {}
  explicit Chain(Rng rng)
      : a({.in = 4, .out = 4}, rng), b({.in = 4, .out = 4}, rng), c({.in = 4, .out = 2}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x, bool with_b = true) const {
    const Tensor<T> h = tanh(a(x));
    return c(with_b ? tanh(b(h)) : h);
  }
  void visit(auto&& parts) { parts("a", a), parts("b", b), parts("c", c); }

  Linear<T> a, b, c;
};

template <Scalar T, class Model>
std::vector<Tensor<T>> gradients_of(Model& model) {
  std::vector<Tensor<T>> all;
  for_each_parameter(model, [&](const std::string&, auto& p) {
    if constexpr (std::same_as<typename std::decay_t<decltype(p)>::value_type, T>)
      all.push_back(p.grad().defined() ? p.grad().clone() : Tensor<T>{});
  });
  return all;
}

struct NormAndDropout {
  void visit(auto&& parts) { parts("norm", norm), parts("drop", drop); }
  Rng rng{3};
  BatchNorm2d<float> norm{{.channels = 3}};
  Dropout<float> drop{0.5, rng};
};

struct RoundedLayer {
  Tensor<bf16> operator()(const Tensor<bf16>& x) const { return norm(layer(x)); }
  void visit(auto&& parts) { parts("layer", layer), parts("norm", norm); }
  Rng rng{3};
  Linear<bf16> layer{{.in = 4, .out = 4}, rng};
  BatchNorm2d<bf16> norm{{.channels = 4}};
};

/// Six inputs and what they contribute to a sum.
template <Scalar T>
Tensor<T> inputs() {
  return randn<T>({6, 4}, 11);
}

/// Counts what is asked of it, and looks at a tensor's gradient whenever a sum begins.
class Watching final : public Communicator {
 public:
  explicit Watching(Tensor<double> watched) : watched_(std::move(watched)) {}
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::vector<std::pair<Index, bool>> sums;  ///< number of values, and whether the gradient was there

 private:
  std::uint64_t start(const Message& message) override {
    if (message.kind == Kind::sum) sums.emplace_back(message.count, watched_.grad().defined());
    return 0;
  }
  void finish(std::uint64_t) override {}
  Tensor<double> watched_;
};

}  // namespace

TEST_CASE_TEMPLATE("gradients become the sum over unequal shares, with the same bits on every rank", T, float,
                   double) {
  for (const int size : {1, 2, 4}) {
    Chain<T> whole(1);
    backward(sum(whole(inputs<T>())));
    const std::vector<Tensor<T>> expected = gradients_of<T>(whole);
    std::vector<std::vector<Tensor<T>>> found(static_cast<std::size_t>(size));
    on_ranks(size, [&](Communicator& communicator) {
      const int rank = communicator.rank();
      Chain<T> model(static_cast<std::uint64_t>(rank + 1));  // rank 0 has the seed of the expected ones
      DataParallel parallel(model, communicator, {.bucket_bytes = 100});
      for (int step = 0; step < 3; ++step) {
        zero_grad(model);
        backward(sum(model(inputs<T>().alias_rows(6 * rank * rank / (size * size),
                                                  6 * (rank + 1) * (rank + 1) / (size * size)))));
        parallel.finish();
      }
      found[static_cast<std::size_t>(rank)] = gradients_of<T>(model);
    });
    for (const auto& gradients : found)
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CHECK(test::close(gradients[i], expected[i], std::same_as<T, float> ? 1e-5 : 1e-14));
        CHECK(test::identical(gradients[i], found[0][i]));
      }
  }
}

TEST_CASE("buckets are sent while the backward pass runs, last layers first") {
  Chain<double> model(1);
  Watching communicator(model.a.weight);
  DataParallel parallel(model, communicator, {.bucket_bytes = 10 * 8});
  CHECK(parallel.buckets() == 5);
  backward(sum(model(inputs<double>())));
  using Sums = std::vector<std::pair<Index, bool>>;
  CHECK(communicator.sums == Sums{{10, false}, {4, false}, {16, false}, {4, true}, {16, true}});  // c; b; a
  parallel.finish();
  CHECK(parallel.early_buckets() == 5);
  communicator.sums.clear();
  zero_grad(model);
  parallel.set_overlap(false);
  backward(sum(model(inputs<double>())));
  CHECK(communicator.sums.empty());
  parallel.finish();
  CHECK(communicator.sums ==
        Sums{{10, true}, {4, true}, {16, true}, {4, true}, {16, true}, {6, true}});  // and who has gradients
  CHECK(parallel.early_buckets() == 0);
}

TEST_CASE("a parameter that is used twice is sent when both gradients are in it") {
  Chain<double> model(1);
  Watching communicator(model.a.weight);
  DataParallel parallel(model, communicator, {.bucket_bytes = 1});
  const Tensor<double> x = inputs<double>();
  backward(sum(model.c(tanh(model.b(tanh(model.b(tanh(model.a(x)))))))));
  const std::vector<Tensor<double>> before = gradients_of<double>(model);
  parallel.finish();
  CHECK(parallel.early_buckets() == 6);
  const std::vector<Tensor<double>> after = gradients_of<double>(model);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(test::identical(before[i], after[i]));
}

TEST_CASE("a parameter without gradient on one rank gets the others' sum, on all ranks none") {
  on_ranks(3, [](Communicator& communicator) {
    Chain<double> model(5);
    DataParallel parallel(model, communicator, {.bucket_bytes = 100});
    const bool has = communicator.rank() == 1;
    backward(sum(model(inputs<double>(), has)));
    Chain<double> expected(5);
    backward(sum(expected(inputs<double>())));
    parallel.finish();
    require<Error>(test::identical(model.b.weight.grad(), expected.b.weight.grad()), "not the sum");
    zero_grad(model);
    backward(sum(model(inputs<double>(), false)));
    parallel.finish();
    require<Error>(!model.b.weight.grad().defined() && model.a.weight.grad().defined(),
                   "a gradient from nowhere");
  });
}

TEST_CASE("gradients of several backward passes add up without overlap, and are refused with it") {
  Chain<double> model(1), expected(1);
  Watching communicator(model.a.weight);
  DataParallel parallel(model, communicator);
  const auto twice = [](Chain<double>& m) {
    for (int i = 0; i < 2; ++i) backward(sum(m(inputs<double>())));
  };
  CHECK(error_of([&] { twice(model); }) ==
        "DataParallel: c.weight got a gradient after its gradient had been sent; call finish() after every "
        "backward "
        "pass, or set_overlap(false) where several add up");
  parallel.finish();
  zero_grad(model);
  parallel.set_overlap(false);
  twice(model), twice(expected);
  parallel.finish();
  CHECK(test::identical(model.a.weight.grad(), expected.a.weight.grad()));
  CHECK(error_of([&] { DataParallel(model, communicator); }) ==
        "DataParallel: c.bias is part of another one");
}

TEST_CASE("a gradient that another tensor shares is not written over") {
  on_ranks(2, [](Communicator& communicator) {
    Chain<double> model(5);
    DataParallel parallel(model, communicator);
    backward(sum(model(inputs<double>())));
    const Tensor<double> kept = model.c.bias.grad(), values = kept.clone();
    parallel.finish();
    require<Error>(test::identical(kept, values) && model.c.bias.grad().data()[0] == 2 * kept.data()[0],
                   "written over");
  });
}

TEST_CASE("ranks begin with the parameters, buffers of rank 0 and with random numbers of their own") {
  std::vector<Tensor<float>> masks(2);
  on_ranks(2, [&](Communicator& communicator) {
    NormAndDropout net;
    net.norm.running_mean.data()[1] = static_cast<float>(7 + communicator.rank());
    net.norm.weight.data()[2] = static_cast<float>(3 + communicator.rank());
    const DataParallel parallel(net, communicator);
    require<Error>(net.norm.running_mean.data()[1] == 7 && net.norm.weight.data()[2] == 3,
                   "not those of rank 0");
    masks[static_cast<std::size_t>(communicator.rank())] = net.drop(ones<float>({64}));
  });
  CHECK(!test::identical(masks[0], masks[1]));
}

TEST_CASE("random sources are where they were when a training is resumed") {
  std::vector<Tensor<float>> masks(2), again(2);
  std::uint64_t seed = 0, position = 0;  // of rank 0, which writes the state
  on_ranks(2, [&](Communicator& communicator) {
    NormAndDropout net;
    const DataParallel parallel(net, communicator);
    net.drop(ones<float>({64}));
    const Rng& rng = net.drop.rng;
    if (communicator.rank() == 0) seed = rng.seed(), position = rng.position();
    masks[static_cast<std::size_t>(communicator.rank())] = net.drop(ones<float>({64}));
  });
  on_ranks(2, [&](Communicator& communicator) {
    NormAndDropout net;
    net.drop.rng.restore(seed, position);
    const DataParallel parallel(net, communicator);
    again[static_cast<std::size_t>(communicator.rank())] = net.drop(ones<float>({64}));
  });
  for (const std::size_t rank : {0U, 1U}) CHECK(test::identical(masks[rank], again[rank]));
}

TEST_CASE("bf16 parameters and their float norms have buckets of their own") {
  on_ranks(2, [](Communicator& communicator) {
    RoundedLayer net;
    DataParallel parallel(net, communicator);
    require<Error>(parallel.buckets() == 2, "not two buckets");
    const Tensor<bf16> y = net(randn<bf16>({5, 4}, 2));
    backward(y, ones<bf16>({5, 4}));
    const float before = net.norm.bias.grad().data()[0];
    parallel.finish();
    require<Error>(before == 5 && net.norm.bias.grad().data()[0] == 10, "not the sum");
  });
}

TEST_CASE("after the first step nothing is taken from the system") {
  Chain<float> model(1);
  SocketCommunicator alone;
  DataParallel parallel(model, alone);
  std::size_t before = 0;
  for (int step = 0; step < 3; ++step) {
    if (step == 1) before = memory_stats().system_requests;
    zero_grad(model);
    backward(sum(model(inputs<float>())));
    parallel.finish();
  }
  CHECK(memory_stats().system_requests == before);
}
