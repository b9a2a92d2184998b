#include "binding/policy.h"

#include <iterator>

#include "binding/arguments.h"
#include "io/packet_device.h"

namespace guise {
namespace {

// The ranges are what the data plane can work with, not what is wise.
struct Field {
  const char* name;
  uint32_t Policy::*member;
  uint32_t least, most;
};

constexpr uint32_t kHour = 3'600'000, kGigabyte = 1 << 30;

constexpr Field kFields[] = {
    {"leastAckBytes", &Policy::least_ack_bytes, 1, kGigabyte},
    {"mostAckBytes", &Policy::most_ack_bytes, 1, kGigabyte},
    {"unscaledAckBytes", &Policy::unscaled_ack_bytes, 1, kGigabyte},
    {"everySecondRate", &Policy::every_second_rate, 0, kGigabyte},
    {"acksPerSecond", &Policy::acks_per_second, 1, kGigabyte},
    {"ackPaceInterval", &Policy::ack_pace_interval, 1, kHour},
    {"ackInterval", &Policy::ack_interval, 1, kHour},
    {"challengeInterval", &Policy::challenge_interval, 0, kHour},
    {"unscaledWindow", &Policy::unscaled_window, 0, kGigabyte},
    {"unansweredBytes", &Policy::unanswered_bytes, 0, kGigabyte},
    {"unansweredWait", &Policy::unanswered_wait, 1, kHour},
    {"lateWindow", &Policy::late_window, 0, kGigabyte},
    {"finWindow", &Policy::fin_window, 0, kGigabyte},
    {"finLateWindow", &Policy::fin_late_window, 0, kGigabyte},
    {"believedStrays", &Policy::believed_strays, 0, kGigabyte},
    {"cookieSlotSeconds", &Policy::cookie_slot_seconds, 1, 3600},
    {"strangersPerSecond", &Policy::strangers_per_second, 0, 1'000'000},
    {"icmpErrorsPerSecond", &Policy::icmp_errors_per_second, 0, 1'000'000},
    {"fullBatchesBeforeBusy", &Policy::full_batches_before_busy, 1, kGigabyte},
    {"synAnswersWhenBusy", &Policy::syn_answers_when_busy, 0, kGigabyte},
    {"refusedSynSlots", &Policy::refused_syn_slots, 1, kGigabyte},
    {"queueBytes", &Policy::queue_bytes, 0, kGigabyte},
    {"allQueuesBytes", &Policy::all_queues_bytes, 0, arguments::kAny32},
    {"sendQueueBytes", &Policy::send_queue_bytes, 0, kGigabyte},
    {"eventBufferBytes", &Policy::event_buffer_bytes, 1 << 17, kGigabyte},  // the largest record fits
    {"maxApplications", &Policy::max_applications, 0, (1 << 24) - 2},       // their ids have 24 bits
    {"deviceBatchPackets", &Policy::device_batch_packets, 1, 4096},
    {"deviceBatchBytes", &Policy::device_batch_bytes, kLargestRead, kGigabyte},
    {"linkSendBytes", &Policy::link_send_bytes, 1, kGigabyte},
    {"linkSendWait", &Policy::link_send_wait, 0, 1000},
    {"fragmentBytes", &Policy::fragment_bytes, 0, kGigabyte},
    {"fragmentsOfPacket", &Policy::fragments_of_packet, 1, 8192},  // more of 8 bytes no packet has
    {"fragmentWait4", &Policy::fragment_wait4, 0, kHour},
    {"fragmentWait6", &Policy::fragment_wait6, 0, kHour},
    {"udpBatchMessages", &Policy::udp_batch_messages, 1, 1024},  // UIO_MAXIOV, what recvmmsg takes
    {"udpBatchLargeMessages", &Policy::udp_batch_large_messages, 1, 1024},
    {"udpSocketBytes", &Policy::udp_socket_bytes, 1, kGigabyte},
};
static_assert(sizeof(Policy) == std::size(kFields) * sizeof(uint32_t), "each field of Policy is in the table");

}  // namespace

Policy policy_of(const Napi::Object& object) {
  Policy policy{};
  for (const Field& field : kFields) {
    policy.*field.member = arguments::whole_number(object.Get(field.name), field.name, field.least, field.most);
  }
  return policy;
}

Napi::Array policy_fields(Napi::Env env) {
  auto names = Napi::Array::New(env, std::size(kFields));
  for (uint32_t i = 0; i < std::size(kFields); ++i) names.Set(i, kFields[i].name);
  return names;
}

}  // namespace guise
