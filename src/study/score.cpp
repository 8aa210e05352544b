#include "base/file.h"
#include "model/readiness.h"
#include "quantize/check_weights.h"
#include "runtime/contribution.h"
#include "study/study.h"
#include "study/text.h"

namespace apreqel {

Result<Scores> score(const Study& study)
{
    const Inventory& inventory = study.inventory;
    if (auto ready = check_ready(inventory, "score", {Task::load, Task::text, Task::score}); !ready)
        return std::unexpected(ready.error());
    if (auto finite = check_weights(inventory, thread_count(study.settings.run), study.monitor); !finite)
        return std::unexpected(finite.error());
    const auto prompts = scoring_prompts(study);
    if (!prompts) return std::unexpected(prompts.error());

    std::string all;
    for (const std::string& prompt : *prompts) all += digest({prompt});
    const std::string key = std::format("model {}, prompts {}, gamma {}, {}", inventory.fingerprint, digest({all}),
                                        study.settings.gamma, backend_version());
    const auto path = study.workspace.path("scores.json");
    if (!study.settings.remeasure && read_key(path) == key) return read_scores(path);

    const auto model = LoadedModel::load(study.model(), study.settings.run);
    if (!model) return std::unexpected(model.error());
    std::vector<std::vector<Token>> tokens;
    for (const std::string& prompt : *prompts) {
        auto tokenized = model->tokenize(prompt);
        if (!tokenized) return std::unexpected(tokenized.error());
        if (!tokenized->empty()) tokens.push_back(std::move(*tokenized));
    }
    if (tokens.empty()) return fail("score {}: its tokenizer makes no tokens of the prompts", study.model().string());
    auto layers = score_layers(*model, inventory, tokens, study.settings.gamma, study.monitor);
    if (!layers) return std::unexpected(layers.error());

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
