// SPDX-License-Identifier: MIT
// One backbone, one budget, three classifiers: global average pooling with a linear layer, one Gramian head,
// three Gramian heads with lambda = -0.8. Trains each on the embedded textures and prints a table, a picture
// of the learning curves and example predictions.   demo [epochs] [images] [picture.png]
#include <charconv>
#include <chrono>
#include <cstdio>

#include "curves.hpp"
#include "gram/gram.hpp"

using namespace gram;

namespace {

struct Result {
  std::string name;
  Index parameters = 0;
  double seconds = 0;
  std::vector<double> accuracy = {};         ///< on the test set, in %, after each epoch
  std::vector<std::int64_t> predicted = {};  ///< for the first test images
};

constexpr Index examples_shown = 5;

template <class Model>
Result run(const std::string& name, Model model, Loader<float>& train_loader, Loader<float>& test_loader,
           Index epochs) {
  Result result{.name = name, .parameters = parameter_count(model)};
  std::printf("\n%s, %.3f M parameters\n", name.c_str(), 1e-6 * static_cast<double>(result.parameters));
  std::fflush(stdout);
  Sgd<float> optimizer(named_parameters<float>(model),
                       {.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
  const OneCycleSchedule schedule{.max_lr = 0.1, .total_steps = epochs * train_loader.batches()};
  const auto loss = [](const std::vector<Tensor<float>>& logits, const Batch<float>& batch) {
    return gramian_loss(logits, batch.labels, {.lambda = -0.8});
  };
  Progress progress;
  const auto start = std::chrono::steady_clock::now();
  for (Index epoch = 1; epoch <= epochs; ++epoch) {
    train_epoch(model, train_loader, optimizer, loss, schedule,
                {.epoch = epoch, .epochs = epochs, .max_norm = 5, .progress = &progress});
    result.accuracy.push_back(100 * evaluate(model, test_loader).accuracy());
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const NoGrad off;
  eval(model);
  typename Loader<float>::Epoch batches = test_loader.epoch(0);
  const Batch<float>& batch = *batches.next();
  const std::vector<Tensor<float>> logits = model(batch.images);
  Tensor<float> sum = logits[0];
  for (std::size_t i = 1; i < logits.size(); ++i) sum = sum + logits[i];
  const Tensor<std::int64_t> labels = argmax(sum);
  result.predicted.assign(labels.data(), labels.data() + std::min(examples_shown, labels.size()));
  return result;
}

/// A word of the command line as a number; throws ArgumentError, naming it, unless it is one of at least
/// `least`.
Index number(const char* what, const std::string& word, Index least) {
  Index value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  require<ArgumentError>(error == std::errc() && end == word.data() + word.size() && value >= least, what,
                         " ", printable(word), ": a number of at least ", least, " is needed");
  return value;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words == std::vector<std::string>{"--help"})
    return std::puts("demo [epochs] [images] [picture.png]"), 0;
  require<ArgumentError>(words.size() <= 3, "demo: ", words.size(),
                         " words; at most 3 are known, see --help");
  const Index epochs = !words.empty() ? number("epochs", words[0], 1) : 5;
  const Index images = words.size() > 1 ? number("images", words[1], 100) : 3000;
  const std::string picture = words.size() > 2 ? words[2] : "demo.png";

  { const OutputFile probe(picture); }  // throws now, not after minutes

  const TextureOptions textures{.classes = 10, .count = images, .seed = 1};
  const Dataset train_set = open_dataset("textures", "", Split::train, textures);
  const Dataset test_set = open_dataset("textures", "", Split::test, textures);
  const ChannelStatistics statistics = channel_statistics(train_set.images);
  Loader<float> train_loader(train_set, {.batch = 64,
                                         .shuffle = true,
                                         .seed = 1,
                                         .smallest = 2,
                                         .transform = {.pad = 2, .flip = true, .normalize = statistics}});
  Loader<float> test_loader(test_set, {.batch = 250, .transform = {.normalize = statistics}});
  std::printf("textures: %lld + %lld images, %lld classes; ResNet-29, %lld epochs\n",
              static_cast<long long>(train_set.size()), static_cast<long long>(test_set.size()),
              static_cast<long long>(train_set.classes), static_cast<long long>(epochs));

  std::vector<Result> results;
  const auto rng = [] { return Rng(1); };
  const Index classes = train_set.classes;
  {
    Rng seed = rng();
    results.push_back(
        run("GAP-FC", CifarResNet<float>({.classes = classes}, seed), train_loader, test_loader, epochs));
  }
  for (const Index heads : {1, 3}) {
    Rng seed = rng();
    results.push_back(run(heads == 1 ? "one Gramian head" : "three Gramian heads, lambda -0.8",
                          GaCifar<float>({.classes = classes, .heads = heads}, seed), train_loader,
                          test_loader, epochs));
  }

  std::printf("\n%-34s %12s %10s %15s\n", "classifier", "parameters", "time", "test accuracy");
  std::vector<examples::Curve> curves;
  for (const Result& r : results) {
    std::printf("%-34s %10.3f M %8.0f s %13.1f %%\n", r.name.c_str(),
                1e-6 * static_cast<double>(r.parameters), r.seconds, r.accuracy.back());
    curves.push_back({r.name, r.accuracy});
  }
  examples::draw_curves(picture, "test accuracy on textures, %", "epoch", curves);
  std::printf("\nlearning curves: %s\n\nfive test images and what the three heads together see in them:\n",
              picture.c_str());
  for (std::size_t i = 0; i < results.back().predicted.size(); ++i) {
    const std::int64_t label = test_set.labels.data()[i], predicted = results.back().predicted[i];
    std::printf("  %-24s -> %-24s %s\n", test_set.class_name(label).c_str(),
                test_set.class_name(predicted).c_str(), label == predicted ? "right" : "wrong");
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
