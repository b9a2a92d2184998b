// What `require` of the addon gives.
#include <napi.h>

#include "binding/engine_object.h"
#include "binding/host_functions.h"
#include "binding/layout.h"
#include "binding/packet_port_object.h"

static Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", guise::EngineObject::Define(env));
  exports.Set("PacketPort", guise::PacketPortObject::Define(env));
  exports.Set("layout", guise::layout(env));
  guise::add_host_functions(env, exports);
  return exports;
}
NODE_API_MODULE(guise, Initialize)
