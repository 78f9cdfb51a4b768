// SPDX-License-Identifier: MIT
// Runs a kernel on the CPU as CUDA defines it: blocks one after another, the threads of a block as fibers
// that change places at barriers and warp exchanges. GRAM_EMULATOR_ORDER=reverse runs threads and blocks the
// other way round: a kernel that lacks a barrier, or whose blocks write where others read, gives other
// results then.
#pragma once
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace emulated {

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
inline dim3 gridDim, blockDim, blockIdx, threadIdx;

struct Barrier {
  unsigned arrived = 0, generation = 0;
};

#if defined(__x86_64__)
/// Where a fiber goes on: its stack, with the registers that a call preserves on top. A switch of
/// <ucontext.h> asks the system to save signals, which takes twenty times as long.
using FiberContext = void*;
extern "C" void gram_emulator_switch(FiberContext* from, FiberContext to);
asm(R"(
.pushsection .text
.weak gram_emulator_switch
.type gram_emulator_switch, @function
gram_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gram_emulator_switch, .-gram_emulator_switch
.popsection
)");
inline void switch_fiber(FiberContext& from, FiberContext& to) { gram_emulator_switch(&from, to); }
inline void make_fiber(FiberContext& context, char* stack, std::size_t bytes, void (*entry)()) {
  auto top = (reinterpret_cast<std::uintptr_t>(stack) + bytes) / 16 * 16;
  void** const words =
      reinterpret_cast<void**>(top) - 8;  // six registers, the entry, where a caller would be
  for (int i = 0; i < 8; ++i) words[i] = nullptr;
  words[6] = reinterpret_cast<void*>(entry);
  context = words;
}
#else
using FiberContext = ucontext_t;
inline void switch_fiber(FiberContext& from, FiberContext& to) { swapcontext(&from, &to); }
inline void make_fiber(FiberContext& context, char* stack, std::size_t bytes, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = bytes;
  context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}
#endif

struct Fiber {
  FiberContext context = {};
  std::unique_ptr<char[]> stack;
  dim3 index;
  bool done = false;
};

struct Block {
  static constexpr std::size_t stack_bytes = std::size_t{64} << 10;
  std::vector<Fiber> fibers;
  std::vector<Barrier> warps;
  std::vector<std::uint64_t> slots;  // what the lanes of all warps exchange, two words each
  std::vector<std::uint64_t> shared;
  Barrier all;
  FiberContext scheduler = {};
  unsigned current = 0, threads = 0, finished = 0;
  std::uint64_t progress = 0;
  std::function<void()> body;
};
inline Block block;

[[noreturn]] inline void stop(const char* what) {
  std::fprintf(stderr, "emulated kernel: %s in block (%u, %u, %u)\n", what, blockIdx.x, blockIdx.y,
               blockIdx.z);
  std::abort();
}

inline void yield() { switch_fiber(block.fibers[block.current].context, block.scheduler); }

inline void wait(Barrier& barrier, unsigned expected) {
  const unsigned generation = barrier.generation;
  if (++barrier.arrived == expected) {
    barrier.arrived = 0;
    ++barrier.generation;
    ++block.progress;
    return;
  }
  while (barrier.generation == generation) yield();
}

inline int lane() { return static_cast<int>(block.current % 32); }
inline unsigned warp_threads() {
  const unsigned first = block.current / 32 * 32;
  return block.threads - first < 32 ? block.threads - first : 32;
}
inline void warp_barrier() { wait(block.warps[block.current / 32], warp_threads()); }
inline void block_barrier() { wait(block.all, block.threads); }

/// The value of lane `from` of this warp.
template <class T>
T exchange(const T& value, int from) {
  static_assert(sizeof(T) <= 16);
  const unsigned first = block.current / 32 * 32;
  if (static_cast<unsigned>(from) >= warp_threads()) stop("exchange with a lane that does not exist");
  std::memcpy(&block.slots[2 * block.current], &value, sizeof value);
  warp_barrier();
  T other;
  std::memcpy(&other, &block.slots[2 * (first + static_cast<unsigned>(from))], sizeof other);
  warp_barrier();
  return other;
}
/// One bit for each lane of this warp.
inline unsigned ballot(bool set) {
  const unsigned first = block.current / 32 * 32;
  block.slots[2 * block.current] = set;
  warp_barrier();
  unsigned bits = 0;
  for (unsigned i = 0; i < warp_threads(); ++i)
    bits |= static_cast<unsigned>(block.slots[2 * (first + i)]) << i;
  warp_barrier();
  return bits;
}
inline void* dynamic_shared() { return block.shared.data(); }

inline void enter() {
  block.body();
  block.fibers[block.current].done = true;
  ++block.finished;
  ++block.progress;
  yield();
}

inline bool reversed() {
  static const char* const order = std::getenv("GRAM_EMULATOR_ORDER");
  return order && std::string_view(order) == "reverse";
}

inline void run_block() {
  block.finished = 0;
  block.all = {};
  block.warps.assign((block.threads + 31) / 32, {});
  for (unsigned t = 0; t < block.threads; ++t) {
    Fiber& fiber = block.fibers[t];
    fiber.done = false;
    fiber.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
    if (!fiber.stack) fiber.stack = std::make_unique<char[]>(Block::stack_bytes);
    make_fiber(fiber.context, fiber.stack.get(), Block::stack_bytes, enter);
  }
  while (block.finished < block.threads) {
    const std::uint64_t before = block.progress;
    for (unsigned i = 0; i < block.threads; ++i) {
      block.current = reversed() ? block.threads - 1 - i : i;
      Fiber& fiber = block.fibers[block.current];
      if (fiber.done) continue;
      threadIdx = fiber.index;
      switch_fiber(block.scheduler, fiber.context);
    }
    if (block.progress == before) stop("a barrier that not all threads reach");
  }
}

template <class F>
void run(dim3 grid, dim3 threads, std::size_t shared, F&& body) {
  gridDim = grid;
  blockDim = threads;
  block.threads = threads.x * threads.y * threads.z;
  if (block.threads > 1024) stop("more than 1024 threads");
  if (shared > 227 * 1024) stop("more than 227 KB of shared memory");
  if (block.fibers.size() < block.threads) block.fibers.resize(block.threads);
  block.slots.resize(std::size_t{2} * block.threads);
  block.shared.assign((shared + 7) / 8 + 1, ~std::uint64_t{0});
  block.body = body;
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    const std::uint64_t b = reversed() ? blocks - 1 - i : i;
    blockIdx = dim3(static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                    static_cast<unsigned>(b / grid.x / grid.y));
    run_block();
  }
}

}  // namespace emulated
