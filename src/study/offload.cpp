#include "study/offload.h"

#include "base/file.h"
#include "model/names.h"
#include "study/form.h"
#include "study/outline.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace apreqel {
namespace {

/// Numbers of layers that are timed beside none: a minute or two each.
constexpr std::size_t kNumbers = 3;

constexpr std::string_view kOutput = "output";  // the weights of that, and what comes right before them

/// Whether a tensor is on accelerators.
bool is_offloaded(const Tensor& tensor, const Offload& offload)
{
    if (offload.layers == 0) return false;
    const auto block = block_of(tensor.name);
    return block ? *block >= offload.first_block : tensor.name.starts_with(kOutput);
}

/// Whether a tensor is in both places: embeddings that serve as output too.
bool is_in_both(const Inventory& inventory, const Tensor& tensor, const Offload& offload)
{
    return offload.layers > 0 && inventory.tied_embeddings && tensor.name.starts_with("token_embd.");
}

/// The study with so many layers on accelerators while times are measured.
Study with_layers(const Study& study, std::size_t layers)
{
    Study placed = study;
    placed.settings.gpu_layers = layers;
    placed.settings.mix_cache = false;
    return placed;
}

/// What a model of `types` takes on accelerators with its context. `whole`: the context with all layers there, of which every block has
/// its part of the cache.
double gpu_bytes(const Inventory& inventory, std::span<const QuantType> types, const ContextMemory& whole, std::size_t layers)
{
    if (layers == 0) return 0;
    const auto blocks = static_cast<double>(layers - 1) / static_cast<double>(all_layers(inventory) - 1);
    const double context = static_cast<double>(whole.gpu_buffer_bytes) + blocks * static_cast<double>(whole.gpu_cache_bytes);
    return context + static_cast<double>(placed_bytes(inventory, types, offload_of(inventory, layers)).gpu_bytes);
}

/// The most layers with which that is at most `bytes`.
std::size_t most_layers(const Inventory& inventory, std::span<const QuantType> types, const ContextMemory& whole, double bytes)
{
    std::size_t layers = all_layers(inventory);
    while (layers > 0 && gpu_bytes(inventory, types, whole, layers) > bytes) --layers;
    return layers;
}

/// With how many layers each of the study's types fills what accelerators may hold.
Result<std::vector<std::size_t>> filling_layers(const Study& study, double bytes)
{
    const auto whole = with_layers(study, all_layers(study.inventory)).context();
    if (!whole) return std::unexpected(whole.error());
    std::vector<std::size_t> layers;
    for (const Variant& type : study.settings.types) {
        const auto types = assign_types(study.inventory, type, study.settings.embedding_type).types;
        layers.push_back(most_layers(study.inventory, types, *whole, bytes));
    }
    return layers;
}

/// Ascending: none, and a few of `filling`, the least and the most among them.
std::vector<std::size_t> numbers_to_try(const std::vector<std::size_t>& filling)
{
    std::set<std::size_t> distinct(filling.begin(), filling.end());
    distinct.erase(0);
    const std::vector<std::size_t> all(distinct.begin(), distinct.end());
    std::vector<std::size_t> numbers{0};
    const std::size_t tried = std::min(kNumbers, all.size());
    for (std::size_t i = 0; i < tried; ++i) numbers.push_back(all[tried == 1 ? 0 : i * (all.size() - 1) / (tried - 1)]);
    return numbers;
}

}  // namespace

