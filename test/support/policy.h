// A policy for tests of the data plane: DATA_PLANE of src/policy.ts where the number does not matter to them.
#pragma once

#include "plane/policy.h"

inline guise::Policy test_policy() {
  return {
      .least_ack_bytes = 1 << 20,
      .most_ack_bytes = 1 << 20,
      .unscaled_ack_bytes = 8 << 10,
      .every_second_rate = 12'500'000,
      .acks_per_second = 2000,
      .ack_pace_interval = 20,
      .ack_interval = 200,
      .challenge_interval = 100,
      .unscaled_window = 48 << 10,
      .unanswered_bytes = 16 << 10,
      .unanswered_wait = 5,
      .late_window = 1 << 27,
      .fin_window = 1 << 24,
      .fin_late_window = 1 << 20,
      .believed_strays = 8,
      .cookie_slot_seconds = 32,
      .strangers_per_second = 100,
      .icmp_errors_per_second = 100,
      .full_batches_before_busy = 32,
      .syn_answers_when_busy = 16,
      .refused_syn_slots = 1 << 20,
      .queue_bytes = 1 << 20,
      .all_queues_bytes = 64 << 20,
      .send_queue_bytes = 4 << 20,
      .event_buffer_bytes = 2 << 20,
      .max_applications = 65536,
      .device_batch_packets = 64,
      .device_batch_bytes = 1 << 20,
      .link_send_bytes = 4 << 20,
      .link_send_wait = 5,
      .fragment_bytes = 4 << 20,
      .fragments_of_packet = 64,
      .fragment_wait4 = 30'000,
      .fragment_wait6 = 60'000,
      .udp_batch_messages = 64,
      .udp_batch_large_messages = 8,
      .udp_socket_bytes = 7 << 20,
  };
}
