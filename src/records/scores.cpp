#include "records/document.h"
#include "records/fields.h"

namespace apreqel {

void fields(Archive& archive, LayerScore& layer)
{
    archive.required("layer", layer.layer, "`blk.N.attn` or `blk.N.ffn`", {.rule = Rule::group});
    archive.required("score", layer.score, "`rewards` − `penalties`");
    archive.optional("rewards", layer.rewards, "tokens with a similarity below γ");
    archive.optional("penalties", layer.penalties, "tokens with a similarity of γ or above");
    archive.optional("mean_similarity", layer.mean_similarity, "over all tokens; breaks ties; 1 if missing");
}

void fields(Archive& archive, Scores& scores)
{
    archive.optional("model", scores.model, "fingerprint; must agree with the profile's if both have one",
                     {.rule = Rule::label});
    archive.optional("model_name", scores.model_name, "for people");
    archive.optional("gamma", scores.gamma, "γ, the similarity from which on a token is a penalty");
    archive.optional("prompts", scores.prompts, "how many were read");
    archive.optional("tokens", scores.tokens, "how many that was");
    archive.optional("prompts_source", scores.prompts_source, "file name, or how they were sampled");
    archive.required("layers", scores.layers, "in the order of the model");
    archive.demand(!scores.layers.empty(), "layers", "must have at least one layer");
}

std::string to_json(const Scores& scores, std::string_view key) { return write_record(kScoresSchema, scores, key); }
Result<Scores> parse_scores(std::string_view text) { return parse_record<Scores>(text, kScoresSchema); }
Result<Scores> read_scores(const std::filesystem::path& path) { return read_record<Scores>(path, kScoresSchema); }

}  // namespace apreqel
