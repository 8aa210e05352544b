#include "gguf/container.h"
#include <ggml.h>
