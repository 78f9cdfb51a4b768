// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

template <class T>
GRAM_KERNEL void accumulate(Index n, const T* x, T* y) {
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(y + i, load(y + i) + load(x + i));
  if (i < n) store(y + i, load(y + i, n - i) + load(x + i, n - i), n - i);
}

template <class T>
inline constexpr CopyTable<T> copy_kernels{accumulate<T>};

}  // namespace gram::cpu::GRAM_ISA
