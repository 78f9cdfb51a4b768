// SPDX-License-Identifier: MIT
#include "gram/io/weights.hpp"

#include <filesystem>

#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

template <Scalar T>
struct Norm {
  Parameter<accum_t<T>> weight{ones<accum_t<T>>({4})};
  Buffer<accum_t<T>> running_mean{zeros<accum_t<T>>({4})};
  void visit(auto&& parts) { parts("weight", weight), parts("running_mean", running_mean); }
};

/// One part of every kind and layout.
template <Scalar T>
struct EveryLayout {
  explicit EveryLayout(std::uint64_t seed)
      : conv(randn<T>({4, 3, 2, 5}, seed), Layout::conv),
        mlp(randn<T>({6, 4}, seed + 1), Layout::pointwise),
        bias(randn<T>({6}, seed + 2)) {}
  void visit(auto&& parts) {
    parts("conv", conv), parts("norm", norm), parts("mlp", mlp), parts("absent", absent), parts("bias", bias);
  }
  Parameter<T> conv, mlp, absent, bias;
  Norm<T> norm;
};

struct TemporaryFile {
  explicit TemporaryFile(const std::string& name)
      : path((std::filesystem::temp_directory_path() / ("gram_" + std::to_string(::getpid()) + name))
                 .string()) {}
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

}  // namespace

TEST_CASE("weights have PyTorch's shapes in files and come back bit by bit") {
  EveryLayout<float> net(1), other(9);
  net.norm.running_mean.span()[2] = 7;
  const TemporaryFile file("weights");
  save_weights(net, file.path);
  const auto s = SafeTensors::read(file.path);
  CHECK(s.names() == std::vector<std::string>{"bias", "conv", "mlp", "norm.running_mean", "norm.weight"});
  CHECK(s.shape("conv") == Shape{4, 5, 3, 2});
  CHECK(s.shape("mlp") == Shape{6, 4, 1, 1});
  CHECK(s.tensor<float>("conv").at({3, 4, 2, 1}) == net.conv.at({3, 2, 1, 4}));
  const Tensor<float> handle = other.conv;  // loading keeps the memory: other handles see the values
  CHECK(load_weights(other, file.path).complete());
  CHECK(test::identical<float>(net.conv, other.conv));
  CHECK(test::identical<float>(net.conv, handle));
  CHECK(test::identical<float>(net.mlp, other.mlp));
  CHECK(test::identical<float>(net.norm.running_mean, other.norm.running_mean));
  CHECK(other.conv.requires_grad());
}

TEST_CASE("weights convert between the scalar types") {
  EveryLayout<double> net(1), again(5);
  EveryLayout<bf16> half(3);
  const TemporaryFile file("weights_bf16");
  save_weights(net, file.path);
  load_weights(half, file.path);
  CHECK(test::identical<bf16>(half.mlp, converted<bf16>(net.mlp)));
  save_weights(half, file.path);
  CHECK(SafeTensors::read(file.path).dtype("mlp") == "BF16");
  CHECK(SafeTensors::read(file.path).dtype("norm.weight") == "F32");
  load_weights(again, file.path);
  CHECK(test::close<double>(again.conv, net.conv, 0.01));
}

TEST_CASE("weights that do not fit are listed with both shapes, and nothing changes") {
  EveryLayout<float> net(1);
  const Tensor<float> conv = net.conv.clone(), bias = net.bias.clone();
  SafeTensorsWriter w;
  w.add("conv", zeros<float>({4, 3, 2, 5}));
  w.add("bias", zeros<float>({6}));
  w.add("norm.weight", zeros<float>({4}));
  w.add("norm.num_batches_tracked", Tensor<std::int64_t>(Shape{}, {3}));
  w.add("mlp", zeros<float>({6, 4}));
  w.add("fc.bias", zeros<float>({6}));
  const TemporaryFile file("weights_bad");
  w.write(file.path);
  CHECK(error_of([&] { load_weights(net, file.path); }) ==
        printable(file.path) +
            ": the weights do not fit the network: 1 missing (norm.running_mean); 1 unexpected (fc.bias); "
            "2 of another shape (conv expects (4, 5, 3, 2), found (4, 3, 2, 5), mlp expects (6, 4, 1, 1), "
            "found (6, 4))");
  CHECK(test::identical<float>(net.bias, bias));
  const auto report = load_weights(net, file.path, {.strict = false});
  CHECK(report.missing == std::vector<std::string>{"norm.running_mean"});
  CHECK(report.unexpected == std::vector<std::string>{"fc.bias"});
  REQUIRE(report.mismatched.size() == 2);
  CHECK(report.mismatched[0].name == "conv");
  CHECK(report.mismatched[0].expected == Shape{4, 5, 3, 2});
  CHECK(report.mismatched[0].found == Shape{4, 3, 2, 5});
  CHECK(test::identical<float>(net.conv, conv));
  CHECK(net.bias.span()[0] == 0);
}

