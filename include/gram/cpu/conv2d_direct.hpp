// SPDX-License-Identifier: MIT
// Correlations without a matrix of patches. A task takes some output rows of one image and one group of
// channels (or several small images), copies the zero-padded input rows they look at to scratch memory of its
// own, and runs the micro-kernel: each tap of the kernel is an offset into the copy, the same for all pixels.
// Where no pixel looks beyond the map, the map itself is read. Taps side by side in memory, as all taps of a
// kernel row without dilation, are one tap of greater depth.
//
// With operands rounded to bf16 the copy is the rounding: it is always made, and holds words of two channels.
#pragma once
#include <span>

#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/conv2d_tile.hpp"
#include "gram/cpu/conv2d_window_bf16.hpp"
#include "gram/cpu/gemm_serial.hpp"

namespace gram::cpu {

/// How the output pixels of n maps are cut into blocks: `rows` rows of one map, or all rows of `images` maps.
struct PixelBlocks {
  Index n, out, rows, images;

  /// `rows`: as many as fit the cache; at_least: blocks wanted to occupy the processors.
  static PixelBlocks cut(Index n, Index out, Index rows, Index at_least) {
    rows = std::clamp<Index>(rows, 1, std::max<Index>(1, n * out / at_least));
    if (rows < out) return {n, out, ceil_div(out, ceil_div(out, rows)), 1};
    return {n, out, out, rows / out};
  }
  Index per_image() const { return ceil_div(out, rows); }
  Index count() const { return per_image() == 1 ? ceil_div(n, images) : n * per_image(); }

  struct Block {
    Index image, images, y, rows;
  };
  Block operator[](Index b) const {
    if (per_image() == 1) return {b * images, std::min(images, n - b * images), 0, out};
    const Index y = b % per_image() * rows;
    return {b / per_image(), 1, y, std::min(rows, out - y)};
  }
};

/// The input of one block as its tiles see it: distances between images, rows and pixels of `x`, whose first
/// element is that of the first tap of the first output.
template <class T>
struct Source {
  const T* x;
  Index image, row, pixel;
};

/// Copies what a block of outputs looks at to scratch of window_size elements, or points into the map where
/// it can.
template <class T>
struct SourceWindow {
  const Correlation& c;
  bool in_place;

  Index columns() const { return c.w.span(c.w.out); }
  Index size(const PixelBlocks& blocks) const {
    return in_place ? 0 : blocks.images * c.h.span(blocks.rows) * columns() * c.in;
  }
  Source<T> operator()(const T* x, const PixelBlocks::Block& block, Index group, T* scratch) const {
    const Index channels = c.groups * c.in, y0 = c.h.first + block.y * c.h.stride;
    const T* image = x + block.image * c.h.in * c.w.in * channels + group * c.in;
    if (in_place)
      return {image + (y0 * c.w.in + c.w.first) * channels, c.h.in * c.w.in * channels, c.w.in * channels,
              channels};
    const Index rows = c.h.span(block.rows), size = rows * columns() * c.in;
    for (Index i = 0; i < block.images; ++i)
      copy_window(conv2d_table<T>(),
                  MapView<T>{image + i * c.h.in * c.w.in * channels, c.h.in, c.w.in, channels}, y0, rows,
                  c.w.first, columns(), c.in, scratch + i * size, c.in);
    return {scratch, size, columns() * c.in, c.in};
  }
};

/// What a block of outputs looks at, rounded.
struct RoundedWindow {
  const Correlation& c;

  static constexpr bool in_place = false;
  Index columns() const { return c.w.span(c.w.out); }
  Index size(const PixelBlocks& blocks) const {
    return blocks.images * c.h.span(blocks.rows) * columns() * pairs(c.in) + pair_tile_table<bf16>().lanes;
  }
  Source<Pair16> operator()(const float* x, const PixelBlocks::Block& block, Index group,
                            Pair16* scratch) const {
    const Index channels = c.groups * c.in, pixel = pairs(c.in), map = c.h.in * c.w.in * channels;
    const Index rows = c.h.span(block.rows), size = rows * columns() * pixel;
    for (Index i = 0; i < block.images; ++i)
      round_window(pair_tile_table<bf16>(),
                   {x + (block.image + i) * map + group * c.in, c.h.in, c.w.in, channels},
                   c.h.first + block.y * c.h.stride, rows, c.w.first, columns(), c.in, scratch + i * size);
    return {scratch, size, columns() * pixel, pixel};
  }
};

/// Steps through the output pixels of a block, row by row, and gives the pointers a tile needs. X is the type
/// of the copies.
template <class T, class X = T>
class PixelWalk {
 public:
  /// x is the block's source; y its output map at the first channel of a tile.
  PixelWalk(const Correlation& c, const PixelBlocks::Block& block, const Source<X>& source, T* y)
      : c_(c), block_(block), source_(source), y_(y), column_(c.w.out) {}

