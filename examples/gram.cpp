// SPDX-License-Identifier: MIT
// One command with verbs: gram models | info | run | bench | build. This file reads the command line;
// gram_verbs.cpp and gram_bench.cpp do the work.
#include "gram.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

int main(int argc, char** argv) try {
  examples::Arguments a;
  void (*verb)(const examples::Arguments&) = nullptr;
  CLI::App app("Gramian attention networks: what there is, what it costs, what it computes, how fast it is.");
  app.require_subcommand(1);

  const auto add_verb = [&](const char* name, const char* what, void (*f)(const examples::Arguments&)) {
    CLI::App* sub = app.add_subcommand(name, what);
    sub->callback([&verb, f] { verb = f; });
    sub->option_defaults()->always_capture_default();
    return sub;
  };
  const auto add_model = [&](CLI::App* sub) {
    sub->add_option("--model", a.model, "name of a network; gram models lists them")->required();
    sub->add_option("--classes", a.create.classes, "0: the network's own number")
        ->check(CLI::Range(0, 1000000));
    sub->add_option("--heads", a.create.heads, "classifier heads; 0: the network's own number")
        ->check(CLI::Range(0, 1000));
    sub->add_option("--size", a.create.size, "side of the images; 0: the network's own")
        ->check(CLI::Range(0, 1000000));
  };
  const auto add_machine = [&](CLI::App* sub, const char* what, const std::vector<std::string>& precisions) {
    sub->add_option("--threads", a.threads, "0: OMP_NUM_THREADS, or all processors")
        ->check(CLI::Range(0, 1024));
    sub->add_option("--precision", a.precision, what)->check(CLI::IsMember(precisions));
    sub->add_option("--device", a.device, "cpu, cuda (the first GPU) or cuda:1");
  };

  add_verb("models", "list the networks with parameters and multiply-accumulates", examples::list_models)
      ->add_option("name", a.model, "only those whose names contain this");

  CLI::App* info = add_verb("info", "what a network is made of, module by module", examples::show_info);
  add_model(info);
  info->add_flag("--json", a.json, "print JSON");

  CLI::App* run =
      add_verb("run", "run a network on tensors from a file; all files are safetensors in PyTorch's layouts",
               examples::run_model);
  add_model(run);
  add_machine(run, "float32, float64, or bf16: float32 with rounded operands of large products",
              {"float32", "float64", "bf16"});
  run->add_option("--weights", a.weights, "weights under their published names, or the state of a training")
      ->required()
      ->check(CLI::ExistingFile);
  run->add_option("--input", a.input, "x (N, 3, H, W); with --backward also cot/logits0, ..")
      ->required()
      ->check(CLI::ExistingFile);
  run->add_option("--output", a.output, "out/logits0, ..; grad/in/x, grad/param/NAME; after/NAME")
      ->required();
  run->add_flag("--train", a.train, "use batch statistics and write the running ones after the step");
  run->add_flag("--backward", a.backward, "write the gradients of the sum over heads of <logits, cot>");

  CLI::App* bench = add_verb("bench", "time inference or a training step", examples::bench_model);
  add_model(bench);
  add_machine(bench,
              "float32, or bf16: on the CPU operands of large products, on a GPU networks of bf16, sums of "
              "float",
              {"float32", "bf16"});
  bench->add_option("--mode", a.mode, "infer or train")->check(CLI::IsMember({"infer", "train"}));
  bench->add_option("--optimizer", a.optimizer, "of training: sgd or adamw")
      ->check(CLI::IsMember({"sgd", "adamw"}));
  bench->add_option("--batch", a.batch, "images in a batch")->check(CLI::Range(1, 1000000));
  bench->add_option("--seconds", a.seconds, "measure at least this long")->check(CLI::Range(1e-3, 1e5));
  bench->add_flag("--fold-norms", a.fold_norms,
                  "train: batch norms take in the 1x1 convolutions in front of them");
  bench->add_flag_callback(
      "--no-graph", [&] { a.graphs = false; }, "on a GPU: start every operation of every step by itself");
  bench->add_flag("--latency", a.latency,
                  "on a GPU: wait for each step; otherwise for a quarter of a second of them");
  bench->add_flag("--json", a.json, "print JSON");

  add_verb("build", "what this program was built with and runs on", examples::show_build);

  try {
    app.parse(argc, argv);
    if (a.threads) gram::set_threads(a.threads);
    if (a.precision == "bf16") gram::set_product_precision(gram::Precision::bf16), gram::set_tf32(true);
    verb(a);
    gram::require<gram::FileError>(std::fflush(stdout) == 0 && std::ferror(stdout) == 0,
                                   "the output cannot be written");
  } catch (const CLI::ParseError& end) {
    return app.exit(end);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
