#include "binding/layout.h"

#include <cstddef>
#include <string>
#include <utility>

#include "binding/policy.h"
#include "netstack/row.h"
#include "plane/counters.h"
#include "plane/event_queue.h"

namespace guise {
namespace {

using Named = std::pair<const char*, size_t>;

Napi::Object numbers(Napi::Env env, std::initializer_list<Named> all, size_t unit = 1) {
  auto object = Napi::Object::New(env);
  for (const auto& [name, number] : all) {
    const size_t units = number / unit;
    object.Set(name, static_cast<double>(units));
  }
  return object;
}

Napi::Object sized(Napi::Env env, size_t size, std::initializer_list<Named> fields, size_t unit = 1) {
  auto object = Napi::Object::New(env);
  const size_t units = size / unit;
  object.Set("size", static_cast<double>(units));
  object.Set("fields", numbers(env, fields, unit));
  return object;
}

constexpr size_t kWord = sizeof(uint64_t);

Napi::Object event_record(Napi::Env env) {
  return sized(env, sizeof(EventRecord),
               {{"size", offsetof(EventRecord, size)},
                {"type", offsetof(EventRecord, type)},
                {"flags", offsetof(EventRecord, flags)},
                {"worker", offsetof(EventRecord, worker)},
                {"optionsSize", offsetof(EventRecord, options_size)},
                {"id", offsetof(EventRecord, id)},
                {"seq", offsetof(EventRecord, seq)},
                {"ack", offsetof(EventRecord, ack)},
                {"payloadSize", offsetof(EventRecord, payload_size)},
                {"ports", offsetof(EventRecord, local_port)},
                {"detail", offsetof(EventRecord, detail)},
                {"addresses", offsetof(EventRecord, local_address)},
                {"way", offsetof(EventRecord, way)}});
}
// A tuple in JavaScript has the two addresses and the two ports as they are here.
static_assert(offsetof(EventRecord, remote_port) == offsetof(EventRecord, local_port) + sizeof(uint16_t));
static_assert(offsetof(EventRecord, remote_address) == offsetof(EventRecord, local_address) + 16);

Napi::Object event_types(Napi::Env env) {
  const auto number = [](EventType type) { return static_cast<size_t>(type); };
  return numbers(env, {{"segment", number(EventType::kSegment)},
                       {"datagram", number(EventType::kDatagram)},
                       {"application", number(EventType::kApplication)},
                       {"attached", number(EventType::kAttached)},
                       {"deviceGone", number(EventType::kDeviceGone)},
                       {"opening", number(EventType::kOpening)},
                       {"flowEnd", number(EventType::kFlowEnd)},
                       {"addresses", number(EventType::kAddresses)},
                       {"largeSent", number(EventType::kLargeSent)},
                       {"answer", number(EventType::kAnswer)},
                       {"recut", number(EventType::kRecut)},
                       {"icmpError", number(EventType::kIcmpError)},
                       {"applicationGone", number(EventType::kApplicationGone)},
                       {"refused", number(EventType::kRefused)},
                       {"unsent", number(EventType::kUnsent)},
                       {"awake", number(EventType::kAwake)}});
}

Napi::Object opening_detail(Napi::Env env) {
  return numbers(env, {{"phantun", kOpeningPhantun},
                       {"scaled", kOpeningScaled},
                       {"foreign", kForeignWindow},
                       {"mssShift", kOpeningMssShift}});
}

Napi::Object engine_counters(Napi::Env env) {
  return sized(env, sizeof(EngineCounters),
               {{"dropped", offsetof(EngineCounters, dropped)},
                {"deviceReads", offsetof(EngineCounters, device_reads)},
                {"deviceWrites", offsetof(EngineCounters, device_writes)},
                {"segmentationFallbacks", offsetof(EngineCounters, segmentation_fallbacks)},
                {"synsAnswered", offsetof(EngineCounters, syns_answered)},
                {"challenges", offsetof(EngineCounters, challenges)},
                {"waitingBytes", offsetof(EngineCounters, waiting_bytes)},
                {"fragmented", offsetof(EngineCounters, fragmented)}},
               kWord);
}

Napi::Object flow_counters(Napi::Env env) {
  return sized(env, sizeof(FlowCounters),
               {{"receivedDatagrams", offsetof(FlowCounters, received_datagrams)},
                {"receivedBytes", offsetof(FlowCounters, received_bytes)},
                {"receivedBatches", offsetof(FlowCounters, received_batches)},
                {"receivedDrops", offsetof(FlowCounters, received_drops)},
                {"receivedSegments", offsetof(FlowCounters, received_segments)},
                {"receiveNext", offsetof(FlowCounters, receive_next)},
                {"peerAck", offsetof(FlowCounters, peer_ack)},
                {"sentDatagrams", offsetof(FlowCounters, sent_datagrams)},
                {"sentBytes", offsetof(FlowCounters, sent_bytes)},
                {"sentBatches", offsetof(FlowCounters, sent_batches)},
                {"sentDrops", offsetof(FlowCounters, sent_drops)},
                {"sendNext", offsetof(FlowCounters, send_next)},
                {"generation", offsetof(FlowCounters, generation)}},
               kWord);
}

Napi::Object packet_row(Napi::Env env) {
  using namespace row;
  auto all = Napi::Object::New(env);
  all.Set("incoming", numbers(env, {{"kind", in::kKind},
                                    {"flow", in::kFlow},
                                    {"packet", in::kPacket},
                                    {"packetSize", in::kPacketSize},
                                    {"payload", in::kPayload},
                                    {"payloadSize", in::kPayloadSize},
                                    {"segmentSize", in::kSegmentSize},
                                    {"ports", in::kPorts},
                                    {"facts", in::kFacts},
                                    {"flags", in::kFlags},
                                    {"seq", in::kSeq},
                                    {"ack", in::kAck},
                                    {"window", in::kWindow},
                                    {"options", in::kOptions},
                                    {"mss", in::kMss},
                                    {"timestamp", in::kTimestamp},
                                    {"timestampEcho", in::kTimestampEcho},
                                    {"sack", in::kSack},
                                    {"urgent", in::kUrgent}}));
  all.Set("outgoing", numbers(env, {{"flow", out::kFlow},
                                    {"seq", out::kSeq},
                                    {"ack", out::kAck},
                                    {"flags", out::kFlags},
                                    {"window", out::kWindow},
                                    {"options", out::kOptions},
                                    {"mss", out::kMss},
                                    {"timestamp", out::kTimestamp},
                                    {"timestampEcho", out::kTimestampEcho},
                                    {"sack", out::kSack}}));
  all.Set("kinds", numbers(env, {{"tcp", kind::kTcp},
                                 {"udp", kind::kUdp},
                                 {"icmp", kind::kIcmp},
                                 {"other", kind::kOther},
                                 {"problem", kind::kProblem}}));
  all.Set("facts", numbers(env, {{"ecnMask", fact::kEcnMask},
                                 {"ipv6", fact::kIpv6},
                                 {"reassembled", fact::kReassembled},
                                 {"hopLimitShift", fact::kHopLimitShift}}));
  all.Set("options", numbers(env, {{"mss", option::kMss},
                                   {"scale", option::kScale},
                                   {"sackPermitted", option::kSackPermitted},
                                   {"timestamps", option::kTimestamps}}));
  all.Set("state", numbers(env,
                           {{"used", offsetof(State, used)},
                            {"mtu", offsetof(State, mtu)},
                            {"fed", offsetof(State, fed)},
                            {"written", offsetof(State, written)}},
                           sizeof(int32_t)));
  return all;
}

Napi::Object port_counters(Napi::Env env) {
  using row::Counters;
  return sized(env, sizeof(Counters),
               {{"received", offsetof(Counters, received)},
                {"sent", offsetof(Counters, sent)},
                {"damaged", offsetof(Counters, damaged)},
                {"refused", offsetof(Counters, refused)},
                {"segmentationFallbacks", offsetof(Counters, segmentation_fallbacks)},
                {"fragments", offsetof(Counters, fragments)},
                {"reassembled", offsetof(Counters, reassembled)},
                {"lateFragments", offsetof(Counters, late_fragments)},
                {"overlapping", offsetof(Counters, overlapping)},
                {"crowded", offsetof(Counters, crowded)},
                {"overrun", offsetof(Counters, overrun)}},
               kWord);
}

}  // namespace

Napi::Object layout(Napi::Env env) {
  auto all = Napi::Object::New(env);
  all.Set("eventRecord", event_record(env));
  all.Set("eventTypes", event_types(env));
  all.Set("openingDetail", opening_detail(env));
  all.Set("engineCounters", engine_counters(env));
  all.Set("flowCounters", flow_counters(env));
  auto reasons = Napi::Array::New(env, kDropReasonNames.size());
  for (uint32_t i = 0; i < kDropReasonNames.size(); ++i) reasons.Set(i, std::string(kDropReasonNames[i]));
  all.Set("dropReasons", reasons);
  all.Set("policy", policy_fields(env));
  all.Set("packetRow", packet_row(env));
  all.Set("portCounters", port_counters(env));
  return all;
}

}  // namespace guise
