// What can be done with a model, as far as its header tells: known before anything is measured, sampled or written.
#pragma once

#include "base/monitor.h"
#include "gguf/container.h"

#include <apreqel/inventory.h>

#include <initializer_list>
#include <string_view>

namespace apreqel {

/// Sets obstacles and the size of the KV cache of an inventory that is complete otherwise.
void find_obstacles(Inventory& inventory, const Container& container);

/// Says what becomes of tensors that neither plans nor uniform variants give a type: those that text never reaches, and those that
/// are not known.
void report_ungrouped(const Inventory& inventory, Monitor& monitor);

/// "libllama cannot run it": a task that is impossible, for people.
[[nodiscard]] std::string_view impossibility(Task task);

/// Error: one of `tasks` is impossible; the first reason is the cause. `verb` begins the message.
[[nodiscard]] Result<> check_ready(const Inventory& inventory, std::string_view verb, std::initializer_list<Task> tasks);

}  // namespace apreqel
