// SPDX-License-Identifier: MIT
// cuBLASLt, the library of matrix products. It knows column-major matrices: a row-major matrix is its own
// transpose there, so C = A B is asked for as C^T = B^T A^T, with the operands changed over. A plan, the
// descriptors and the algorithm, is made once for each problem and kept.
#pragma once
#include <cublasLt.h>

#include <algorithm>
#include <compare>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "gram/cuda/device_times.cuh"
#include "gram/cuda/fastest.hpp"
#include "gram/cuda/gemm.hpp"
#include "gram/cuda/refusal.hpp"

namespace gram::cuda {

inline void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw DeviceError(text("cuda: ", what, ": ", cublasLtGetStatusString(status)));
}

template <class T>
inline constexpr cudaDataType_t data_type = std::is_same_v<T, double> ? CUDA_R_64F
                                            : std::is_same_v<T, bf16> ? CUDA_R_16BF
                                                                      : CUDA_R_32F;

/// Everything that the choice of an algorithm depends on. Alignments are those of addresses, in bytes.
struct LtProblem {
  Index m, n, k, lda, ldb, ldc, count, stride_a, stride_b, stride_c, stride_bias;
  bool transpose_a, transpose_b, add, tf32;
  int in, out, epilogue;
  unsigned align_a, align_b, align_c, align_d, align_bias;
  auto operator<=>(const LtProblem&) const = default;
};

/// Addresses of a product d = epilogue(a b + c); c is read when the problem says `add`. `bias` is written
/// where the epilogue makes the gradient of one.
struct LtOperands {
  const void *a, *b, *c;
  void* d;
  const void* bias;
};

/// The largest power of two, up to 256, that divides an address.
inline unsigned alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p) | 256U;
  return static_cast<unsigned>(address & (~address + 1));
}

/// A descriptor of the library, destroyed with its owner.
template <class Handle, cublasStatus_t (*destroy)(Handle)>
class LtDescriptor {
 public:
  LtDescriptor() = default;
  ~LtDescriptor() {
    if (handle_) destroy(handle_);
  }
  LtDescriptor(const LtDescriptor&) = delete;
  LtDescriptor& operator=(const LtDescriptor&) = delete;

  Handle* address() { return &handle_; }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using LtLayout = LtDescriptor<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using LtProduct = LtDescriptor<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using LtPreference = LtDescriptor<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

struct LtPlan {
  LtProduct product;
  LtLayout a, b, c;
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t workspace = 0;
  bool found = false;
};

class CublasLt {
 public:
  /// The library on a device; as Context, made on first use and never destroyed.
  static CublasLt& of(Cuda device) {
    static std::mutex mutex;
    static auto* const all = new std::map<int, std::unique_ptr<CublasLt>>;
    const std::scoped_lock lock(mutex);
    auto& here = (*all)[device.index];
    if (!here) here.reset(new CublasLt(device));
    return *here;
  }

  /// Starts the product; false when the library has no algorithm for the problem, or refuses its own.
  bool run(const LtProblem& problem, const LtOperands& operands) {
    LtPlan& plan = plans_[problem];
    if (!plan.product.get()) make(plan, problem, operands);
    if (!plan.found) return false;
    if (operands.bias) set_bias(plan, operands.bias);
    const cublasStatus_t status = start(plan, problem, operands, operands.d, plan.algorithm, plan.workspace);
    if (is_refusal(status)) {
      note(problem, status);
      return plan.found = false;
    }
    check(status, "cublasLtMatmul");
    return true;
  }

 private:
  explicit CublasLt(Cuda device) : device_(device) {
    require<DeviceError>(!capturing(device),
                         "cuda: the first call of cuBLASLt cannot be captured; run the step once before");
    Context::of(device);
    check(cublasLtCreate(&handle_), "cublasLtCreate");
  }

  template <class V>
  static void set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attribute, const V& value) {
    check(cublasLtMatmulDescSetAttribute(d, attribute, &value, sizeof value), "attribute of a product");
  }
  template <class V>
  static void set(cublasLtMatrixLayout_t d, cublasLtMatrixLayoutAttribute_t attribute, const V& value) {
    check(cublasLtMatrixLayoutSetAttribute(d, attribute, &value, sizeof value), "attribute of a matrix");
  }
  template <class V>
  static void set(cublasLtMatmulPreference_t d, cublasLtMatmulPreferenceAttributes_t attribute,
                  const V& value) {
    check(cublasLtMatmulPreferenceSetAttribute(d, attribute, &value, sizeof value), "preference");
  }
  static void set_bias(LtPlan& plan, const void* bias) {
    set(plan.product.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }

  /// A row-major matrix (rows, columns), ld apart.
  static void describe(LtLayout& layout, int type, Index rows, Index columns, Index ld, Index count,
                       Index stride) {
    check(
        cublasLtMatrixLayoutCreate(layout.address(), static_cast<cudaDataType_t>(type),
                                   static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows), ld),
        "layout of a matrix");
    if (count == 1) return;
    set(layout.get(), CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(count));
    set(layout.get(), CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, static_cast<std::int64_t>(stride));
  }

