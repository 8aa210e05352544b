// The fields of every record, each listed once: for reading, writing and docs/formats.md.
#pragma once

#include "records/archive.h"
#include "records/format.h"

#include <span>
#include <string>

namespace apreqel {

inline constexpr std::string_view kScoresSchema = "apreqel.scores/1";
inline constexpr std::string_view kProfileSchema = "apreqel.profile/1";
inline constexpr std::string_view kModelSchema = "apreqel.model/1";
inline constexpr std::string_view kDeviceSchema = "apreqel.device/1";
inline constexpr std::string_view kCacheSchema = "apreqel.cache/1";
inline constexpr std::string_view kSensitivitySchema = "apreqel.sensitivity/2";
inline constexpr std::string_view kShardSchema = "apreqel.shard/1";
inline constexpr std::string_view kPlanSchema = "apreqel.plan/1";
inline constexpr std::string_view kLayoutSchema = "apreqel.layout/1";
inline constexpr std::string_view kRunSchema = "apreqel.run/1";
inline constexpr std::string_view kStudySchema = "apreqel.study/1";
inline constexpr std::string_view kQualitySchema = "apreqel.quality/1";
inline constexpr std::string_view kSpeedSchema = "apreqel.speed/1";
inline constexpr std::string_view kMeasurementsSchema = "apreqel.measurements/1";
inline constexpr std::string_view kInventorySchema = "apreqel.inventory/1";
inline constexpr std::string_view kShapeSchema = "apreqel.shape/1";
inline constexpr std::string_view kImportanceSchema = "apreqel.imatrix/1";

/// What `measure` prints.
struct MeasuredModels {
    std::string device;
    std::string text;
    std::vector<Measurement> models;
};

/// What `inspect` prints.
struct InventoryDocument {
    Inventory inventory;
    std::vector<TypeWeight> weights;
    ContextMemory context;
};

/// What `imatrix` prints.
struct ImportanceDocument {
    ImportanceMatrix matrix;
    Inventory inventory;
};

void fields(Archive& archive, Quality& quality);
/// The same within another record. `written`: there is something to say of it.
void quality_fields(Archive& archive, Quality& quality, bool written);
void fields(Archive& archive, Speed& speed);
void fields(Archive& archive, std::vector<Speed>& speeds);
void fields(Archive& archive, CacheChoice& cache);
void fields(Archive& archive, PlacedBytes& placed);
void fields(Archive& archive, Measurement& measurement);
/// What a measurement has beside its name.
void measured_fields(Archive& archive, Measurement& measurement);
/// A rival of `model`, and how the two compare beside full precision, which follows from their measurements: it is written for
/// other readers only.
void rival_fields(Archive& archive, Measurement& rival, const Measurement& model, const Quality& reference);
void fields(Archive& archive, MeasuredModels& measured);
void fields(Archive& archive, Fallback& fallback);
void fields(Archive& archive, MixedModel& model);
void fields(Archive& archive, UniformVariant& variant);
void fields(Archive& archive, TimedModel& model);
void fields(Archive& archive, ModelProfile& profile);
void fields(Archive& archive, DeviceProfile& profile);
void fields(Archive& archive, Offload& offload);
void fields(Archive& archive, CacheCost& type);
void fields(Archive& archive, CacheProfile& cache);
void fields(Archive& archive, Profile& profile);
void fields(Archive& archive, ShapeEntry& entry);
void fields(Archive& archive, ShapeTensor& tensor);
void fields(Archive& archive, ModelShape& shape);
void fields(Archive& archive, LayerScore& layer);
void fields(Archive& archive, Scores& scores);
void fields(Archive& archive, Probe& probe);
void fields(Archive& archive, Sensitivity& sensitivity);
void fields(Archive& archive, SensitivityShard& shard);
void fields(Archive& archive, GroupType& entry);
/// `types`: what the candidate's counts are of. `known`: the criteria that it has an estimate of in any case.
void fields(Archive& archive, Candidate& candidate, std::span<const std::string> types,
            const Objectives& known = paper_objectives());
void fields(Archive& archive, Plan& plan);
void fields(Archive& archive, LayoutRun& run);
void fields(Archive& archive, Layout& layout);
void fields(Archive& archive, TriedModel& tried);
void fields(Archive& archive, RunResult& result);
void fields(Archive& archive, Evaluation& evaluation);
void fields(Archive& archive, TypeWeight& weight);
void fields(Archive& archive, InventoryDocument& document);
void fields(Archive& archive, ImportanceDocument& document);

/// What a context keeps in memory, within another record.
void context_fields(Archive& archive, ContextMemory& context);

/// The weights by their names.
void weight_fields(Archive& archive, Weights& weights);
/// Values of criteria by their fields, of which `needed` must be there.
void metric_fields(Archive& archive, Metrics& metrics, const Objectives& needed);

/// No name twice.
[[nodiscard]] bool distinct(std::span<const std::string> names);

}  // namespace apreqel
