#include "runtime/expectation.h"

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace apreqel {
namespace {

/// Of a vocabulary, how many tokens are kept as the likeliest, and how many of the others.
struct Shares {
    Shares(std::size_t vocabulary, std::size_t kept)
        : likeliest(std::min(kept, vocabulary)),
          sampled(std::min(kept, vocabulary - likeliest)),
          weight(sampled > 0 ? static_cast<double>(vocabulary - likeliest) / static_cast<double>(sampled) : 0)
    {
    }

    std::size_t likeliest;
    std::size_t sampled;
    double weight;
};

}  // namespace

LogSoftmax::LogSoftmax(std::span<const float> logits)
{
    // Eigen's exponential is vectorized, the library's is not. In double from piece to piece: a vocabulary is long.
    const Eigen::Map<const Eigen::ArrayXf> all(logits.data(), static_cast<Eigen::Index>(logits.size()));
    max_ = all.maxCoeff();
    constexpr Eigen::Index kPiece = 1024;
    double sum = 0;
    bool finite = true;
    for (Eigen::Index at = 0; at < all.size(); at += kPiece) {
        const auto piece = all.segment(at, std::min(kPiece, all.size() - at));
        finite = finite && piece.allFinite();
        sum += double{(piece - max_).exp().sum()};
    }
    log_sum_ = finite ? std::log(sum) : std::numeric_limits<double>::quiet_NaN();
}

bool LogSoftmax::is_finite() const { return std::isfinite(log_sum_); }

Expectation::Expectation(std::span<const float> logits, std::size_t kept, std::size_t turn)
{
    const Shares shares(logits.size(), kept);
    likeliest_ = shares.likeliest;
    weight_ = shares.weight;
    const LogSoftmax softmax(logits);
    const auto logit = [&](Token token) { return logits[static_cast<std::size_t>(token)]; };
    std::vector<Token> all(logits.size());
    std::iota(all.begin(), all.end(), 0);
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(likeliest_);
    // The order of equals is theirs in the vocabulary, whatever the library sorts with.
    // Numbers alone have an order; what is none makes every divergence none.
    if (softmax.is_finite())
        std::ranges::nth_element(all, end,
                                 [&](Token a, Token b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; });
    tokens_.reserve(likeliest_ + shares.sampled);
    tokens_.assign(all.begin(), end);
    std::ranges::sort(tokens_);
    // Turns begin at places that are spread evenly, too: multiples of the golden ratio.
    constexpr double kGolden = 0.6180339887498949;
    const double begin = std::fmod(kGolden * static_cast<double>(turn), 1.0);
    std::size_t before = 0;  // likeliest tokens before the next of the others
    for (std::size_t s = 0; s < shares.sampled; ++s) {
        const auto place = static_cast<std::size_t>((static_cast<double>(s) + begin) * weight_);  // among the others
        while (before < likeliest_ && static_cast<std::size_t>(tokens_[before]) <= place + before) ++before;
        tokens_.push_back(static_cast<Token>(place + before));
    }
    log_p_.reserve(tokens_.size());
    for (const Token token : tokens_) log_p_.push_back(static_cast<float>(softmax(logit(token))));
}

double Expectation::divergence(std::span<const float> logits, const LogSoftmax& softmax) const
{
    if (!softmax.is_finite()) return std::numeric_limits<double>::quiet_NaN();
    double sum = 0;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
        const double log_p = log_p_[i];
        const double log_q = static_cast<float>(softmax(logits[static_cast<std::size_t>(tokens_[i])]));  // as exact as log p
        const double apart = log_p - log_q;
        const double p = std::exp(log_p);
        // q − p + p·log(p/q), where it is near 0 and where q is much greater, both without loss.
        const double term = apart > -1 ? p * (apart + std::expm1(-apart)) : p * (apart - 1) + std::exp(log_q);
        sum += (i < likeliest_ ? 1 : weight_) * term;
    }
    return sum;
}

Token Expectation::likeliest() const
{
    const auto end = log_p_.begin() + static_cast<std::ptrdiff_t>(likeliest_);
    return tokens_[static_cast<std::size_t>(std::max_element(log_p_.begin(), end) - log_p_.begin())];
}

std::size_t Expectation::bytes(std::size_t vocabulary, std::size_t kept)
{
    const Shares shares(vocabulary, kept);
    return (shares.likeliest + shares.sampled) * (sizeof(Token) + sizeof(float));
}

void Expectation::write(std::span<std::byte> out) const
{
    const std::span tokens = std::as_bytes(std::span(tokens_));
    std::ranges::copy(tokens, out.begin());
    std::ranges::copy(std::as_bytes(std::span(log_p_)), out.subspan(tokens.size()).begin());
}

bool Expectation::read(std::span<const std::byte> in, std::size_t vocabulary, std::size_t kept)
{
    const Shares shares(vocabulary, kept);
    likeliest_ = shares.likeliest;
    weight_ = shares.weight;
    tokens_.resize(shares.likeliest + shares.sampled);
    log_p_.resize(tokens_.size());
    const std::span tokens = std::as_writable_bytes(std::span(tokens_));
    std::ranges::copy(in.first(tokens.size()), tokens.begin());
    std::ranges::copy(in.subspan(tokens.size()), std::as_writable_bytes(std::span(log_p_)).begin());
    return std::ranges::all_of(tokens_,
                               [&](Token token) { return token >= 0 && static_cast<std::size_t>(token) < vocabulary; });
}

}  // namespace apreqel
