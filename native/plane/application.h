// An application: a UDP endpoint that talks to a port of ours, and the flow that carries its datagrams. All is its
// worker's.
#pragma once

#include "plane/datagram_queue.h"
#include "wire/tuple.h"

namespace guise {

struct Flow;
struct UdpPort;

struct Application {
  Application(UdpPort& with_port, EngineCounters& counters) : port(with_port), pending(counters) {}

  Tuple tuple;            // local = the address that the application talked to
  uint32_t id = 0;        // 0: of a connected port
  UdpPort& port;          // outlives it
  Flow* flow = nullptr;   // null while JavaScript opens one; each of the two forgets the other before it goes
  DatagramQueue pending;  // sent before anything newer
};

}  // namespace guise
