// SPDX-License-Identifier: MIT
#include "gram/core/memory.hpp"

#include <cstdint>

#include "support.hpp"

using namespace gram;
using detail::CachingAllocator;

// Under the sanitizers as well a refused request returns null instead of ending the program.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

TEST_CASE("size classes are multiples of the alignment that waste at most a quarter") {
  CHECK(CachingAllocator::class_size(1) == 64);
  CHECK(CachingAllocator::class_size(64) == 64);
  CHECK(CachingAllocator::class_size(65) == 128);
  CHECK(CachingAllocator::class_size(256) == 256);
  CHECK(CachingAllocator::class_size(257) == 320);
  CHECK(CachingAllocator::class_size(1025) == 1280);
  bool fits = true;
  for (std::size_t bytes = 1; bytes < 200000; bytes += 7) {
    const std::size_t size = CachingAllocator::class_size(bytes);
    fits = fits && size >= bytes && size % 64 == 0 && CachingAllocator::class_size(size) == size;
    if (bytes > 256) fits = fits && static_cast<double>(size) <= 1.25 * static_cast<double>(bytes);
  }
  CHECK(fits);
}

TEST_CASE("freed memory is handed out again without asking the system") {
  { const Scratch<float> warm(1000); }
  const MemoryStats before = memory_stats();
  void* first = nullptr;
  {
    Scratch<float> a(1000);
    first = a.data();
    CHECK(memory_stats().in_use == before.in_use + 4096);
    CHECK(memory_stats().cached == before.cached - 4096);
  }
  Scratch<float> b(1010);  // the same class
  CHECK(b.data() == first);
  CHECK(memory_stats().system_requests == before.system_requests);
  CHECK(memory_stats().allocations == before.allocations + 2);
}

TEST_CASE("memory is aligned to 64 bytes, for no elements as well") {
  for (const std::int64_t n : {0, 1, 3, 17, 1000, 100000}) {
    Scratch<char> a(n), b(n);
    CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
    CHECK(a.data() != b.data());
  }
}

TEST_CASE("peak follows the largest use since it was set back") {
  reset_peak_memory();
  const std::size_t start = memory_stats().in_use;
  {
    const Scratch<char> a(4096);
    { const Scratch<char> b(8192); }
  }
  CHECK(memory_stats().in_use == start);
  CHECK(memory_stats().peak == start + 4096 + 8192);
  reset_peak_memory();
  CHECK(memory_stats().peak == start);
}

TEST_CASE("cached blocks go back to the system on request") {
  { const Scratch<char> a(1 << 20); }
  CHECK(memory_stats().cached > 0);
  release_cached_memory();
  CHECK(memory_stats().cached == 0);
  const std::size_t before = memory_stats().system_requests;
  { const Scratch<char> a(1 << 20); }
  CHECK(memory_stats().system_requests == before + 1);
}

TEST_CASE("steps that ask for the same sizes do not grow") {
  const auto step = [] {
    Tensor<float> a({100, 33}), b({7});
    const Tensor<double> c = generate<double>({50}, [](Index i) { return i; });
    const Scratch<float> s(999);
    return c.clone().data()[3];
  };
  step();
  const MemoryStats before = memory_stats();
  for (int i = 0; i < 500; ++i) step();
  const MemoryStats after = memory_stats();
  CHECK(after.system_requests == before.system_requests);
  CHECK(after.in_use == before.in_use);
  CHECK(after.cached == before.cached);
}

TEST_CASE("a request the system refuses says what was asked for and held") {
  const std::string message = test::error_of([] { Scratch<char> a(std::int64_t{1} << 60); });
  CHECK(message.starts_with("memory: the system refused 1152921504606846976 bytes; "));
  CHECK_THROWS_AS(Scratch<char>(std::int64_t{1} << 60), MemoryError);
}
