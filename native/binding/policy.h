// The policy as JavaScript gives it.
#pragma once

#include <napi.h>

#include "plane/policy.h"

namespace guise {

// From an object with all fields of DATA_PLANE in src/policy.ts. Throws where one is missing or out of range.
[[nodiscard]] Policy policy_of(const Napi::Object& object);

// The names of its fields.
[[nodiscard]] Napi::Array policy_fields(Napi::Env env);

}  // namespace guise
