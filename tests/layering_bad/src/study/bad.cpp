#include "runtime/runtime.h"
#include "runtime/session.h"
