#include <ggml.h>
#include "gguf/container.h"
