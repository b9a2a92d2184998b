// The numbers that the data plane goes by and that are choices. TypeScript decides them: DATA_PLANE in src/policy.ts
// has the same fields, with unit, reason and source of each; native/binding/policy.cc reads them.
#pragma once

#include <cstdint>

namespace guise {

struct Policy {
  // Acknowledging.
  uint32_t least_ack_bytes;
  uint32_t most_ack_bytes;
  uint32_t unscaled_ack_bytes;
  uint32_t every_second_rate;
  uint32_t acks_per_second;
  uint32_t ack_pace_interval;
  uint32_t ack_interval;
  uint32_t challenge_interval;
  // Sending.
  uint32_t unscaled_window;
  uint32_t unanswered_bytes;
  uint32_t unanswered_wait;
  // What is believed of a peer.
  uint32_t late_window;
  uint32_t fin_window;
  uint32_t fin_late_window;
  uint32_t believed_strays;
  // Strangers.
  uint32_t cookie_slot_seconds;
  uint32_t strangers_per_second;
  uint32_t icmp_errors_per_second;
  uint32_t full_batches_before_busy;
  uint32_t syn_answers_when_busy;
  uint32_t refused_syn_slots;
  // What waits.
  uint32_t queue_bytes;
  uint32_t all_queues_bytes;
  uint32_t send_queue_bytes;
  uint32_t event_buffer_bytes;
  uint32_t max_applications;
  // Batches.
  uint32_t device_batch_packets;
  uint32_t device_batch_bytes;
  // Links.
  uint32_t link_send_bytes;
  uint32_t link_send_wait;
  uint32_t fragment_bytes;
  uint32_t fragments_of_packet;
  uint32_t fragment_wait4;
  uint32_t fragment_wait6;
  // UDP.
  uint32_t udp_batch_messages;
  uint32_t udp_batch_large_messages;
  uint32_t udp_socket_bytes;
};

}  // namespace guise
