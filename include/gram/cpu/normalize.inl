// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

template <class T>
GRAM_KERNEL void normalize_row(Index n, accum_t<T> epsilon, const T* x, T* y, accum_t<T>* length) {
  constexpr Index w = lanes<T>;
  vec<T> squares{};
  for (Index i = 0; i < n; i += w) {
    const vec<T> v = load_first(x + i, n - i < w ? n - i : w);
    squares = fma(v, v, squares);
  }
  *length = std::sqrt(sum(squares));
  const accum_t<T> divisor = *length > epsilon ? *length : epsilon;
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    put(y + i, load_first(x + i, count) / divisor, count, false);
  }
}

/// Each lane is one column.
template <class T>
GRAM_KERNEL void normalize_columns(Index n, Index width, Index stride, accum_t<T> epsilon, const T* x, T* y,
                                   accum_t<T>* length) {
  for (Index c = 0; c < width; c += lanes<T>) {
    const Index count = width - c < lanes<T> ? width - c : lanes<T>;
    vec<T> squares{};
    for (Index r = 0; r < n; ++r) {
      const vec<T> v = load_first(x + r * stride + c, count);
      squares = fma(v, v, squares);
    }
    const vec<T> root = sqrt(squares), divisor = max(root, splat<T>(epsilon));
    put(length + c, root, count, false);
    for (Index r = 0; r < n; ++r)
      put(y + r * stride + c, load_first(x + r * stride + c, count) / divisor, count, false);
  }
}

template <class T>
GRAM_KERNEL void normalize_row_grad(Index n, accum_t<T> epsilon, const T* y, const accum_t<T>* length,
                                    const T* dy, T* dx, bool add) {
  constexpr Index w = lanes<T>;
  const bool unit = *length > epsilon;  // otherwise y = x / epsilon, a linear map
  const accum_t<T> divisor = unit ? *length : epsilon;
  vec<T> partial{};
  for (Index i = 0; i < n && unit; i += w) {
    const Index count = n - i < w ? n - i : w;
    partial = fma(load_first(y + i, count), load_first(dy + i, count), partial);
  }
  const accum_t<T> along = sum(partial);
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    put(dx + i, (load_first(dy + i, count) - load_first(y + i, count) * along) / divisor, count, add);
  }
}

template <class T>
GRAM_KERNEL void normalize_columns_grad(Index n, Index width, Index stride, accum_t<T> epsilon, const T* y,
                                        const accum_t<T>* length, const T* dy, T* dx, bool add) {
  for (Index c = 0; c < width; c += lanes<T>) {
    const Index count = width - c < lanes<T> ? width - c : lanes<T>;
    const vec<T> root = load_padded(length + c, count, accum_t<T>(1)), floor = splat<T>(epsilon);
    vec<T> along{};
    for (Index r = 0; r < n; ++r)
      along = fma(load_first(y + r * stride + c, count), load_first(dy + r * stride + c, count), along);
    along = root > floor ? along : vec<T>{};
    const vec<T> divisor = max(root, floor);
    for (Index r = 0; r < n; ++r) {
      const Index at = r * stride + c;
      put(dx + at, (load_first(dy + at, count) - load_first(y + at, count) * along) / divisor, count, add);
    }
  }
}

template <class T>
inline constexpr NormalizeTable<T> normalize_kernels{normalize_row<T>, normalize_columns<T>,
                                                     normalize_row_grad<T>, normalize_columns_grad<T>};

}  // namespace gram::cpu::GRAM_ISA
