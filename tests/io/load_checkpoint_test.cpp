// SPDX-License-Identifier: MIT
#include "gram/io/load_checkpoint.hpp"

#include <unistd.h>

#include <filesystem>

#include "gram/nn/gap_heads.hpp"
#include "gram/nn/gramian_heads.hpp"
#include "gram/nn/position_embedding.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

/// A body with a position embedding, and linear heads.
struct Net {
  Net(Index count, Index classes, Rng& rng)
      : body(randn<float>({2, 3}, 7)),
        pos_embed(randn<float>({1, 5, 3}, 8)),
        heads(count, {.channels = 3, .classes = classes}, rng) {}
  void visit(auto&& parts) { parts("body", body), parts("pos_embed", pos_embed), heads.visit(parts); }

  Parameter<float> body, pos_embed;
  GapHeads<float> heads;
};
Net net(Index heads = 1, Index classes = 2) {
  Rng rng(1);
  return {heads, classes, rng};
}

struct Wrapper {
  void visit(auto&& parts) { parts("model", model); }
  Net model = net();
};

/// A file whose tensors are filled with one number each.
struct File {
  File& add(const std::string& name, const Shape& shape, float value) {
    writer.add(name, full<float>(shape, value));
    return *this;
  }
  /// The tensors of net(), all of this value.
  File& add_net(const std::string& prefix, float value, const std::string& classifier = "fc",
                Index classes = 2) {
    add(prefix + "body", {2, 3}, value).add(prefix + "pos_embed", {1, 5, 3}, value);
    add(prefix + classifier + ".weight", {classes, 3}, value);
    return add(prefix + classifier + ".bias", {classes}, value);
  }
  SafeTensors read() const {
    std::string path =
        std::filesystem::temp_directory_path().string() + "/gram_checkpoint_" + std::to_string(::getpid());
    writer.write(path);
    SafeTensors file = SafeTensors::read(path);
    std::filesystem::remove(path);
    return file;
  }
  SafeTensorsWriter writer;
};

std::vector<Tensor<float>> values(Net& model) {
  std::vector<Tensor<float>> all;
  for_each_parameter(model, [&](const std::string&, auto& p) { all.push_back(p.clone()); });
  return all;
}
/// True when all parameters of the model have this value.
bool all_are(Net& model, float value) {
  bool all = true;
  for_each_parameter(model, [&](const std::string&, auto& p) {
    for (const float x : p.span()) all = all && x == value;
  });
  return all;
}
/// The message of load_checkpoint, which must leave the model as it was.
std::string refused(Net& model, const SafeTensors& file, const CheckpointOptions& options = {}) {
  const auto before = values(model);
  const std::string message = error_of([&] { load_checkpoint(model, file, options); });
  const auto after = values(model);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(test::identical(before[i], after[i]));
  const std::string path = printable(file.path()) + ": ";
  return message.starts_with(path) ? message.substr(path.size()) : message;
}

}  // namespace

TEST_CASE("the weights of a training run are found in its dictionary, averaged ones on request") {
  const auto file = File()
                        .add_net("state_dict.module.", 1)
                        .add_net("state_dict_ema.", 2)
                        .add("optimizer.state.0.exp_avg", {2, 3}, 3)
                        .add("state_dict.module.bn.num_batches_tracked", {}, 4)
                        .read();
  Net model = net();
  CHECK(load_checkpoint(model, file).container == "state_dict.");
  CHECK(all_are(model, 1));
  const auto report = load_checkpoint(model, file, {.ema = true});
  CHECK(report.container == "state_dict_ema.");
  CHECK(report.complete());
  CHECK(all_are(model, 2));
}

TEST_CASE("one kind of weights is taken where a file has no other, and plain files have no dictionary") {
  Net model = net();
  CHECK(load_checkpoint(model, File().add_net("model_ema.", 1).read()).container == "model_ema.");
  CHECK(all_are(model, 1));
  CHECK(load_checkpoint(model, File().add_net("model.", 2).read(), {.ema = true}).container == "model.");
  CHECK(all_are(model, 2));
  CHECK(load_checkpoint(model, File().add_net("_orig_mod.module.", 3).read()).container.empty());
  CHECK(all_are(model, 3));
  CHECK(load_checkpoint(model, File().add_net("state_dict.model.", 4).read()).container ==
        "state_dict.model.");
  CHECK(all_are(model, 4));
}

