// SPDX-License-Identifier: MIT
// Loads and stores of a vector of which only the first n <= lanes elements exist.
namespace gram::cpu::GRAM_ISA {

/// The other elements are zero.
template <class T>
GRAM_INLINE vec<T> load_first(const T* p, Index n) {
  return n == lanes<T> ? load(p) : load(p, n);
}
/// The other elements are `rest`.
template <class T>
GRAM_INLINE vec<T> load_padded(const T* p, Index n, accum_t<T> rest) {
  if (n == lanes<T>) return load(p);
  T buffer[lanes<T>];
  for (Index i = 0; i < lanes<T>; ++i) buffer[i] = static_cast<T>(rest);
  std::memcpy(static_cast<void*>(buffer), p, static_cast<std::size_t>(n) * sizeof(T));
  return load(buffer);
}
/// p = v, or p += v: how a backward kernel delivers a gradient.
template <class T>
GRAM_INLINE void put(T* p, vec<T> v, Index n, bool add) {
  if (add) v += load_first(p, n);
  if (n == lanes<T>)
    store(p, v);
  else
    store(p, v, n);
}

}  // namespace gram::cpu::GRAM_ISA
