// SPDX-License-Identifier: MIT
// Streams, events and graphs of the stand-in device. Work runs when it is submitted; while a stream is
// captured, it is written down, with its arguments, and runs when the graph is launched. A stream that waits
// for an event of a captured one is captured, too, and must be waited for before the capture ends.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace emulated {

using Graph = std::vector<std::function<void()>>;
struct Stream;

struct Capture {
  Graph graph;
  Stream* origin = nullptr;
  struct Fork {
    std::size_t last_work = 0;
    bool joined = false;  ///< that has been waited for
  };
  std::map<Stream*, Fork> forks;
  bool ended = false;
};
struct Stream {
  std::shared_ptr<Capture> capture;
};
struct Event {
  std::shared_ptr<Capture> capture;  ///< of the stream that has recorded it last
  Stream* stream = nullptr;
  std::size_t place = 0;  ///< in the captured graph
};

inline bool capturing(const Stream* stream) { return stream && stream->capture; }

template <class F>
void submit(Stream* stream, F work) {
  if (!capturing(stream)) return work();
  Capture& capture = *stream->capture;
  capture.graph.push_back(std::move(work));
  if (stream != capture.origin) capture.forks[stream] = {capture.graph.size(), false};
}

inline void begin_capture(Stream* stream) {
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
}
/// Null where a stream was not waited for.
inline Graph* end_capture(Stream* stream) {
  const std::shared_ptr<Capture> capture = std::exchange(stream->capture, nullptr);
  capture->ended = true;
  bool joined = true;
  for (auto& [fork, state] : capture->forks) fork->capture = nullptr, joined = joined && state.joined;
  return joined ? new Graph(std::move(capture->graph)) : nullptr;
}

inline void record(Event* event, Stream* stream) {
  *event = {stream->capture, stream, stream->capture ? stream->capture->graph.size() : 0};
}
/// False where CUDA refuses it: the event belongs to a capture that has ended, or to work outside of this
/// one.
inline bool wait(Stream* stream, const Event* event) {
  if (event->capture && event->capture->ended) return false;
  if (!event->capture) return !stream->capture || !event->stream;
  if (stream->capture && stream->capture != event->capture) return false;
  Capture& capture = *event->capture;
  if (!stream->capture) {
    stream->capture = event->capture;
    capture.forks[stream] = {};
  }
  const auto fork = capture.forks.find(event->stream);
  if (fork != capture.forks.end() && event->place >= fork->second.last_work) fork->second.joined = true;
  return true;
}

}  // namespace emulated
