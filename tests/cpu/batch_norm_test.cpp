// SPDX-License-Identifier: MIT
#include "gram/cpu/batch_norm.hpp"

#include <vector>

#include "support.hpp"

using namespace gram;

TEST_CASE("the pieces of a matrix cover every element once, and hold whole rows of channels") {
  for (const Index channels : {1, 3, 10, 16, 64, 255, 256, 1001})
    for (const Index rows : {0, 1, 2, 15, 64, 1000, 5003}) {
      const cpu::RowPieces pieces(rows, channels);
      Index covered = 0;
      for (Index i = 0; i < pieces.count(); ++i) {
        const auto piece = pieces[i];
        CHECK(piece.offset == covered);
        CHECK(piece.columns % channels == 0);
        CHECK(piece.rows > 0);
        covered += piece.rows * piece.columns;
      }
      CHECK(covered == rows * channels);
    }
}

TEST_CASE("wide rows fill the vectors of every instruction set when there are few channels") {
  for (const Index channels : {1, 3, 10, 16, 100}) CHECK(cpu::RowPieces(5000, channels).wide % 16 == 0);
}

TEST_CASE("batch statistics lose no digits to the mean, nor to a first row far from the others") {
  const Index rows = 70000, channels = 3;
  const auto x = generate<float>({rows, channels}, [&](Index i) {
    return i < channels ? 1e6 : 1e4 + RandomKey{1, 0}.normal(static_cast<std::uint64_t>(i));
  });
  std::vector<float> mean(channels), variance(channels);
  kernels::batch_norm_statistics(Cpu{}, x.data() + channels, rows - 1, channels, mean.data(),
                                 variance.data());
  for (const float v : variance) CHECK(v == doctest::Approx(1).epsilon(0.02));
  kernels::batch_norm_statistics(Cpu{}, x.data(), rows, channels, mean.data(), variance.data());
  const double n = static_cast<double>(rows), jump = 1e6 - 1e4;
  for (const float v : variance) CHECK(v == doctest::Approx(1 + jump * jump * (n - 1) / n / n).epsilon(1e-4));
}