  void make(LtPlan& plan, const LtProblem& p, const LtOperands& operands) {
    const bool is_double = p.in == CUDA_R_64F;
    check(cublasLtMatmulDescCreate(plan.product.address(),
                                   is_double ? CUBLAS_COMPUTE_64F
                                   : p.tf32  ? CUBLAS_COMPUTE_32F_FAST_TF32
                                             : CUBLAS_COMPUTE_32F,
                                   is_double ? CUDA_R_64F : CUDA_R_32F),
          "description of a product");
    const cublasLtMatmulDesc_t product = plan.product.get();
    set(product, CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(product, CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<cublasLtEpilogue_t>(p.epilogue));
    if (operands.bias) {
      set_bias(plan, operands.bias);
      if (p.count > 1)
        set(product, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, static_cast<std::int64_t>(p.stride_bias));
    }
    describe(plan.a, p.in, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb, p.count, p.stride_b);
    describe(plan.b, p.in, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda, p.count, p.stride_a);
    describe(plan.c, p.out, p.m, p.n, p.ldc, p.count, p.stride_c);
    choose(plan, p, operands);
  }

  void choose(LtPlan& plan, const LtProblem& p, const LtOperands& operands) {
    LtPreference preference;
    check(cublasLtMatmulPreferenceCreate(preference.address()), "cublasLtMatmulPreferenceCreate");
    set(preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
    // Parts of a sum are added as floats and in one order; the other schemes round them to the result's type.
    set(preference.get(), CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t{p.align_b});
    set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, std::uint32_t{p.align_a});
    set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, std::uint32_t{p.align_c});
    set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::uint32_t{p.align_d});
    // An array: nvcc 13 fails at vectors of structs without a name.
    cublasLtMatmulHeuristicResult_t results[most_candidates];
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle_, plan.product.get(), plan.a.get(), plan.b.get(), plan.c.get(), plan.c.get(), preference.get(),
        std::clamp(gemm_settings.candidates, 1, most_candidates), results, &count);
    if (!is_refusal(status)) check(status, "cublasLtMatmulAlgoGetHeuristic");
    if (status != CUBLAS_STATUS_SUCCESS) count = 0;
    const int best = count > 1 && !capturing(device_) ? fastest_of(plan, p, operands, results, count) : 0;
    if (best >= count || results[best].state != CUBLAS_STATUS_SUCCESS) return note(p, status);
    plan.algorithm = results[best].algo;
    plan.workspace = results[best].workspaceSize;
    plan.found = true;
  }

  static bool is_refusal(cublasStatus_t status) {
    return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
  }
  static void note(const LtProblem& p, cublasStatus_t status) {
    note_refusal("cuBLASLt",
                 text("product ", p.m, " x ", p.n, " x ", p.k, ", ", p.count, " of types ", p.in, " -> ",
                      p.out, ", epilogue ", p.epilogue),
                 cublasLtGetStatusString(status));
  }

  /// The candidate that takes the least time; `count` when none runs. Results go to memory of their own.
  int fastest_of(const LtPlan& plan, const LtProblem& p, const LtOperands& operands,
                 const cublasLtMatmulHeuristicResult_t* results, int count) {
    const Index elements = (p.count - 1) * p.stride_c + (p.m - 1) * p.ldc + p.n;
    const Index element_bytes = p.out == CUDA_R_64F ? 8 : p.out == CUDA_R_32F ? 4 : 2;
    DeviceScratch<std::uint8_t> trial(device_, elements * element_bytes);
    const auto times_of = [&](std::size_t i, int runs) {
      const auto run = [&] {
        return results[i].state == CUBLAS_STATUS_SUCCESS &&
               start(plan, p, operands, trial.data(), results[i].algo, results[i].workspaceSize) ==
                   CUBLAS_STATUS_SUCCESS;
      };
      return device_times(device_, run, runs);
    };
    const auto all = static_cast<std::size_t>(count);
    return static_cast<int>(fastest(all, times_of).value_or(all));
  }

  cublasStatus_t start(const LtPlan& plan, const LtProblem& p, const LtOperands& operands, void* d,
                       const cublasLtMatmulAlgo_t& algorithm, std::size_t workspace_bytes) {
    DeviceScratch<std::uint8_t> workspace(device_, static_cast<Index>(workspace_bytes));
    const float one = 1, zero = 0;
    const double wide_one = 1, wide_zero = 0;
    const bool is_double = p.in == CUDA_R_64F;
    const void *const alpha = is_double ? static_cast<const void*>(&wide_one) : &one,
                      *const none = is_double ? static_cast<const void*>(&wide_zero) : &zero;
    return cublasLtMatmul(handle_, plan.product.get(), alpha, operands.b, plan.a.get(), operands.a,
                          plan.b.get(), p.add ? alpha : none, p.add ? operands.c : d, plan.c.get(), d,
                          plan.c.get(), &algorithm, workspace.data(), workspace_bytes, stream(device_));
  }

  static constexpr std::size_t most_workspace = std::size_t{32} << 20;  // what NVIDIA recommends for Hopper
  static constexpr int most_candidates = 16;

  Cuda device_;
  cublasLtHandle_t handle_ = nullptr;
  std::map<LtProblem, LtPlan> plans_;
};

}  // namespace gram::cuda
