// Where JavaScript finds what in the memory that it shares with the data plane.
#pragma once

#include <napi.h>

namespace guise {

// {eventRecord: {size, fields}, eventTypes, engineCounters: {size, fields}, flowCounters: {size, fields}, dropReasons,
// policy, packetRow: {incoming, outgoing, kinds, facts, options, state}, portCounters: {size, fields}}. Sizes and
// fields of records in bytes, of counters in 64-bit words, of packet rows and their state in 32-bit words.
[[nodiscard]] Napi::Object layout(Napi::Env env);

}  // namespace guise