TEST_CASE("a part of the network that is called like a dictionary is none") {
  Wrapper wrapper;
  CHECK(load_checkpoint(wrapper, File().add_net("model.", 5).read()).container.empty());
  CHECK(all_are(wrapper.model, 5));
  CHECK(
      load_checkpoint(wrapper, File().add_net("model.model.", 6).read(), {.strict = false}).missing.size() ==
      4);  // opened only when asked for by another name
  CHECK(load_checkpoint(wrapper, File().add_net("state_dict.model.", 6).read()).container == "state_dict.");
  CHECK(all_are(wrapper.model, 6));
}

TEST_CASE("a classifier has one of several names") {
  for (const std::string name : {"head", "classifier", "fc"}) {
    Net model = net();
    CHECK(load_checkpoint(model, File().add_net("", 1, name).read()).complete());
    CHECK(all_are(model, 1));
  }
  Net model = net();
  CHECK(refused(model, File().add_net("", 1).add("head.bias", {2}, 1).read()) ==
        "both 'fc.bias' and 'head.bias' are named 'fc.bias'");
  CHECK(refused(model, File().add_net("", 1, "aux_head").read()) ==
        "the weights do not fit the network: 2 missing (fc.weight, fc.bias); 2 unexpected "
        "(aux_head.bias, aux_head.weight)");
}

TEST_CASE("a classifier for other classes is left out on request only") {
  const auto file = File().add_net("model.", 1, "head", 10).read();
  Net model = net();
  CHECK(refused(model, file) ==
        "the weights under 'model.' do not fit the network: 2 of another shape (fc.weight expects (2, 3), "
        "found (10, 3), fc.bias expects (2), found (10)); drop_classifier leaves out one of other classes");
  const Tensor<float> fresh = model.heads.fc[0].weight.clone();
  const auto report = load_checkpoint(model, file, {.drop_classifier = true});
  CHECK(report.complete());
  REQUIRE(report.dropped.size() == 2);
  CHECK(report.dropped[0].name == "fc.weight");
  CHECK(report.dropped[0].expected == Shape{2, 3});
  CHECK(report.dropped[0].found == Shape{10, 3});
  CHECK(test::identical<float>(model.heads.fc[0].weight, fresh));
  CHECK(model.body.span()[0] == 1);

  // Another width is no other number of classes.
  const auto wide = File()
                        .add("body", {2, 3}, 1)
                        .add("pos_embed", {1, 5, 3}, 1)
                        .add("fc.weight", {2, 4}, 1)
                        .add("fc.bias", {2}, 1)
                        .read();
  CHECK(refused(model, wide, {.drop_classifier = true}) ==
        "the weights do not fit the network: 1 of another shape (fc.weight expects (2, 3), found (2, 4))");
}

TEST_CASE("the first heads of a file are taken on request") {
  const auto file = File()
                        .add("body", {2, 3}, 1)
                        .add("pos_embed", {1, 5, 3}, 1)
                        .add("fc.0.weight", {2, 3}, 1)
                        .add("fc.0.bias", {2}, 1)
                        .add("fc.1.weight", {2, 3}, 1)
                        .add("fc.1.bias", {2}, 1)
                        .add("fc.2.weight", {2, 3}, 9)
                        .add("fc.2.bias", {2}, 9)
                        .add("aggregate.2.0.weight", {1}, 9)
                        .read();
  Net two = net(2);
  CHECK(refused(two, file) ==
        "the weights do not fit the network: 3 unexpected (aggregate.2.0.weight, fc.2.bias, fc.2.weight)");
  const auto report = load_checkpoint(two, file, {.first_heads = true});
  CHECK(report.complete());
  CHECK(report.further_heads == std::vector<std::string>{"aggregate.2.0.weight", "fc.2.bias", "fc.2.weight"});
  CHECK(all_are(two, 1));

  Net one = net(1);  // its only head has no number
  CHECK(load_checkpoint(one, file, {.first_heads = true}).further_heads.size() == 5);
  CHECK(all_are(one, 1));

  Net four = net(4);
  CHECK(refused(four, file, {.first_heads = true}) ==
        "the weights do not fit the network: 2 missing (fc.3.weight, fc.3.bias); 1 unexpected "
        "(aggregate.2.0.weight)");
}

