// SPDX-License-Identifier: MIT
// The switch between the forms of a convolution. Fast algorithms trade a little accuracy for speed; who
// compares gram with another framework, or a gradient with central differences, wants them off.
#pragma once

namespace gram {

/// How float convolutions are computed.
///   automatic  the fastest form for the shape: direct, or Winograd's for 3x3 kernels (cpu/winograd.hpp, with
///              its error)
///   direct     every sum term by term
enum class ConvolutionMethod { automatic, direct };

namespace cpu {

inline ConvolutionMethod& convolution_method_setting() {
  static ConvolutionMethod method = ConvolutionMethod::automatic;
  return method;
}

}  // namespace cpu

/// The form that convolutions are computed in, of the whole program.
inline ConvolutionMethod convolution_method() { return cpu::convolution_method_setting(); }

/// Sets it, between operations: not while another thread computes.
inline void set_convolution_method(ConvolutionMethod method) { cpu::convolution_method_setting() = method; }

}  // namespace gram
