// An application: the application at the other end of a port, and the flow that carries its datagrams.
#pragma once

#include <memory>

#include "plane/flow.h"

namespace guise {

struct Application : std::enable_shared_from_this<Application> {
  explicit Application(EngineCounters& counters) : pending(counters) {}

  Tuple tuple;  // local = the address that the application talked to
  uint32_t id = 0;
  std::shared_ptr<UdpPort> port;
  std::shared_ptr<Flow> flow;  // null while JavaScript opens one
  DatagramQueue pending;       // sent before anything newer
};

}  // namespace guise
