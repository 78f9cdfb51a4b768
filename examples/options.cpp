// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <list>

namespace examples {
namespace {

/// All digits that tell the number from others, and no more.
std::string exact(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

namespace fs = std::filesystem;

/// A file, or the name of one to come. Others, /dev/null or a pipe, are shared, and have nothing to keep.
bool ordinary(const std::string& path) { return !path.empty() && !fs::is_other(path); }

/// Throws now, not after an epoch. The path becomes that of the file itself, if it is a link: the names of
/// locks and of earlier files are made of it.
void require_writable(std::string& path) {
  path = gram::follow_link(path);
  gram::OutputFile{path};
}

/// Whether a training that writes `path` uses `name`, too: its lock, an earlier training's, unfinished ones.
bool belongs_to(const std::string& path, const std::string& name) {
  if (!name.starts_with(path)) return false;
  std::string rest = name.substr(path.size());
  if (rest.empty() || rest == ".lock" || rest == ".previous") return true;
  rest.erase(rest.find_last_not_of("0123456789") + 1);
  return rest == ".previous." || rest == ".partial.";
}

/// Refuses a log that would be written over the checkpoint or over what is made of its name, and the reverse.
void require_apart(const std::string& checkpoint, const std::string& log) {
  const auto name_of = [](const std::string& path) {
    return fs::weakly_canonical(fs::absolute(path)).string();
  };
  const std::string state = name_of(checkpoint), rows = name_of(log);
  if (state == rows) throw CLI::ValidationError("--log", "Log and checkpoint cannot be one file");
  for (const auto& [path, name] : {std::pair(state, rows), {rows, state}})
    if (belongs_to(path, name))
      throw CLI::ValidationError(
          "--log", gram::text(gram::printable(name), " is a name that is made of ", gram::printable(path),
                              " for locks and for files of earlier trainings; choose another"));
}

/// A new training must not be the end of an earlier one: its file gets another name. `nothing` is what a file
/// may hold without being worth that.
void keep_previous(const std::string& path, const std::string& nothing = {}) {
  if (!ordinary(path) || !fs::exists(path)) return;
  if (fs::file_size(path) == nothing.size()) {
    const gram::InputFile file(path);
    std::string content(nothing.size(), '\0');
    file.read(0, content.data(), content.size());
    if (content == nothing) return;
  }
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
  app.add_option("--batch", options.batch, "images in a batch, at least 2")->check(CLI::Range(1, 1000000));
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
    if (options.batch < 2)
      throw CLI::ValidationError("--batch", "Batch norms in the heads cannot learn from one image");
    for (const auto& [name, value] : {std::pair("--lambda", options.lambda), {"--lr", options.learning_rate}})
      if (!std::isfinite(value)) throw CLI::ValidationError(name, "Value is not a finite number");
    if (folder->count() && options.data == "textures")
      throw CLI::ValidationError("--folder",
                                 "Textures are not read from files; name a set of files by --data");
    if (!options.checkpoint.empty()) require_writable(options.checkpoint);
    if (ordinary(options.log)) require_writable(options.log);
    if (!options.checkpoint.empty() && ordinary(options.log)) require_apart(options.checkpoint, options.log);
  } catch (const CLI::ParseError& end) {
    std::exit(app.exit(end));
  }
  return options;
}

gram::SafeTensors::Metadata Options::settings(const gram::Dataset& train_set) const {
  gram::SafeTensors::Metadata all{{"program", program},
                                  {"data", data},
                                  {"images", gram::to_text(train_set.images.shape())},
                                  {"augmentation", photographs() ? "crop, flip" : "none"},
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

void claim_files(const Options& options) {
  static std::list<gram::FileLock> until_the_end;
  for (const std::string& path : {options.checkpoint, options.log})
    if (ordinary(path)) until_the_end.emplace_back(path);
}

gram::CsvLog open_log(const Options& options, gram::Index done) {
  gram::require<gram::ArgumentError>(done <= options.epochs, gram::printable(options.checkpoint), ": ", done,
                                     " epochs are done, more than --epochs ", options.epochs);
  if (done)
    std::printf("%lld of %lld epochs are done\n", static_cast<long long>(done),
                static_cast<long long>(options.epochs));
  const std::vector<std::string> columns{"epoch", "train_loss", "train_accuracy", "test_loss",
                                         "test_accuracy"};
  if (!options.resume) keep_previous(options.checkpoint);
  if (!done)
    keep_previous(options.log, gram::CsvLog::header(columns));  // no row of it can be this training's
  if (options.log.empty()) return {};
  if (!done) return gram::CsvLog(options.log, columns);
  if (!fs::exists(options.log))
    std::printf("%s is not there: a log is begun that lacks the epochs that are done\n", options.log.c_str());
  const auto state = gram::SafeTensors::read(options.checkpoint);
  const auto checksum = state.metadata().find("log");
  return gram::CsvLog(options.log, columns,
                      gram::LogPlace{static_cast<double>(done),
                                     checksum == state.metadata().end() ? "none" : checksum->second});
}

}  // namespace examples
