// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>

namespace examples {
namespace {

/// All digits that tell the number from others, and no more.
std::string exact(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

/// A new training must not be the end of an earlier one: its file gets another name.
void keep_previous(const std::string& path) {
  namespace fs = std::filesystem;
  if (path.empty() || !fs::is_regular_file(path)) return;
  std::string kept = path + ".previous";
  for (int i = 2; fs::exists(fs::symlink_status(kept)); ++i) kept = gram::text(path, ".previous.", i);
  fs::rename(path, kept);
  std::printf("%s was there from an earlier training and is now %s\n", path.c_str(), kept.c_str());
}

/// CLI11 takes 064 for 52 and an empty path for none.
const CLI::Validator decimal(
    [](std::string& word) {
      const bool octal =
          word.size() > 1 && word[0] == '0' && word.find_first_not_of("0123456789") == word.npos;
      return octal ? word + " is not a number without zeros in front" : std::string();
    },
    "", "decimal");
const CLI::Validator not_empty(
    [](std::string& word) { return word.empty() ? "The path is empty" : std::string(); }, "", "not empty");

}  // namespace

Options parse(int argc, char** argv, const char* description, Options options) {
  CLI::App app(description);
  app.option_defaults()->always_capture_default();
  if (!options.model.empty()) app.add_option("--model", options.model, "a name of `gram models`");
  app.add_option("--data", options.data, "textures, fashion_mnist, mnist, cifar10 or cifar100");
  CLI::Option* const folder =
      app.add_option("--folder", options.folder, "folder with the files of the data set");
  app.add_option("--epochs", options.epochs, "passes over the training set")->check(CLI::Range(1, 1000000));
  app.add_option("--batch", options.batch, "images in a batch")->check(CLI::Range(1, 1000000));
  app.add_option("--heads", options.heads, "Gramian heads")->check(CLI::Range(1, 1000));
  app.add_option("--lambda", options.lambda, "weight of the decorrelation term of the loss");
  app.add_option("--lr", options.learning_rate, "largest learning rate")->check(CLI::Range(1e-9, 1e3));
  app.add_option("--seed", options.seed, "of weights, shuffling and augmentation")
      ->check(CLI::Range(0.0, 1e18));  // CLI11 turns -1 into 2^64 - 1
  app.add_option("--threads", options.threads, "0: OMP_NUM_THREADS, or all processors")
      ->check(CLI::Range(0, 1024));
  app.add_option(
         "--precision", options.precision,
         "float32, or bf16: on the CPU operands of large products, on a GPU the whole network, but for "
         "sums, norms and the optimiser")
      ->check(CLI::IsMember({"float32", "bf16"}));
  app.add_option("--device", options.device, "cpu, cuda (the first GPU) or cuda:1");
  app.add_flag_callback(
      "--no-graph", [&] { options.graphs = false; },
      "on a GPU: start every operation of every step by itself");
  app.add_option("--steps", options.steps, "end an epoch after so many steps; 0: all of them")
      ->check(CLI::Range(0, 1000000000));
  app.add_option("--log", options.log, "write a CSV file, one row for each epoch")->check(not_empty);
  app.add_option("--checkpoint", options.checkpoint,
                 "a file that the state of the training is written to, at the start and after every epoch")
      ->check(not_empty);
  app.add_flag("--resume", options.resume, "go on from the state in that file")->needs("--checkpoint");
  for (CLI::Option* option : app.get_options())
    if (option->get_type_name().find("INT") != std::string::npos) option->check(decimal);
  try {
    app.parse(argc, argv);
    if (!options.log.empty() && std::filesystem::weakly_canonical(options.log) ==
                                    std::filesystem::weakly_canonical(options.checkpoint))
      throw CLI::ValidationError("--log", "Log and checkpoint cannot be one file");
    for (const auto& [name, value] : {std::pair("--lambda", options.lambda), {"--lr", options.learning_rate}})
      if (!std::isfinite(value)) throw CLI::ValidationError(name, "Value is not a finite number");
    if (folder->count() && options.data == "textures")
      throw CLI::ValidationError("--folder",
                                 "Textures are not read from files; name a set of files by --data");
  } catch (const CLI::ParseError& end) {
    std::exit(app.exit(end));
  }
  if (!options.checkpoint.empty()) gram::OutputFile{options.checkpoint};  // throws now, not after an epoch
  if (!options.log.empty() && !std::filesystem::is_other(options.log)) gram::OutputFile{options.log};
  return options;
}

gram::SafeTensors::Metadata Options::settings() const {
  gram::SafeTensors::Metadata all{{"data", data},
                                  {"batch", std::to_string(batch)},
                                  {"heads", std::to_string(heads)},
                                  {"lambda", exact(lambda)},
                                  {"lr", exact(learning_rate)},
                                  {"processes", "1"},
                                  {"seed", std::to_string(seed)},
                                  {"steps", std::to_string(steps)},
                                  {"precision", precision}};
  if (!model.empty()) all["model"] = model;
  return all;
}

gram::CsvLog open_log(const Options& options, gram::Index done) {
  gram::require<gram::ArgumentError>(done <= options.epochs, gram::printable(options.checkpoint), ": ", done,
                                     " epochs are done, more than --epochs ", options.epochs);
  if (done)
    std::printf("%lld of %lld epochs are done\n", static_cast<long long>(done),
                static_cast<long long>(options.epochs));
  if (!options.checkpoint.empty()) {
    static const gram::FileLock until_the_end(options.checkpoint);
  }
  if (!options.resume) keep_previous(options.checkpoint), keep_previous(options.log);
  if (options.log.empty()) return {};
  return gram::CsvLog(options.log, {"epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"},
                      static_cast<double>(done));
}

}  // namespace examples