Offload offload_of(const Inventory& inventory, std::size_t layers)
{
    Offload offload{.layers = layers, .first_block = all_layers(inventory) - std::min(layers, all_layers(inventory))};
    if (layers == 0) return offload;
    double all = 0;
    double gpu = 0;
    double main = 0;
    std::vector<bool> grouped(inventory.tensors.size());
    for (const Group& group : groups_of(inventory, Granularity::layer))
        for (const std::size_t t : group.tensors) grouped[t] = true;
    for (const std::size_t t : embedding_group(inventory).tensors) {
        const Tensor& tensor = inventory.tensors[t];
        const auto weights = static_cast<double>(tensor.elements());  // in one type their bytes are alike
        const bool there = is_offloaded(tensor, offload);
        all += weights;
        if (there || is_in_both(inventory, tensor, offload)) gpu += weights;
        if (!there) main += weights;
    }
    if (all > 0) {
        offload.embedding_gpu = gpu / all;
        offload.embedding_main = main / all;
    }
    const auto types = assign_types(inventory, std::span<const GroupVariant>()).types;
    Group fixed;
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t)
        if (!grouped[t] && is_offloaded(inventory.tensors[t], offload)) fixed.tensors.push_back(t);
    offload.fixed_bytes = bytes_of(inventory, fixed, types);
    return offload;
}

PlacedBytes placed_bytes(const Inventory& inventory, std::span<const QuantType> types, const Offload& offload)
{
    PlacedBytes placed;
    for (std::size_t t = 0; t < inventory.tensors.size(); ++t) {
        const Tensor& tensor = inventory.tensors[t];
        const std::uint64_t bytes = static_cast<std::uint64_t>(tensor.rows()) * row_bytes(types[t], tensor.columns());
        const bool both = is_in_both(inventory, tensor, offload);
        const bool gpu = is_offloaded(tensor, offload);
        if (gpu || both) placed.gpu_bytes += bytes;
        if (!gpu) placed.main_bytes += bytes;
    }
    return placed;
}

std::size_t layers_within(const Inventory& inventory, double bytes)
{
    std::vector<QuantType> types;
    for (const Tensor& tensor : inventory.tensors)
        types.push_back(is_full_precision(tensor.type) ? tensor.type : in_form(tensor, *parse_type("f16")).type);
    return most_layers(inventory, types, {}, bytes);
}

Result<Profile> choose_offload(const Study& study, const Sensitivity& sensitivity, const PlanRequest& asked)
{
    PlanRequest request = asked;
    const auto filling = filling_layers(study, request.limits.most[kGpuMemory]);
    if (!filling) return std::unexpected(filling.error());
    std::vector<Profile> profiles;
    std::vector<Plan> plans;
    std::optional<Error> refused;
    for (const std::size_t layers : numbers_to_try(*filling)) {
        Study placed = with_layers(study, layers);
        std::vector<Variant>& types = placed.settings.types;
        for (std::size_t v = types.size(); v-- > 0;)
            if ((*filling)[v] < layers) types.erase(types.begin() + static_cast<std::ptrdiff_t>(v));
        const std::string step = std::format("{} of {} layers on GPUs", layers, all_layers(study.inventory));
        auto profile = outlook(placed);
        const bool interrupted = !profile && profile.error().code == ErrorCode::interrupted;
        if (interrupted && !plans.empty()) break;  // what was tried so far will do, if there is a file to be written at all
        if (interrupted) return std::unexpected(profile.error());
        if (!profile) {  // among others, a driver needs memory too
            study.monitor.warn(std::format("{}: not chosen from: {}", step, profile.error().message));
            refused = profile.error();
            continue;
        }
        request.limits.context = profile->device.context;
        auto plan = make_front_plan(*profile, sensitivity, request);
        if (!plan && plan.error().code != ErrorCode::infeasible) return std::unexpected(plan.error());
        study.monitor.begin(step, 0);
        if (plan) {
            const Metrics& estimate = plan->chosen().estimate;
            study.monitor.end(
                std::format("{:.3f} ms/token, KL divergence {:.5f} expected", estimate[kLatency], estimate[kDivergence]));
            plans.push_back(std::move(*plan));
            profiles.push_back(std::move(*profile));
        } else {
            study.monitor.end("no mix of these types keeps the limits");
            refused = plan.error();
        }
    }
    if (plans.empty()) return std::unexpected(*refused);
    Profile& best = profiles[best_plan(plans)];
    if (auto written = write_text(study.workspace.path("profile.json"), to_json(best)); !written)
        return std::unexpected(written.error());
    return std::move(best);
}

}  // namespace apreqel
