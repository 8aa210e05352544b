#include "base/file.h"
#include "model/readiness.h"
#include "study/keys.h"
#include "study/study.h"
#include "study/text.h"

namespace apreqel {

Result<Scores> score(const Study& study)
{
    const Inventory& inventory = study.inventory;
    if (auto ready = check_ready(inventory, "score", {Task::load, Task::text, Task::score}); !ready)
        return std::unexpected(ready.error());
    const auto prompts = scoring_prompts(study);
    if (!prompts) return std::unexpected(prompts.error());

    std::string all;
    for (const std::string& prompt : *prompts) all += digest({prompt});
    const std::string key = Facts::of(study).with(Input::prompts, digest({all})).key(kScores);
    const auto path = study.workspace.path(kScores.name);
    if (!study.settings.remeasure) {
        auto kept = read_kept(path, read_scores, study.monitor);
        if (kept && read_key(path) == key) return std::move(*kept);
    }
    if (auto enough = check_texts(study, {scoring()}); !enough) return std::unexpected(enough.error());

    const auto model = study.runtime->load(study.model(), study.settings.run);
    if (!model) return std::unexpected(model.error());
    std::vector<std::vector<Token>> tokens;
    for (const std::string& prompt : *prompts) {
        auto tokenized = (*model)->tokenize(prompt);
        if (!tokenized) return std::unexpected(tokenized.error());
        if (!tokenized->empty()) tokens.push_back(std::move(*tokenized));
    }
    auto layers = (*model)->score_layers(inventory, tokens, study.settings.gamma, study.monitor);
    if (!layers) return std::unexpected(layers.error());
    for (const LayerScore& layer : *layers)
        if (auto finite = check_figures(layer.layer, {layer.score, layer.mean_similarity}); !finite)
            return std::unexpected(finite.error());

    Scores scores{.model = inventory.fingerprint,
                  .model_name = inventory.name,
                  .gamma = study.settings.gamma,
                  .prompts = tokens.size(),
                  .tokens = layers->front().rewards + layers->front().penalties,
                  .prompts_source = prompts_source(study),
                  .layers = std::move(*layers)};
    if (auto written = write_text(path, to_json(scores, key)); !written) return std::unexpected(written.error());
    return scores;
}

}  // namespace apreqel
