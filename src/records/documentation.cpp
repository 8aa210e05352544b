#include "records/document.h"
#include "records/fields.h"

#include <utility>

namespace apreqel {
namespace {

/// The table of a record; `example` has in it whatever is only listed where there is something to list.
template <typename Record>
std::string table_of(std::string_view section, Record example = {})
{
    return document_fields(section, [&](Archive& archive) { fields(archive, example); });
}

Plan explained_plan()
{
    Plan plan{.request = {.method = Method::front},
              .objectives = front_objectives(),
              .types = {"TYPE"},
              .costs = {every_criterion(kUnknown)}};
    plan.ranking.best.resize(1);
    return plan;
}

RunResult run_of_plan()
{
    RunResult result;
    result.plan = explained_plan();
    return result;
}

Evaluation evaluation_of_plan()
{
    Evaluation evaluation;
    evaluation.settings.push_back({.category = "", .plan = explained_plan()});
    return evaluation;
}

}  // namespace

Result<std::string> documented_fields(std::string_view section)
{
    if (section == "what is measured") {
        Measurement measurement;
        return document_fields(section, [&](Archive& archive) { measured_fields(archive, measurement); });
    }
    if (section == kScoresSchema) return table_of<Scores>(section);
    if (section == kProfileSchema) return table_of<Profile>(section);
    if (section == kModelSchema) return table_of<ModelProfile>(section);
    if (section == kDeviceSchema) return table_of<DeviceProfile>(section);
    if (section == kCacheSchema) return table_of<CacheProfile>(section);
    if (section == kShapeSchema) return table_of(section, ModelShape{.metadata = {ShapeEntry{}}, .tensors = {ShapeTensor{}}});
    if (section == kSensitivitySchema) return table_of<Sensitivity>(section);
    if (section == kShardSchema) return table_of<SensitivityShard>(section);
    if (section == kPlanSchema) return table_of(section, explained_plan());
    if (section == kLayoutSchema) return table_of<Layout>(section);
    if (section == kRunSchema) return table_of(section, run_of_plan());
    if (section == kStudySchema) return table_of(section, evaluation_of_plan());
    if (section == kQualitySchema) return table_of<Quality>(section);
    if (section == kSpeedSchema) return table_of<std::vector<Speed>>(section);
    if (section == kMeasurementsSchema) return table_of<MeasuredModels>(section);
    if (section == kInventorySchema) return table_of<InventoryDocument>(section);
    if (section == kImportanceSchema) return table_of<ImportanceDocument>(section);
    return fail("documentation: {}: no such record", section);
}

}  // namespace apreqel