TEST_CASE("all parts of the further Gramian heads are left out") {
  const GramianHead<float>::Options options{
      .channels = 16, .classes = 3, .gram_dim = 8, .embedding_groups = 4, .embed = 8};
  Rng rng(1);
  GramianHeads<float> three(3, options, rng), two(2, options, rng);
  File file;
  detail::for_each_weight(three, [&](const std::string& name, auto& part, Layout layout) {
    file.writer.add(name, to_file_layout(part, layout));
  });
  const auto report = load_checkpoint(two, file.read(), {.first_heads = true});
  CHECK(report.complete());
  std::size_t expected = 0;
  for (const std::string& name : detail::weight_names(three)) expected += name.find(".2.") != name.npos;
  for (const std::string& name : report.further_heads) CHECK(name.find(".2.") != name.npos);
  // ga.0.mlp.. has no ".2.", and gram_embedding.0.1.. none either
  CHECK(report.further_heads.size() == expected);
  CHECK(expected > 10);
  CHECK(test::identical<float>(two.heads[1].fc.weight, three.heads[1].fc.weight));
}

TEST_CASE("a tensor of another shape goes through the hook, in the layout of the file") {
  const auto file = File()
                        .add("body", {2, 3}, 1)
                        .add("pos_embed", {1, 2, 3}, 1)
                        .add("fc.weight", {2, 3}, 1)
                        .add("fc.bias", {2}, 1)
                        .read();
  Net model = net();
  CHECK(refused(model, file) ==
        "the weights do not fit the network: 1 of another shape (pos_embed expects (1, 5, 3), found "
        "(1, 2, 3))");
  std::vector<std::string> asked;
  const auto resize = [&](const std::string& name, const Tensor<float>& x,
                          const Shape& expected) -> Tensor<float> {
    asked.push_back(name);
    CHECK(x.shape() == Shape{1, 2, 3});
    return full<float>(expected, 2 * x.data()[0]);
  };
  const auto report = load_checkpoint(model, file, {.resize = resize});
  CHECK(report.complete());
  CHECK(report.resized == std::vector<std::string>{"pos_embed"});
  CHECK(asked == report.resized);
  CHECK(model.pos_embed.span()[14] == 2);
  CHECK(model.body.span()[5] == 1);

  CHECK(
      refused(model, file, {.resize = [](const auto&, const auto&, const auto&) { return Tensor<float>{}; }})
          .ends_with("(1, 2, 3))"));
  CHECK(refused(model, file, {.resize = [](const auto&, const auto& x, const auto&) { return x; }}) ==
        "load_weights: 'pos_embed' was resized to (1, 2, 3), but the network expects (1, 5, 3)");
}

TEST_CASE("position embeddings of larger images are resized on the way") {
  File file;
  file.add("body", {2, 3}, 1).add("fc.weight", {2, 3}, 1).add("fc.bias", {2}, 1);
  const auto of_nine = randn<float>({1, 1 + 3 * 3, 3}, 4);
  file.writer.add("pos_embed", of_nine);
  Net model = net();  // of 2 x 2 patches and a class token
  load_checkpoint(model, file.read(), {.resize = [](const auto&, const auto& x, const auto&) {
                    return resize_position_embedding(x, 3, 2);
                  }});
  CHECK(test::identical<float>(model.pos_embed, resize_position_embedding(of_nine, 3, 2)));
}

TEST_CASE("a rename sees names without dictionary and prefixes") {
  const auto file = File().add_net("state_dict.module.net.", 3, "linear").read();
  const auto rename = [](const std::string& name) {
    const std::string inner = name.substr(name.starts_with("net.") ? 4 : 0);
    return inner.starts_with("linear.") ? "head" + inner.substr(6) : inner;
  };
  Net model = net();
  CHECK(load_checkpoint(model, file, {.rename = rename}).complete());
  CHECK(all_are(model, 3));
}

TEST_CASE("what does not fit is reported where that is allowed, and the rest is loaded") {
  Net model = net();
  const auto report = load_checkpoint(
      model, File().add("model.body", {2, 3}, 1).add("model.head.bias", {2}, 1).add("model.x", {1}, 1).read(),
      {.strict = false});
  CHECK(report.missing == std::vector<std::string>{"pos_embed", "fc.weight"});
  CHECK(report.unexpected == std::vector<std::string>{"model.x"});
  CHECK(model.body.span()[0] == 1);
  CHECK(model.heads.fc[0].bias.span()[1] == 1);
}
