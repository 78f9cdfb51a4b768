// SPDX-License-Identifier: MIT
// What the training examples take on the command line. Compiled once, in options.cpp.
#pragma once
#include <cstdint>
#include <string>

#include "gram/data/dataset.hpp"
#include "gram/io/safetensors.hpp"
#include "gram/train/csv_log.hpp"

namespace examples {

struct Options {
  std::string program = {};       ///< the trainer's name
  std::string model = {};         ///< a name of `gram models`; only asked for where there is a default
  std::string data = "textures";  ///< textures, fashion_mnist, mnist, cifar10 or cifar100
  std::string folder = {};        ///< where the files of the data set lie; not needed for textures
  std::int64_t epochs = 10;
  std::int64_t batch = 128;
  std::int64_t heads = 3;
  double lambda = -0.8;  ///< weight of the decorrelation term; negative pushes the heads apart
  double learning_rate = 0;
  std::uint64_t seed = 1;
  int threads = 0;                    ///< 0: OMP_NUM_THREADS or, without it, all processors
  std::string precision = "float32";  ///< float32 or bf16
  std::string device = "cpu";         ///< cpu, cuda or cuda:1
  bool graphs = true;                 ///< on a GPU: replay a captured step
  std::int64_t steps = 0;             ///< stop an epoch after so many steps; 0: all
  std::string log = {};               ///< a CSV file
  std::string checkpoint = {};        ///< where the state of the training is written
  bool resume = false;                ///< go on from there

  /// On a GPU bf16 is what the network is made of, and the optimiser keeps its weights in float, too. On the
  /// CPU the network is float, and only the operands of large products are rounded.
  bool bf16_network() const { return precision == "bf16" && device != "cpu"; }
  /// Photographs are cropped and mirrored at random; the other sets are trained on as they are.
  bool photographs() const { return data.starts_with("cifar"); }
  /// All that the numbers of a training depend on: a state of other settings is not gone on from. Left out
  /// are the number of epochs, since a training may be made longer, with the learning rates of the longer
  /// one; the device and the number of threads, since a training may move to another machine (a GPU rounds
  /// otherwise); and the path of the data: a set is known by its kind and its size.
  gram::SafeTensors::Metadata settings(const gram::Dataset& train_set) const;
};

/// Reads the command line into the defaults; prints help or an error and ends the program where that is asked
/// for.
Options parse(int argc, char** argv, const char* description, Options defaults);

/// Calls train<T>() for what the network is made of. Networks of bf16 are compiled with gram::cuda alone:
/// they take as long to compile as those of float, and no other program can use them.
template <class F>
void for_network_type(const Options& options, F&& train) {
#if defined(GRAM_CUDA)
  if (options.bf16_network()) return train.template operator()<gram::bf16>();
#endif
  static_cast<void>(options);
  train.template operator()<float>();
}

/// Takes checkpoint and log for this training until the program ends; the state is read only after that, as
/// another training may be about to write its last one. Throws FileError while it has one of them.
void claim_files(const Options& options);

/// The log that the options ask for, of a training of which some epochs are done. A new training finds the
/// names free: log and checkpoint of an earlier one are renamed to NAME.previous. One that goes on takes the
/// rows of its own log, by the checksum under "log" in the settings of its state, and refuses other files.
gram::CsvLog open_log(const Options& options, gram::Index done);

}  // namespace examples
