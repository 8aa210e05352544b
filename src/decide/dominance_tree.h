// Whether any of many points costs no more by every criterion: a k-d tree (Bentley 1975) whose nodes know the least and the
// most of their points, so that most of them need not be opened.
#pragma once

#include <apreqel/costs.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace apreqel {

class DominanceTree {
public:
    /// Whether a point added is no worse by every criterion.
    [[nodiscard]] bool covers(std::span<const double> point) const
    {
        const auto at_most = [&](const Costs& costs) { return std::ranges::equal(costs, point, std::less_equal()); };
        if (least_.empty() || !at_most(least_)) return false;
        if (at_most(most_)) return true;
        if (halves_[0]) return halves_[0]->covers(point) || halves_[1]->covers(point);
        return std::ranges::any_of(points_, at_most);
    }

    void add(const Costs& point)
    {
        if (least_.empty()) least_ = most_ = point;
        for (std::size_t j = 0; j < point.size(); ++j) {
            least_[j] = std::min(least_[j], point[j]);
            most_[j] = std::max(most_[j], point[j]);
        }
        if (halves_[0]) return halves_[point[axis_] < middle_ ? 0 : 1]->add(point);
        points_.push_back(point);
        if (points_.size() > kLeaf) split();
    }

private:
    static constexpr std::size_t kLeaf = 16;

    /// Along the next axis on which the points differ. Points that are equal on all stay together.
    void split()
    {
        for (std::size_t tried = 0; tried < least_.size(); ++tried) {
            axis_ = (axis_ + 1) % least_.size();
            if (least_[axis_] == most_[axis_]) continue;
            std::ranges::sort(points_, {}, [&](const Costs& point) { return point[axis_]; });
            middle_ = points_[points_.size() / 2][axis_];
            if (middle_ == least_[axis_]) middle_ = most_[axis_];
            for (auto& half : halves_) {
                half = std::make_unique<DominanceTree>();
                half->axis_ = axis_;
            }
            for (const Costs& point : std::exchange(points_, {})) halves_[point[axis_] < middle_ ? 0 : 1]->add(point);
            return;
        }
    }

    Costs least_;  ///< of all points by each criterion
    Costs most_;
    std::vector<Costs> points_;  ///< of a leaf
    std::size_t axis_ = 0;       ///< along which the halves lie, or of the node above
    double middle_ = 0;          ///< the least on that axis of the second half
    std::array<std::unique_ptr<DominanceTree>, 2> halves_{};
};

/// Drops what another one dominates or equals, and sorts the rest by cost, which is that member.
template <class Point>
void drop_dominated_of_many(std::vector<Point>& points, Costs Point::* cost)
{
    std::ranges::stable_sort(points, {}, cost);
    DominanceTree seen;
    std::erase_if(points, [&](const Point& point) {
        if (seen.covers(point.*cost)) return true;
        seen.add(point.*cost);
        return false;
    });
}

}  // namespace apreqel
