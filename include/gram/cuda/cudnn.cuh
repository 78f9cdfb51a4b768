// SPDX-License-Identifier: MIT
// The backend API of cuDNN 9 with owners for its descriptors. Everything of it is a descriptor with
// attributes that is finished once and never changed.
#pragma once
#include <cudnn_graph.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "gram/core/error.hpp"
#include "gram/core/scalar.hpp"

namespace gram::cuda {

/// Throws DeviceError with what was attempted and what cuDNN says of it, unless a call succeeded.
inline void check_cudnn(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char reason[512] = {};
  cudnnGetLastErrorString(reason, sizeof reason);
  throw DeviceError(text("cudnn: ", what, ": ", cudnnGetErrorString(status), reason[0] ? "; " : "", reason));
}

/// The type that cuDNN knows an attribute by.
template <class T>
struct CudnnType;
template <cudnnBackendAttributeType_t Type>
struct CudnnTypeIs {
  static constexpr cudnnBackendAttributeType_t value = Type;
};
template <>
struct CudnnType<std::int64_t> : CudnnTypeIs<CUDNN_TYPE_INT64> {};
template <>
struct CudnnType<bool> : CudnnTypeIs<CUDNN_TYPE_BOOLEAN> {};
template <>
struct CudnnType<float> : CudnnTypeIs<CUDNN_TYPE_FLOAT> {};
template <>
struct CudnnType<char> : CudnnTypeIs<CUDNN_TYPE_CHAR> {};
template <>
struct CudnnType<void*> : CudnnTypeIs<CUDNN_TYPE_VOID_PTR> {};
template <>
struct CudnnType<cudnnHandle_t> : CudnnTypeIs<CUDNN_TYPE_HANDLE> {};
template <>
struct CudnnType<cudnnDataType_t> : CudnnTypeIs<CUDNN_TYPE_DATA_TYPE> {};
template <>
struct CudnnType<cudnnConvolutionMode_t> : CudnnTypeIs<CUDNN_TYPE_CONVOLUTION_MODE> {};
template <>
struct CudnnType<cudnnPointwiseMode_t> : CudnnTypeIs<CUDNN_TYPE_POINTWISE_MODE> {};
template <>
struct CudnnType<cudnnReduceTensorOp_t> : CudnnTypeIs<CUDNN_TYPE_REDUCTION_OPERATOR_TYPE> {};
template <>
struct CudnnType<cudnnBackendHeurMode_t> : CudnnTypeIs<CUDNN_TYPE_HEUR_MODE> {};
template <>
struct CudnnType<cudnnBackendKnobType_t> : CudnnTypeIs<CUDNN_TYPE_KNOB_TYPE> {};
template <>
struct CudnnType<cudnnBackendNumericalNote_t> : CudnnTypeIs<CUDNN_TYPE_NUMERICAL_NOTE> {};

/// A descriptor. A handle is a pointer to it, good for as long as it lives.
class Descriptor {
 public:
  using Attribute = cudnnBackendAttributeName_t;

  Descriptor() = default;
  explicit Descriptor(cudnnBackendDescriptorType_t type) {
    check_cudnn(cudnnBackendCreateDescriptor(type, &handle_), "new descriptor");
  }
  Descriptor(Descriptor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Descriptor() {
    if (handle_) cudnnBackendDestroyDescriptor(handle_);
  }

  cudnnBackendDescriptor_t handle() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

  template <class T>
  Descriptor& set(Attribute name, const T& value) {
    return set(name, CudnnType<T>::value, 1, &value);
  }
  template <class T>
  Descriptor& set(Attribute name, const std::vector<T>& values) {
    return set(name, CudnnType<T>::value, static_cast<std::int64_t>(values.size()), values.data());
  }
  Descriptor& set(Attribute name, const Descriptor& value) { return set_descriptors(name, {value.handle_}); }
  /// Descriptors are void pointers, as data is: they need a name of their own.
  Descriptor& set_descriptors(Attribute name, const std::vector<cudnnBackendDescriptor_t>& values) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(values.size()), values.data());
  }
  Descriptor& set_descriptor(Attribute name, cudnnBackendDescriptor_t value) {
    return set_descriptors(name, {value});
  }
  Descriptor& set_text(Attribute name, const std::string& value) {
    return set(name, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(value.size()), value.data());
  }
  Descriptor& finish(const char* what) {
    check_cudnn(cudnnBackendFinalize(handle_), what);
    return *this;
  }

  template <class T>
  T get(Attribute name) const {
    T value{};
    std::int64_t count = 0;
    check_cudnn(cudnnBackendGetAttribute(handle_, name, CudnnType<T>::value, 1, &count, &value), "attribute");
    return value;
  }
  template <class T>
  std::vector<T> get_all(Attribute name, std::int64_t most) const {
    const auto values = std::make_unique<T[]>(static_cast<std::size_t>(most));
    std::int64_t count = 0;
    check_cudnn(cudnnBackendGetAttribute(handle_, name, CudnnType<T>::value, most, &count, values.get()),
                "attributes");
    return {values.get(), values.get() + (count < most ? count : most)};
  }
  /// At most so many descriptors of a type that an attribute consists of.
  std::vector<Descriptor> get_descriptors(Attribute name, cudnnBackendDescriptorType_t type,
                                          std::int64_t most) const {
    std::vector<Descriptor> found;
    std::vector<cudnnBackendDescriptor_t> handles;
    for (std::int64_t i = 0; i < most; ++i) handles.push_back(found.emplace_back(type).handle_);
    std::int64_t count = 0;
    check_cudnn(
        cudnnBackendGetAttribute(handle_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &count, handles.data()),
        "descriptors");
    if (count > most) count = most;
    found.resize(static_cast<std::size_t>(count));
    return found;
  }

 private:
  Descriptor& set(Attribute name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
    check_cudnn(cudnnBackendSetAttribute(handle_, name, type, count, values), "attribute of a descriptor");
    return *this;
  }

  cudnnBackendDescriptor_t handle_ = nullptr;
};

template <class T>
inline constexpr cudnnDataType_t cudnn_type = std::is_same_v<T, bf16>     ? CUDNN_DATA_BFLOAT16
                                              : std::is_same_v<T, double> ? CUDNN_DATA_DOUBLE
                                                                          : CUDNN_DATA_FLOAT;

/// What plans are made for: the device of a handle, or one that is not there, described by its properties.
struct PlanTarget {
  cudnnHandle_t handle = nullptr;
  const Descriptor* properties = nullptr;
};

/// A device described in JSON, as cuDNN 9.8 and later read it.
inline Descriptor device_properties(const std::string& json) {
  Descriptor d(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  d.set_text(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, json).finish("device properties");
  return d;
}

}  // namespace gram::cuda
