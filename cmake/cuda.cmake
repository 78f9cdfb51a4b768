# SPDX-License-Identifier: MIT
# gram::cuda: what nvcc compiles. An object library, so that the objects that fill in the tables before main()
# starts are part of every program that links it; nobody refers to it by name, and from an archive it would be left out.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(CMAKE_CUDA_COMPILER nvcc PATHS /usr/local/cuda/bin REQUIRED)
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
endif()
enable_language(CUDA)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
find_package(CUDAToolkit 13 REQUIRED)
find_package(CUDNN 9.8 REQUIRED)

# What cuda_impl.cuh does in one source, in two that compile side by side.
set(fill_in "fill_in_tables<float>(), fill_in_other_tables()" "fill_in_tables<double>(), fill_in_tables<bf16>()")
foreach(part 0 1)
  list(GET fill_in ${part} GRAM_FILL_IN)
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/compiled/gram_cuda_${part}.cu @ONLY CONTENT [[
#include "gram/cuda/tables.cuh"
using namespace gram;
using namespace gram::cuda;
static const bool filled_in = (@GRAM_FILL_IN@, true);
]])
  list(APPEND cuda_sources ${CMAKE_CURRENT_BINARY_DIR}/compiled/gram_cuda_${part}.cu)
endforeach()
add_library(gram_cuda OBJECT ${cuda_sources})
add_library(gram::cuda ALIAS gram_cuda)
# The level of a build type goes: it is for host code alone, of which nvcc has little here, and nvcc warns of two.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REGEX REPLACE "-O[0-9s]" "" CMAKE_CUDA_FLAGS_${config} "${CMAKE_CUDA_FLAGS_${config}}")
endforeach()
# CMake 3.25 does not know what C++20 is called by nvcc 13.
target_compile_options(gram_cuda PRIVATE -std=c++20 -O1 --split-compile=0 --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra)
target_link_libraries(gram_cuda PUBLIC gram CUDNN::cudnn CUDA::cublasLt CUDA::cudart_static)
set_target_properties(gram_cuda PROPERTIES EXPORT_NAME cuda POSITION_INDEPENDENT_CODE ON)

# gram::nccl: sums over several GPUs, where NCCL is found.
find_path(NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR})
if(NCCL_INCLUDE AND NCCL_LIBRARY)
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/compiled/gram_nccl.cu CONTENT "#include \"gram/cuda/nccl_communicator.cuh\"\n")
  add_library(gram_nccl OBJECT ${CMAKE_CURRENT_BINARY_DIR}/compiled/gram_nccl.cu)
  add_library(gram::nccl ALIAS gram_nccl)
  target_compile_options(gram_nccl PRIVATE -std=c++20 --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra)
  target_include_directories(gram_nccl PRIVATE ${NCCL_INCLUDE})
  target_link_libraries(gram_nccl PUBLIC gram CUDA::cudart_static ${NCCL_LIBRARY})
else()
  message(STATUS "NCCL was not found: sums over several GPUs go through the host")
endif()
