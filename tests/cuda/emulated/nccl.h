// SPDX-License-Identifier: MIT
// A stand-in for NCCL's <nccl.h>. Its ranks are threads of one process that take turns (../turns.hpp); an
// operation meets the others when its stream comes to it, in a graph: when that is launched.
#pragma once
#include <cuda_runtime.h>

#include <cstring>
#include <map>
#include <memory>

#include "../turns.hpp"

namespace emulated {

struct NcclComm {
  std::shared_ptr<gram::test::Meeting> meeting;
  int rank = 0;
};
inline std::map<int, std::weak_ptr<gram::test::Meeting>> nccl_meetings;

}  // namespace emulated

using ncclComm_t = emulated::NcclComm*;
enum ncclResult_t { ncclSuccess = 0, ncclInvalidArgument = 4 };
enum ncclDataType_t { ncclInt64 = 4, ncclFloat32 = 7, ncclFloat64 = 8, ncclBfloat16 = 9 };
enum ncclRedOp_t { ncclSum = 0 };
struct ncclUniqueId {
  char internal[128];
};
struct ncclConfig_t {
  int blocking;
};
#define NCCL_CONFIG_INITIALIZER \
  { 1 }

inline const char* ncclGetErrorString(ncclResult_t) { return "invalid argument"; }
inline const char* ncclGetLastError(ncclComm_t) { return ""; }
inline ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* state) {
  return *state = ncclSuccess, ncclSuccess;
}
inline ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int number = 0;
  ++number;
  std::memcpy(id->internal, &number, sizeof number);
  return ncclSuccess;
}
inline ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                           ncclConfig_t*) {
  int number = 0;
  std::memcpy(&number, id.internal, sizeof number);
  auto meeting = emulated::nccl_meetings[number].lock();
  if (!meeting) emulated::nccl_meetings[number] = meeting = std::make_shared<gram::test::Meeting>(size);
  *comm = new emulated::NcclComm{meeting, rank};
  (*meeting)(rank, nullptr, [](const std::vector<void*>&) {});
  return ncclSuccess;
}
inline ncclResult_t ncclCommDestroy(ncclComm_t comm) { return delete comm, ncclSuccess; }
inline ncclResult_t ncclCommAbort(ncclComm_t comm) { return delete comm, ncclSuccess; }

namespace emulated {

template <class F>
void with_nccl_type(ncclDataType_t type, F&& f) {
  switch (type) {
    case ncclInt64:
      return f(static_cast<std::int64_t*>(nullptr));
    case ncclFloat32:
      return f(static_cast<float*>(nullptr));
    case ncclFloat64:
      return f(static_cast<double*>(nullptr));
    case ncclBfloat16:
      return f(static_cast<gram::bf16*>(nullptr));
  }
}
/// work(pointer to T, what all have brought), with access to device memory, by the last rank that comes.
template <class F>
ncclResult_t meet(ncclComm_t comm, const void* from, void* to, ncclDataType_t type, cudaStream_t stream,
                  F work) {
  if (from != to) return ncclInvalidArgument;
  submit(stream, [=] {
    (*comm->meeting)(comm->rank, to, [&](const std::vector<void*>& brought) {
      const DeviceMemory::Access access;
      with_nccl_type(type, [&]<class T>(T*) { work(static_cast<T*>(nullptr), brought); });
    });
  });
  return ncclSuccess;
}

}  // namespace emulated

inline ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                                  ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  return emulated::meet(comm, from, to, type, stream, [=]<class T>(T*, const std::vector<void*>& brought) {
    gram::test::sum_over_ranks<T>(brought, static_cast<gram::Index>(count));
  });
}
inline ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type,
                                  int root, ncclComm_t comm, cudaStream_t stream) {
  return emulated::meet(comm, from, to, type, stream, [=]<class T>(T*, const std::vector<void*>& brought) {
    gram::test::copy_from_rank<T>(brought, static_cast<gram::Index>(count), root);
  });
}