TEST_CASE("values that cannot be read leave the network as it was") {
  EveryLayout<float> net(1);
  const Tensor<float> bias = net.bias.clone();
  const std::string header =
      R"({"bias":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"mlp":{"dtype":"F99","shape":[6,4,1,1],"data_offsets":[24,25]}})";
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  const auto file = SafeTensors::parse("f", bytes + header + std::string(25, '\0'));
  CHECK(error_of([&] { load_weights(net, file, {.strict = false}); }) ==
        "'f': tensor 'mlp': values of dtype 'F99' cannot be read");
  CHECK(test::identical<float>(net.bias, bias));
}

TEST_CASE("prefixes of wrappers are stripped and names can be changed") {
  EveryLayout<float> net(1);
  Norm<float> norm;
  SafeTensorsWriter w;
  w.add("module._orig_mod.module.gamma", full<float>({4}, 3));
  w.add("module.running_mean", full<float>({4}, 4));
  w.add("module.left_out", zeros<float>({1}));
  const TemporaryFile file("weights_renamed");
  w.write(file.path);
  const auto rename = [](const std::string& name) -> std::string {
    return name == "gamma" ? "weight" : name == "left_out" ? "" : name;
  };
  CHECK(load_weights(norm, file.path, {.rename = rename}).complete());
  CHECK(norm.weight.span()[3] == 3);
  CHECK(norm.running_mean.span()[0] == 4);
  CHECK(load_weights(norm, file.path, {.strict = false, .strip = {}}).unexpected.size() == 3);
  CHECK(error_of([&] {
          load_weights(norm, file.path, {.rename = [](const std::string&) { return "weight"; }});
        }).find("are named 'weight'") != std::string::npos);
}

TEST_CASE("a long list of differences is cut") {
  LoadReport report;
  for (int i = 0; i < 30; ++i) report.missing.push_back("w" + std::to_string(i));
  CHECK(to_text(report).starts_with("30 missing (w0, w1, "));
  CHECK(to_text(report).ends_with(", w19, ..)"));
  report.missing = {"\x1b[2J"};
  CHECK(to_text(report) == "1 missing (\\x1b[2J)");
}

TEST_CASE("images and convolution weights change layout both ways") {
  const auto x = randn<float>({2, 3, 4, 5}, 1);
  CHECK(channels_last(x).shape() == Shape{2, 4, 5, 3});
  CHECK(channels_last(x).at({1, 3, 4, 2}) == x.at({1, 2, 3, 4}));
  CHECK(test::identical(channels_first(channels_last(x)), x));
  CHECK(channels_last(Tensor<float>({0, 3, 2, 2})).shape() == Shape{0, 2, 2, 3});
  CHECK(channels_first(Tensor<float>({2, 0, 2, 3})).shape() == Shape{2, 3, 0, 2});
  CHECK(error_of([&] {
          channels_last(Tensor<float>({2, 3}));
        }) == "channels_last: shape (2, 3); (N, C, H, W) is needed");
  CHECK(error_of([&] { channels_first(Tensor<float>({2})); }) ==
        "channels_first: shape (2); (N, H, W, C) is needed");
}

TEST_CASE("values of another shape can be resized, in the layout of files and in float") {
  EveryLayout<double> net(1);
  SafeTensorsWriter w;
  for_each_parameter(net, [&](const std::string& name, auto& p) {
    if (name != "conv") w.add(name, to_file_layout(p, p.layout));
  });
  w.add("norm.running_mean", net.norm.running_mean);
  w.add("conv", randn<double>({4, 5, 1, 1}, 5));  // (O, I, Kh, Kw), kernels of one tap
  const TemporaryFile file("weights_resized");
  w.write(file.path);
  const auto spread = [](const std::string& name, const Tensor<float>& x, const Shape& expected) {
    CHECK(name == "conv");
    CHECK(x.shape() == Shape{4, 5, 1, 1});
    CHECK(expected == Shape{4, 5, 3, 2});
    return generate<float>(expected, [&](Index i) { return x.data()[i / 6] / 6; });
  };
  const auto report = load_weights(net, file.path, {.resize = spread});
  CHECK(report.resized == std::vector<std::string>{"conv"});
  const auto stored = SafeTensors::read(file.path).tensor<double>("conv");
  CHECK(net.conv.at({3, 2, 1, 4}) == doctest::Approx(stored.at({3, 4, 0, 0}) / 6));
  CHECK(net.conv.at({1, 0, 0, 2}) == doctest::Approx(stored.at({1, 2, 0, 0}) / 6));
}