  Index pixels() const { return block_.images * block_.rows * c_.w.out; }
  /// The next `rows` pixels; the last is repeated up to `tall`.
  void next(Index rows, Index tall, const X** from, T** to) {
    for (Index r = 0; r < rows; ++r) {
      step();
      from[r] = a_;
      to[r] = b_;
    }
    std::fill(from + rows, from + tall, a_);
  }

 private:
  void step() {
    if (column_++ < c_.w.out) {
      a_ += c_.w.stride * source_.pixel;
      b_ += c_.w.y_step * c_.groups * c_.out;
      return;
    }
    column_ = 1;
    if (++row_ == block_.rows) row_ = 0, ++image_;
    const Index y_row = c_.h.y_first + (block_.y + row_) * c_.h.y_step;
    a_ = source_.x + image_ * source_.image + row_ * c_.h.stride * source_.row;
    b_ = y_ + (((block_.image + image_) * c_.y_h + y_row) * c_.y_w + c_.w.y_first) * c_.groups * c_.out;
  }

  const Correlation& c_;
  const PixelBlocks::Block& block_;
  const Source<X>& source_;
  T* y_;
  const X* a_ = nullptr;
  T* b_ = nullptr;
  Index image_ = 0, row_ = -1, column_;
};

/// Elements of the packed weights of all groups.
template <class T>
Index packed_weights_size(const Correlation& c) {
  return c.groups * tile_table<T>().packed_size(c.taps() * c.in, c.out);
}

/// Packs weight (O, Kh, Kw, C/G) for the forward pass: a matrix (Kh Kw C/G, O/G) for each group.
template <class T>
void pack_forward(const Conv2dShape& s, const T* weight, T* panels) {
  constexpr Index chunk = 256;
  const auto& tile = tile_table<T>();
  const Index k = s.taps() * s.group_in(), n = s.group_out(), chunks = ceil_div(k, chunk);
  parallel_blocks(s.groups * chunks, [&](Index b, int) {
    const Index g = b / chunks, first = b % chunks * chunk;
    tile.pack(first, std::min(chunk, k - first), k, n, weight + g * n * k + first, 1, k,
              panels + g * tile.packed_size(k, n));
  });
}

/// Packs weight for one phase of the input gradient: a matrix (taps O/G, C/G) for each group.
template <class T>
void pack_backward(const Conv2dShape& s, const Correlation& c, const T* weight, T* panels) {
  const auto& tile = tile_table<T>();
  const Index k = c.taps() * c.in, taps = s.taps();
  parallel_blocks(c.groups * c.taps(), [&](Index b, int) {
    const Index g = b / c.taps(), t = b % c.taps();
    const Index y = c.h.w_first + t / c.w.taps * c.h.w_step, x = c.w.w_first + t % c.w.taps * c.w.w_step;
    const T* from = weight + (g * c.in * taps + y * s.kw + x) * c.out;
    tile.pack(t * c.in, c.in, k, c.out, from, taps * c.out, 1, panels + g * tile.packed_size(k, c.out));
  });
}

/// How correlate multiplies: T as it is,
template <class T>
struct PlainWords {
  using Word = T;
  static const TileTable<T>& tile() { return tile_table<T>(); }
  static Index count(Index channels) { return channels; }  ///< words of a pixel
  static SourceWindow<T> window(const Correlation& c) { return {c, c.inside()}; }
  static Index weights_size(const Correlation& c) { return packed_weights_size<T>(c); }
  static void pack(const Conv2dShape& s, const Correlation& c, const T* weight, T* panels) {
    pack_backward(s, c, weight, panels);
  }
  static void product(Index taps, const Index* offsets, Index depth, const T* const* from, const T* panel,
                      Index rows, T* const* to, Index columns, const TileEpilogue<T>& e) {
    tile().product(taps, offsets, depth, from, panel, rows, to, columns, e);
  }
};
/// or floats rounded to bf16.
struct RoundedWords {
  using Word = Pair16;
  static const PairTileTable<bf16>& tile() { return pair_tile_table<bf16>(); }
  static Index count(Index channels) { return pairs(channels); }
  static RoundedWindow window(const Correlation& c) { return {c}; }
  static Index weights_size(const Correlation& c) { return rounded_weights_size(c); }
  static void pack(const Conv2dShape& s, const Correlation& c, const float* weight, Pair16* words) {
    round_backward(s, c, weight, words);
  }
  static void product(Index taps, const Index* offsets, Index depth, const Pair16* const* from,
                      const Pair16* panel, Index rows, float* const* to, Index columns,
                      const TileEpilogue<float>& e) {
    tile().product(taps, offsets, depth, 1, from, panel, {to[0], 0}, rows, to, columns, e);
  }
};

/// The taps of one of several correlations with a common input, as offsets in what a task looks at.
struct PhaseTaps {
  Index count, depth;  ///< taps, those side by side taken for one, and values of each
  Index first;         ///< where its offsets begin among those of all phases
  Index panels;        ///< and its packed weights
};

/// y = epilogue(each of the correlations of x with packed weights), which write different pixels of y: the
/// phases of an input gradient, or one correlation. Their weights lie one after the other. A task finishes
/// all phases of its rows, so it copies their input once and leaves no gaps in the rows it writes. The
/// epilogue's bias has groups * out values. With epilogue.add, pixels without taps are left alone.
template <class Words, class T>
void correlate(std::span<const Correlation> phases, const T* x, const typename Words::Word* panels,
               TileEpilogue<T> epilogue, T* y) {
  using Word = typename Words::Word;
  epilogue.base = y;
  const auto& tile = Words::tile();
  const Correlation c = cover(phases);  // of `c` the taps and outputs are not those of any phase
  const auto window = Words::window(c);
  const Index pixel = Words::count(c.in);
  const Index row_size = c.h.stride * window.columns() * pixel * static_cast<Index>(sizeof(Word));
  const Index bytes = (Index{192} << 10) / static_cast<Index>(phases.size());
  const auto blocks = PixelBlocks::cut(c.n, c.h.out, bytes / std::max<Index>(1, row_size), 16);
  const Index tasks = blocks.count() * c.groups, size = round_up(window.size(blocks), 16);
  Scratch<Word> scratch(workers(tasks) * size);

  const Index pitch = window.in_place ? c.groups * pixel : pixel;
  const Index line = pitch * (window.in_place ? c.w.in : window.columns());
  Index all_taps = 0;
  for (const Correlation& phase : phases) all_taps += phase.taps();
  Scratch<Index> offsets(all_taps);
  Scratch<PhaseTaps> plan(static_cast<Index>(phases.size()));
  Index number = 0, first = 0, packed = 0;
  for (const Correlation& phase : phases) {
    const bool merged = phase.w.dilation == 1 && pitch == pixel;  // the taps of a kernel row lie side by side
    const Index taps_w = merged ? std::min<Index>(1, phase.w.taps) : phase.w.taps,
                taps = phase.h.taps * taps_w;
    plan[number++] = {taps, merged ? phase.w.taps * pixel : pixel, first, packed};
    for (Index t = 0; t < taps; ++t)
      offsets[first + t] = (phase.h.first - c.h.first + t / taps_w * phase.h.dilation) * line +
                           (phase.w.first - c.w.first + t % taps_w * phase.w.dilation) * pitch;
    first += taps;
    packed += Words::weights_size(phase);
  }

  parallel_blocks(tasks, [&](Index task, int worker) {
    const Index g = task % c.groups;
    const auto block = blocks[task / c.groups];
    const Source<Word> source =
        c.taps() ? window(x, block, g, scratch.data() + worker * size) : Source<Word>{nullptr, 0, 0, 0};
    for (std::size_t i = 0; i < phases.size(); ++i) {
      const Correlation& phase = phases[i];
      const PhaseTaps& taps = plan[static_cast<Index>(i)];
      auto mine = block;
      mine.rows = std::min(block.rows, phase.h.out - block.y);
      if (mine.rows <= 0 || (taps.count == 0 && epilogue.add)) continue;
      const Index depth = taps.count * taps.depth;
      const Word* const matrix = panels + taps.panels + g * depth * round_up(c.out, tile.lanes);
      for (Index p = 0; p < c.out; p += tile.width) {
        const Index columns = std::min(tile.width, c.out - p);
        const TileEpilogue<T> e = from_column(epilogue, g * c.out + p);
        const Word* from[TileTable<T>::max_rows];
        T* to[TileTable<T>::max_rows];
        PixelWalk<T, Word> walk(phase, mine, source, y + g * c.out + p);
        for (Index left = walk.pixels(), height; left > 0; left -= height) {
          height = tile.height(left, columns);
          const Index rows = std::min(height, left);
          walk.next(rows, height, from, to);
          Words::product(taps.count, offsets.data() + taps.first, taps.depth, from, matrix + p * depth, rows,
                         to, columns, e);
        }
      }
    }
  });
}

template <class T>
void correlate(const Correlation& c, const T* x, const T* panels, const TileEpilogue<T>& epilogue, T* y) {
  correlate<PlainWords<T>, T>(std::span(&c, 1), x, panels, epilogue, y);
}

/// dx (+)= the input gradient.
template <class Words, class T>
void correlate_backward(const Conv2dShape& s, const T* weight, const T* dy, T* dx, bool add) {
  const auto phases = backward_correlations(s);
  Index size = 0;
  for (const Correlation& c : phases) size += Words::weights_size(c);
  Scratch<typename Words::Word> packed(size);
  size = 0;
  for (const Correlation& c : phases) {
    Words::pack(s, c, weight, packed.data() + size);
    size += Words::weights_size(c);
  }
  correlate<Words, T>(phases, dy, packed.data(), {.add = add}, dx);
}

}  // namespace gram::cpu
