// SPDX-License-Identifier: MIT
// Streams, events and graphs of the stand-in device. Work runs when it is submitted; while a stream is
// captured, it is written down, with its arguments, and runs when the graph is launched.
#pragma once
#include <functional>
#include <utility>
#include <vector>

namespace emulated {

using Graph = std::vector<std::function<void()>>;

struct Stream {
  Graph* capture = nullptr;
};

struct Event {};

inline bool capturing(const Stream* stream) { return stream && stream->capture; }

template <class F>
void submit(Stream* stream, F work) {
  if (capturing(stream))
    stream->capture->push_back(std::move(work));
  else
    work();
}

}  // namespace emulated
