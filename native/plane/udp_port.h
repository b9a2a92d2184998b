// A UDP socket of a worker and whom it serves: all applications of a listener, or the one endpoint of a flow.
#pragma once

#include <memory>

#include "io/udp_socket.h"
#include "plane/application.h"

namespace guise {

struct UdpPort {
  // `listener_id`: 0 when the socket is connected.
  UdpPort(UniqueFd fd, bool segmentation, uint32_t listener_id)
      : socket(std::move(fd), segmentation), number(socket.local().port), listener(listener_id) {}

  [[nodiscard]] bool connected() const { return listener == 0; }

  UdpSocket socket;  // any worker that reads a flow's segments sends through it
  const uint16_t number;
  const uint32_t listener;

  // The worker's that receives from it.
  std::unique_ptr<Application> endpoint;  // of a connected one
  bool closed = false;                    // nothing is received from it any more
};

}  // namespace guise
